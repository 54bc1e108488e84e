"""The operators of a pass through VGG-19, forward and backward, by torch: any device, any precision.

``native.ops`` has the same for CPUs, faster. Features are BxCxhxw in channels_last, so that a Gram matrix and the
gradient of what is made of it are plain matrix products of what is in memory, without copies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d

from nst_batch.transfer.vgg import Network

Convolution = tuple[Tensor, Tensor]
"""Weights (outputs x inputs x 3 x 3) and bias."""


@dataclass(frozen=True)
class Pull:
    """What losses at one layer ask of its features F: their gradient, in closed form.

    dL/dF = sum over regions of guide (F matrix + offset) + scale (F - target).

    ``matrix`` BxRxCxC, symmetric, and ``offset`` BxRxC are a loss's derivatives by second moments and means;
    ``guides`` (Rxhxw) say where regions are, and are None where there are none. ``target`` is BxCxhxw, or 1xCxhxw for
    all; ``scale`` B.
    """

    matrix: Tensor | None = None
    offset: Tensor | None = None
    guides: Tensor | None = None
    target: Tensor | None = None
    scale: Tensor | None = None

    def factors(self) -> list[Tensor]:
        """What decides how strong it is, each with B first."""
        return [each for each in (self.matrix, self.offset, self.scale) if each is not None]

    def times(self, factor: Tensor) -> Pull:
        """The same, ``factor`` (B) times as strong."""
        matrix, offset, scale = (
            None if each is None else each * factor.view(-1, *(1,) * (each.ndim - 1))
            for each in (self.matrix, self.offset, self.scale)
        )
        return dataclasses.replace(self, matrix=matrix, offset=offset, scale=scale)

    def in_units(self, unit: float) -> Pull:
        """The same for features that are given in multiples of ``unit``, as their target is."""
        if unit == 1:
            return self
        matrix, offset, scale = (
            None if each is None else each * factor
            for each, factor in ((self.matrix, unit**2), (self.offset, unit), (self.scale, unit**2))
        )
        return dataclasses.replace(self, matrix=matrix, offset=offset, scale=scale)

    def on(self, like: Tensor) -> Pull:
        """The same where ``like`` is."""
        parts = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return Pull(**{name: None if part is None else part.to(like.device) for name, part in parts.items()})

    def rows(self, first: int, end: int) -> Pull:
        """What is asked of some rows of the features."""
        guides = None if self.guides is None else self.guides[:, first:end]
        target = None if self.target is None else self.target[:, :, first:end]
        return dataclasses.replace(self, guides=guides, target=target)

    @property
    def is_general(self) -> bool:
        """Whether there is more to it than one matrix and one target."""
        return self.guides is not None or self.offset is not None


@dataclass(frozen=True)
class Rows:
    """Which rows of a convolution's result are wanted: ``count`` of them, beginning where row ``first`` of what it is
    made from is."""

    first: int
    count: int


class Relu(NamedTuple):
    """Which end of a convolution is rectified."""

    before: bool = False
    after: bool = False


class Ops(Protocol):
    """Operators of one network on one device. ``x`` is as stored: before its ReLU, or after it.

    With ``out`` the result is written there. Of convolutions ``rows`` may be asked for; ``x`` has the same.
    """

    dtype: torch.dtype

    def prepare(self, depth: int) -> None:
        """Make what so many convolutions need, and keep it."""

    def first(self, framed: Tensor) -> Tensor:
        """conv1_1 of Bx3x(H+2)x(W+2): BxCxHxW."""

    def first_back(self, g: Tensor) -> Tensor:
        """The gradient of conv1_1's framed input."""

    def conv(self, index: int, x: Tensor, relu: Relu, rows: Rows | None = None, out: Tensor | None = None) -> Tensor:
        """A convolution other than the first; of relu(x), or made into relu of it, if so told."""

    def conv_back(
        self, index: int, g: Tensor, x: Tensor, gate: bool, rows: Rows | None = None, out: Tensor | None = None
    ) -> Tensor:
        """The gradient of ``conv``'s input, which was ``x``; ``gate``: zero where x is not positive."""

    def pool(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """2x2 pooling of relu(x)."""

    def pool_back(self, g: Tensor, x: Tensor, gate: bool, out: Tensor | None = None) -> Tensor:
        """The gradient of ``pool``'s x (gate), or of relu(x)."""

    def gram(self, x: Tensor) -> Tensor:
        """Sums over positions of f f', BxCxC, in float32 at least."""

    def distance(self, x: Tensor, target: Tensor) -> Tensor:
        """Sums of (x - target)² for each picture, B, in float32 at least."""

    def pull(self, x: Tensor, pull: Pull, out: Tensor | None, gate: bool) -> Tensor:
        """``out`` (may be written to) plus the gradient of losses of the features ``x``, then gated by them."""


def nhwc(x: Tensor) -> Tensor:
    """BxCxhxw with channels last in memory; copied only if they are not."""
    return x.contiguous(memory_format=torch.channels_last)


def in_place(found: Tensor, out: Tensor | None) -> Tensor:
    """``found``, where it was to be."""
    return found if out is None or out is found else out.copy_(found)


def positions_of(x: Tensor) -> Tensor:
    """BxCxhxw as BxNxC, a view."""
    return nhwc(x).permute(0, 2, 3, 1).flatten(1, 2)


def features(positions: Tensor, like: Tensor) -> Tensor:
    """``positions_of`` undone: BxNxC as BxCxhxw, a view."""
    batch, channels, height, width = like.shape
    return positions.view(batch, height, width, channels).permute(0, 3, 1, 2)


def gradient_of(start: Tensor, ends: Sequence[Tensor], above: Sequence[Tensor]) -> Tensor:
    """The gradient of ``start``, given those of the ``ends`` that were made from it.

    ``torch.autograd.grad(ends, start, above)`` says the same, but imports sympy: a second of every worker's start.
    """
    with torch.enable_grad():
        total = torch.stack([(end * each.to(end)).sum() for end, each in zip(ends, above, strict=True)]).sum()
    (found,) = torch.autograd.grad(total, start)
    return found


def pull_in_general(x: Tensor, pull: Pull, out: Tensor | None, gate: bool) -> Tensor:
    """``Ops.pull`` with regions and means."""
    positions = positions_of(x)
    total = torch.zeros_like(x) if out is None else out
    if pull.matrix is not None:
        guides = None if pull.guides is None else pull.guides.flatten(1).to(x.dtype)
        for region, matrix in enumerate(pull.matrix.to(x.dtype).unbind(1)):
            part = positions @ matrix
            if pull.offset is not None:
                part = part + pull.offset[:, None, region].to(x.dtype)
            if guides is not None:
                part = part * guides[region, :, None]
            total = total + features(part, x)
    if pull.target is not None and pull.scale is not None:
        total = total + pull.scale.to(x.dtype).view(-1, 1, 1, 1) * (x - pull.target.to(x.dtype))
    return torch.where(x > 0, total, 0) if gate else total


class TorchOps:
    """Operators in ``dtype``; conv1_1 in float32 at least, since a picture in [0, 1] has more than 8 bits.

    Args:
        convolutions: weights and biases, in order.
        network: how VGG-19 is wired.
        dtype: of features and their gradients.
    """

    def __init__(self, convolutions: Sequence[Convolution], network: Network, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._network = network
        exact = torch.promote_types(dtype, torch.float32)
        self._first = (nhwc(convolutions[0][0].to(exact)), convolutions[0][1].to(exact))
        # CPUs convolve in float16 far slower than in float32; as on GPUs, sums are float32 and results rounded.
        self._computed = exact if convolutions[0][0].is_cpu else dtype
        self._convolutions = [
            (nhwc(weight.to(dtype)).to(self._computed), bias.to(dtype).to(self._computed))
            for weight, bias in convolutions
        ]
        self._exact = exact

    def prepare(self, depth: int) -> None:
        """All is there."""

    def first(self, framed: Tensor) -> Tensor:
        """conv1_1."""
        weight, bias = self._first
        found: Tensor = conv2d(nhwc(framed.to(self._exact)), weight, bias)
        return nhwc(found.to(self.dtype))

    def first_back(self, g: Tensor) -> Tensor:
        """The gradient of conv1_1's framed input."""
        batch, _, height, width = g.shape
        framed = g.new_empty(batch, 3, height + 2, width + 2, dtype=self._exact)
        return _input_gradient(g.to(self._exact), framed, self._first[0], padding=0)

    def conv(self, index: int, x: Tensor, relu: Relu, rows: Rows | None = None, out: Tensor | None = None) -> Tensor:
        """A convolution other than the first."""
        weight, bias = self._convolutions[index]
        x = x.relu() if relu.before else x
        found: Tensor = conv2d(x.to(self._computed), weight, bias, padding=1).to(self.dtype)
        found = found.relu_() if relu.after else found
        return in_place(nhwc(found) if rows is None else _these(found, rows), out)

    def conv_back(
        self, index: int, g: Tensor, x: Tensor, gate: bool, rows: Rows | None = None, out: Tensor | None = None
    ) -> Tensor:
        """The gradient of ``conv``'s input, which was ``x``."""
        like = x if rows is None else x.new_empty(1).expand(*x.shape[:2], *g.shape[2:])
        computed = self._computed
        found = _input_gradient(g.to(computed), like.to(computed), self._convolutions[index][0], padding=1)
        found = found.to(self.dtype)
        found = found if rows is None else _these(found, rows)
        return in_place(_gated(found, x) if gate else found, out)

    def pool(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """2x2 pooling of relu(x)."""
        return in_place(self._pooled(x.relu()), out)

    def pool_back(self, g: Tensor, x: Tensor, gate: bool, out: Tensor | None = None) -> Tensor:
        """The gradient of ``pool``'s x (gate), or of relu(x)."""
        seen, share = x.relu(), g if self._network.pooling_scale == 1 else g * self._network.pooling_scale
        if self._network.pooling == "max":
            _, chosen = torch.ops.aten.max_pool2d_with_indices(seen, [2, 2])
            found = torch.ops.aten.max_pool2d_with_indices_backward(
                share, seen, [2, 2], [2, 2], [0, 0], [1, 1], False, chosen
            )
        else:
            found = torch.ops.aten.avg_pool2d_backward(share, seen, [2, 2], [2, 2], [0, 0], False, True, None)
        return in_place(_gated(found, x) if gate else found, out)

    def _pooled(self, x: Tensor) -> Tensor:
        pooled = (max_pool2d if self._network.pooling == "max" else avg_pool2d)(x, 2)
        return pooled if self._network.pooling_scale == 1 else pooled * self._network.pooling_scale

    def gram(self, x: Tensor) -> Tensor:
        """Sums over positions of f f'; products of low precision are added up in float32."""
        positions = positions_of(x)
        if x.dtype in (torch.float32, torch.float64):
            return positions.mT @ positions
        if x.is_cuda:
            return torch.bmm(positions.mT, positions, out_dtype=torch.float32)
        return positions.float().mT @ positions.float()

    def distance(self, x: Tensor, target: Tensor) -> Tensor:
        """Sums of (x - target)²."""
        return (x.to(self._exact) - target.to(self._exact)).square().sum((1, 2, 3))

    def pull(self, x: Tensor, pull: Pull, out: Tensor | None, gate: bool) -> Tensor:
        """``out`` plus the gradient of losses of the features ``x``, then gated by them."""
        if pull.is_general or pull.matrix is None:
            return pull_in_general(x, pull, out, gate)
        matrix = pull.matrix[:, 0].to(x.dtype)
        total = positions_of(x) @ matrix if out is None else positions_of(out).baddbmm_(positions_of(x), matrix)
        found = features(total, x)
        if pull.target is not None and pull.scale is not None:
            found = found + pull.scale.to(x.dtype).view(-1, 1, 1, 1) * (x - pull.target.to(x.dtype))
        return _gated(found, x) if gate else found


def _these(found: Tensor, rows: Rows) -> Tensor:
    return found[:, :, rows.first : rows.first + rows.count]


def _gated(g: Tensor, x: Tensor) -> Tensor:
    found: Tensor = torch.ops.aten.threshold_backward(g, x, 0)
    return found


def _input_gradient(g: Tensor, x: Tensor, weight: Tensor, padding: int) -> Tensor:
    """Of a 3x3 convolution's input, which is like ``x``; weights need none, so nothing is spent on them."""
    found: Tensor = torch.ops.aten.convolution_backward(
        g, x, weight, None, [1, 1], [padding, padding], [1, 1], False, [0, 0], 1, [True, False, False]
    )[0]
    return nhwc(found)
