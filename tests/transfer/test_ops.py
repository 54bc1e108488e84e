"""Operators one by one against torch's autograd: by torch in several precisions, and by the kernels in C++."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Literal

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d

from nst_batch.transfer.native.library import built
from nst_batch.transfer.native.ops import NativeOps
from nst_batch.transfer.ops import Convolution, Ops, Pull, Relu, Rows, TorchOps, nhwc
from nst_batch.transfer.vgg import Network

Make = Callable[[Network], Ops]
WIDTHS = ((3, 64), (64, 64), (64, 128), (128, 128), (128, 256))
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 3e-3}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


CONVOLUTIONS: list[Convolution] = [
    (random(after, before, 3, 3, seed=after) / (3 * before**0.5), random(after, seed=before))
    for before, after in WIDTHS
]


def native(network: Network) -> Ops:
    kernels = built().kernels
    if kernels is None:
        pytest.skip(f"no kernels in C++: {built().why_not}")
    return NativeOps(CONVOLUTIONS, network, kernels)


def by_torch(dtype: torch.dtype) -> Make:
    return lambda network: TorchOps(CONVOLUTIONS, network, dtype)


KINDS = {"native": native, **{str(dtype)[6:]: by_torch(dtype) for dtype in TOLERANCE}}


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Make:
    return KINDS[request.param]


def features(ops: Ops, *shape: int, seed: int = 1) -> Tensor:
    return nhwc(random(*shape, seed=seed).to(ops.dtype))


def check(found: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    """The difference's norm against the whole's."""
    assert found.shape == expected.shape
    apart = (found.double() - expected.double()).norm() / expected.double().norm()
    assert apart < TOLERANCE[dtype]


def exact(*values: Tensor) -> list[Tensor]:
    return [value.double() for value in values]


# Sizes: a tile and a half, odd, smaller than a tile, two pictures, more tiles than are done at a time
SIZES = [(1, 6, 9), (1, 13, 7), (2, 3, 2), (2, 8, 12), (1, 40, 44)]


@pytest.mark.parametrize(("batch", "height", "width"), SIZES)
@pytest.mark.parametrize("index", [1, 2, 4])
def test_convolutions(make: Make, index: int, batch: int, height: int, width: int) -> None:
    ops = make(Network())
    before, after = WIDTHS[index]
    x, g = features(ops, batch, before, height, width), features(ops, batch, after, height, width, seed=2)
    weight, bias = exact(*CONVOLUTIONS[index])
    for relu in itertools.starmap(Relu, itertools.product((False, True), repeat=2)):
        seen = x.double().relu() if relu.before else x.double()
        expected = conv2d(seen, weight, bias, padding=1)
        found = ops.conv(index, x, relu)
        check(found, expected.relu() if relu.after else expected, ops.dtype)
        assert found.is_contiguous(memory_format=torch.channels_last)
    leaf = x.double().clone().requires_grad_(True)
    (back,) = torch.autograd.grad(conv2d(leaf, weight, bias, padding=1), leaf, g.double())
    check(ops.conv_back(index, g, x, gate=False), back, ops.dtype)
    check(ops.conv_back(index, g, x, gate=True), back * (x > 0), ops.dtype)


@pytest.mark.parametrize(("first", "count"), [(0, 5), (1, 4), (1, 11), (7, 6), (12, 1), (4, 0)])
@pytest.mark.parametrize("batch", [1, 2])
def test_some_rows_of_convolutions_are_those_of_all(make: Make, batch: int, first: int, count: int) -> None:
    """Written where they are to be, whether or not that is in one piece."""
    ops, rows = make(Network()), Rows(first, count)
    before, after = WIDTHS[2]
    x, g = features(ops, batch, before, 13, 7), features(ops, batch, after, 13, 7, seed=2)
    there = nhwc(torch.zeros(batch, after, count + 3, 7, dtype=ops.dtype))
    whole = ops.conv(2, x, Relu(True, True))[:, :, first : first + count]
    found = ops.conv(2, x, Relu(True, True), rows, there[:, :, 2 : 2 + count])
    check(found, whole, ops.dtype) if count else None
    assert torch.equal(there[:, :, 2 : 2 + count], found) and not there[:, :, :2].any() and not there[:, :, -1].any()
    gates = x[:, :, first : first + count]
    whole = ops.conv_back(2, g, x, gate=True)[:, :, first : first + count]
    found = ops.conv_back(2, g, gates, True, rows)
    check(found, whole, ops.dtype) if count else None
    assert found.shape == gates.shape


@pytest.mark.parametrize("batch", [1, 2])
def test_poolings_are_written_where_they_are_to_be(make: Make, batch: int) -> None:
    ops = make(Network("max"))
    x, g = features(ops, batch, 64, 9, 7), features(ops, batch, 64, 4, 3, seed=2)
    there, back = (
        nhwc(torch.zeros(batch, 64, 6, 3, dtype=ops.dtype)),
        nhwc(torch.zeros(batch, 64, 12, 7, dtype=ops.dtype)),
    )
    ops.pool(x, out=there[:, :, 1:5])
    assert torch.equal(there[:, :, 1:5], ops.pool(x)) and not there[:, :, ::5].any()
    ops.pool_back(g, x, True, out=back[:, :, 2:11])
    assert torch.equal(back[:, :, 2:11], ops.pool_back(g, x, True)) and not back[:, :, :2].any()


@pytest.mark.parametrize(("batch", "height", "width"), SIZES)
def test_the_first_convolution(make: Make, batch: int, height: int, width: int) -> None:
    ops = make(Network())
    framed = random(batch, 3, height + 2, width + 2).double().requires_grad_(True)
    weight, bias = exact(*CONVOLUTIONS[0])
    expected = conv2d(framed, weight, bias)
    given = framed.detach().to(torch.promote_types(ops.dtype, torch.float32))
    check(ops.first(given), expected, ops.dtype)
    g = features(ops, *expected.shape, seed=2)
    (back,) = torch.autograd.grad(expected, framed, g.double())
    check(ops.first_back(g), back, ops.dtype)


@pytest.mark.parametrize(("batch", "height", "width"), [*SIZES, (1, 2, 3)])
@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_poolings(make: Make, pooling: Literal["max", "avg"], batch: int, height: int, width: int) -> None:
    ops = make(Network(pooling, 1.5))
    x = features(ops, batch, 64, height, width)
    pool = max_pool2d if pooling == "max" else avg_pool2d
    for gate in (True, False):
        leaf = x.double() if gate else x.double().relu()
        leaf = leaf.clone().requires_grad_(True)
        expected = 1.5 * pool(leaf.relu() if gate else leaf, 2)
        check(ops.pool(x), expected, ops.dtype)
        g = features(ops, *expected.shape, seed=2)
        (back,) = torch.autograd.grad(expected, leaf, g.double())
        check(ops.pool_back(g, x, gate), back, ops.dtype)


def test_of_equal_maxima_one_has_the_gradient(make: Make) -> None:
    ops = make(Network("max"))
    flat = nhwc(torch.ones(1, 64, 4, 4, dtype=ops.dtype))
    g = nhwc(torch.ones(1, 64, 2, 2, dtype=ops.dtype))
    assert ops.pool_back(g, flat, gate=False).sum() == g.sum()


@pytest.mark.parametrize(("batch", "height", "width"), [*SIZES, (1, 1, 1)])
@pytest.mark.parametrize("channels", [64, 128])
def test_sums_over_positions(make: Make, channels: int, batch: int, height: int, width: int) -> None:
    ops = make(Network())
    x = features(ops, batch, channels, height, width)
    flat = x.double().flatten(2)
    gram = ops.gram(x)
    check(gram, flat @ flat.mT, torch.promote_types(ops.dtype, torch.float32))  # products are added up in float32
    assert gram.dtype == torch.promote_types(ops.dtype, torch.float32)
    for pictures in (1, batch):  # a target for all, or for each
        target = features(ops, pictures, channels, height, width, seed=3)
        expected = (x.double() - target.double()).square().sum((1, 2, 3))
        check(ops.distance(x, target), expected, torch.promote_types(ops.dtype, torch.float32))


@pytest.mark.parametrize(("batch", "height", "width"), SIZES)
@pytest.mark.parametrize("regions", [0, 2])
def test_pulls_are_the_gradients_of_losses(make: Make, regions: int, batch: int, height: int, width: int) -> None:
    """Of a made-up loss of moments and of distances: by autograd, and by its derivatives."""
    ops = make(Network())
    channels = 64
    x = features(ops, batch, channels, height, width)
    target = features(ops, 1, channels, height, width, seed=3)
    guides = torch.rand(regions, height, width, generator=torch.Generator().manual_seed(4)) if regions else None
    count = max(1, regions)
    slopes = random(batch, count, channels, channels, seed=5) / channels
    matrix = slopes + slopes.mT
    offset, scale = random(batch, count, channels, seed=6), random(batch, seed=7).abs()
    leaf = x.double().clone().requires_grad_(True)
    flat = leaf.flatten(2)
    loss = (scale.double()[:, None, None, None] * (leaf - target.double()).square()).sum() / 2
    for region in range(count):
        weights = torch.ones(height * width).double() if guides is None else guides[region].flatten().double()
        loss = loss + (matrix[:, region].double() * ((flat * weights) @ flat.mT)).sum() / 2
        if regions:
            loss = loss + (offset[:, region].double() * (flat * weights).sum(2)).sum()
    (expected,) = torch.autograd.grad(loss, leaf)
    pull = Pull(matrix, offset if regions else None, guides, target, scale)
    start = features(ops, *x.shape, seed=8)
    check(ops.pull(x, pull, None, gate=False), expected, ops.dtype)
    check(ops.pull(x, pull, start.clone(), gate=False), expected + start.double(), ops.dtype)
    check(ops.pull(x, pull, start.clone(), gate=True), (expected + start.double()) * (x > 0), ops.dtype)
    alone = Pull(target=target, scale=scale)
    expected = scale.double().view(-1, 1, 1, 1) * (x.double() - target.double())
    check(ops.pull(x, alone, start.clone(), gate=True), (expected + start.double()) * (x > 0), ops.dtype)
    check(ops.pull(x, alone, None, gate=False), expected, ops.dtype)


def test_what_is_not_a_number_stays_so(make: Make) -> None:
    """A picture gone astray must be seen as such: in a Gram matrix, and past a ReLU."""
    ops = make(Network())
    x = features(ops, 1, 64, 8, 8)
    x[0, 3, 2, 2] = torch.nan
    assert ops.gram(x).isnan().any()
    assert ops.conv(1, x, Relu(True, True)).isnan().any()
    assert ops.distance(x, torch.zeros_like(x)).isnan().all()


def test_kernels_give_the_same_bits_for_any_number_of_threads() -> None:
    ops = native(Network())
    x, g = features(ops, 1, 64, 37, 50), features(ops, 1, 128, 37, 50, seed=2)
    pull = Pull(random(1, 1, 64, 64), target=g[:, :64], scale=torch.ones(1))
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(
                [
                    ops.conv(2, x, Relu(before=True)),
                    ops.conv_back(2, g, x, gate=True),
                    ops.gram(x),
                    ops.pull(x, pull, None, True),
                ]
            )
    finally:
        torch.set_num_threads(before)
    for first, *others in zip(*results, strict=True):
        assert all(torch.equal(first, other) for other in others)
