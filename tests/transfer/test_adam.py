"""Adam against torch's own."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from nst_batch.transfer.adam import Adam


def bowl(x: Tensor) -> Tensor:
    return (torch.linspace(1, 9, len(x), dtype=x.dtype) * (x - 0.3) ** 2).sum() + x.sin().sum()


def path(steps: int, adam: Adam, start: Tensor) -> list[Tensor]:
    points, x = [start], start
    for _ in range(steps):
        point = x.clone().requires_grad_(True)
        value = bowl(point)
        (gradient,) = torch.autograd.grad(value, point)
        x = adam.advance(x[None], value.detach()[None], gradient[None])[0]
        points.append(x)
    return points


def test_walks_torchs_path() -> None:
    start = torch.linspace(-1, 1, 12, dtype=torch.float64)
    x = start.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([x], lr=0.02, betas=(0.9, 0.99))
    for expected in path(50, Adam(0.02, (0.9, 0.99)), start):
        torch.testing.assert_close(expected, x.detach(), rtol=1e-9, atol=1e-12)
        optimiser.zero_grad()
        bowl(x).backward()  # type: ignore[no-untyped-call]
        optimiser.step()


def test_ends_where_the_loss_is_no_number() -> None:
    adam = Adam()
    adam.advance(torch.zeros(2, 3), torch.tensor([1.0, math.nan]), torch.ones(2, 3))
    assert adam.going.tolist() == [True, False]
    adam.advance(torch.zeros(2, 3), torch.tensor([1.0, 1.0]), torch.ones(2, 3))
    assert adam.going.tolist() == [True, False]


def test_what_it_remembers_grows_with_the_picture() -> None:
    adam, shape = Adam(), torch.Size((1, 1, 3, 4))
    path(5, adam, torch.linspace(-1, 1, 12, dtype=torch.float64))
    larger = adam.resized(shape, torch.Size((1, 1, 6, 8)))
    torch.testing.assert_close(
        larger._mean.view(1, 1, 6, 8), interpolate(adam._mean.view(shape), (6, 8), mode="bicubic")
    )
    assert larger._square.numel() == 48 and (larger._square >= 0).all()
    assert larger._count == 5
