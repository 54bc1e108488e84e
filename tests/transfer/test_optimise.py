"""The loop over evaluations, on functions whose minimum is known."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from nst_batch.errors import DivergedError
from nst_batch.settings import Stop, TransferSettings
from nst_batch.transfer.adam import Adam
from nst_batch.transfer.lbfgs import LBFGS
from nst_batch.transfer.optimise import Found, has_settled, optimise, optimiser_for

SETTINGS = TransferSettings(metric="pixels")
START = torch.full((1, 3, 4, 5), 0.5)


def towards(goal: float) -> tuple[list[Tensor], object]:
    seen: list[Tensor] = []

    def closure(image: Tensor) -> tuple[float, Tensor]:
        seen.append(image.clone())
        scale = torch.linspace(1, 3, image.numel()).view_as(image)
        return (scale * (image - goal) ** 2).sum().item(), 2 * scale * (image - goal)

    return seen, closure


def found(goal: float, steps: int, settings: TransferSettings = SETTINGS) -> tuple[list[Tensor], Found]:
    seen, closure = towards(goal)
    return seen, optimise(closure, START, steps, settings, optimiser_for(settings, START))  # type: ignore[arg-type]


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_finds_the_minimum(optimizer: str) -> None:
    settings = dataclasses.replace(SETTINGS, optimizer=optimizer)  # type: ignore[arg-type]
    _, result = found(0.3, 100, settings)
    torch.testing.assert_close(result.image, torch.full_like(START, 0.3), atol=0.01, rtol=0)


@pytest.mark.parametrize("clamp", ["step", "closure", "end"])
def test_pixels_stay_in_range_while_evaluating_unless_told(clamp: str) -> None:
    seen, _ = found(1.8, 15, dataclasses.replace(SETTINGS, clamp=clamp))  # type: ignore[arg-type]
    assert (max(image.max().item() for image in seen) <= 1) == (clamp != "end")


def test_settling_is_little_progress_over_a_window() -> None:
    falling = [1.0 * 0.9**i for i in range(40)]
    flat = [*falling, *[falling[-1] * (1 - 1e-6 * i) for i in range(21)]]
    assert not has_settled(falling, Stop(1e-4, 20))
    assert has_settled(flat, Stop(1e-4, 20))
    assert not has_settled(flat[:50], Stop(1e-4, 20))
    assert not has_settled([5.0] * 3, Stop(1e-4, 20))
    assert has_settled([math.nan, 5.0, math.inf, 5.0, 5.0], Stop(0.5, 2))


def test_a_settled_optimisation_ends() -> None:
    seen, result = found(0.3, 500, dataclasses.replace(SETTINGS, stop=Stop(1e-3, 5), optimizer="adam"))
    assert result.settled and len(seen) == len(result.curve) < 500
    assert not found(0.3, 5, dataclasses.replace(SETTINGS, stop=Stop(1e-3, 5)))[1].settled


def test_no_number_at_all_is_an_error() -> None:
    with pytest.raises(DivergedError, match="no finite loss in 1 evaluations"):
        optimise(lambda image: (math.nan, image), START, 9, SETTINGS, optimiser_for(SETTINGS, START))


def test_the_optimiser_is_the_one_asked_for() -> None:
    assert isinstance(optimiser_for(dataclasses.replace(SETTINGS, optimizer="adam"), START), Adam)
    assert isinstance(optimiser_for(SETTINGS, START), LBFGS)
