"""The loop over evaluations, on functions whose minimum is known."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from nst_batch.settings import Stop, TransferSettings
from nst_batch.transfer.adam import Adam
from nst_batch.transfer.lbfgs import LBFGS
from nst_batch.transfer.losses import Terms
from nst_batch.transfer.optimise import Found, has_settled, optimise, optimiser_for
from nst_batch.transfer.searching import SearchingLBFGS

SETTINGS = TransferSettings(metric="pixels")
START = torch.full((1, 3, 4, 5), 0.5)


def towards(goal: float | Tensor) -> tuple[list[Tensor], object]:
    seen: list[Tensor] = []

    def closure(image: Tensor) -> tuple[Terms, Tensor]:
        seen.append(image.clone())
        scale = torch.linspace(1, 3, image[0].numel()).view_as(image[:1])
        squares = scale * (image - goal) ** 2
        terms = {"upper": squares[:, :, :2].sum((1, 2, 3)), "lower": squares[:, :, 2:].sum((1, 2, 3))}
        return Terms.of(terms), 2 * scale * (image - goal)

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
    assert result.settled == (True,) and len(seen) == len(result.curves[0]) < 500
    assert found(0.3, 5, dataclasses.replace(SETTINGS, stop=Stop(1e-3, 5)))[1].settled == (False,)


def test_without_any_number_the_start_is_kept() -> None:
    def nowhere(image: Tensor) -> tuple[Terms, Tensor]:
        return Terms.of({"all": torch.full((len(image),), math.nan)}), image

    result = optimise(nowhere, START, 9, SETTINGS, optimiser_for(SETTINGS, START))
    assert len(result.curves[0]) == 1 and math.isnan(result.curves[0][0])
    torch.testing.assert_close(result.image, START)


@pytest.mark.parametrize("changes", [{}, {"optimizer": "adam"}, {"averaging": 0.9}])
def test_each_picture_goes_its_own_way_and_ends_by_itself(changes: dict[str, object]) -> None:
    """The first begins at its goal and settles at once; the second loses its way; the third goes on."""
    settings = dataclasses.replace(SETTINGS, guard=False, stop=Stop(1e-3, 5), **changes)  # type: ignore[arg-type]
    goals = torch.tensor([0.5, 0.2, 0.3]).view(3, 1, 1, 1)
    start = torch.cat([START + 1e-6, START, START])
    _, closure = towards(goals)
    calls = 0

    def losing_one(image: Tensor) -> tuple[Terms, Tensor]:
        nonlocal calls
        calls += 1
        terms, gradient = closure(image)  # type: ignore[operator]
        if calls >= 4:
            terms.values[0, 1] = math.nan
        return terms, gradient

    result = optimise(losing_one, start, 300, settings, optimiser_for(settings, start))
    alone = found(0.3, 300, settings)[1]
    assert result.settled[2] == alone.settled[0] and len(result.curves[2]) == len(alone.curves[0])
    torch.testing.assert_close(result.image[2:], alone.image, atol=1e-5, rtol=0)
    assert len(result.curves[1]) == 4 and math.isnan(result.curves[1][-1])
    assert not result.settled[1] and result.image[1].isfinite().all()
    assert len(result.curves[0]) < len(result.curves[2])


def test_each_loss_is_told_term_by_term() -> None:
    _, result = found(0.3, 12)
    assert result.names == ("upper", "lower")
    for loss, terms in zip(result.curves[0], result.terms[0], strict=True):
        assert loss == pytest.approx(sum(terms), rel=1e-6)
    assert result.terms[0][0][1] > result.terms[0][0][0] > 0, "its weights grow downwards"


def test_the_optimiser_is_the_one_asked_for() -> None:
    assert isinstance(optimiser_for(dataclasses.replace(SETTINGS, optimizer="adam"), START), Adam)
    assert isinstance(optimiser_for(SETTINGS, START), LBFGS)
    searching = dataclasses.replace(SETTINGS, line_search="strong_wolfe")
    assert isinstance(optimiser_for(searching, START), SearchingLBFGS)


def test_a_loss_without_a_gradient_is_none() -> None:
    """As when low precision overflows on the way back: the guard takes it for what it is."""
    _, closure = towards(0.3)
    calls = 0

    def overflowing(image: Tensor) -> tuple[Terms, Tensor]:
        nonlocal calls
        calls += 1
        terms, gradient = closure(image)  # type: ignore[operator]
        return terms, gradient if calls != 3 else gradient * math.inf

    result = optimise(overflowing, START, 40, SETTINGS, optimiser_for(SETTINGS, START))
    assert math.isnan(result.curves[0][2]) and len(result.curves[0]) > 10
    torch.testing.assert_close(result.image, torch.full_like(START, 0.3), atol=0.01, rtol=0)
