"""The direction is that of the two-loop recursion, written out here as its paper has it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from nst_batch.transfer.curvature import Curvature, chosen, dots

Pair = tuple[Tensor, Tensor]


class Scaled:
    """A metric: so much for each value."""

    def __init__(self, gains: Tensor) -> None:
        self.gains, self.learnt = gains, list[Pair]()

    def __call__(self, gradient: Tensor) -> Tensor:
        return gradient * self.gains

    def learn(self, step: Tensor, change: Tensor) -> None:
        self.learnt.append((step, change))

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        pass


def two_loops(pairs: list[Pair], gradient: Tensor, gains: Tensor) -> Tensor:
    """Nocedal and Wright 2006, algorithm 7.4, for one function."""
    q, weights = -gradient, []
    for step, change in reversed(pairs):
        weights.append((step @ q) / (step @ change))
        q = q - weights[-1] * change
    q = gains * q
    if pairs:
        step, change = pairs[-1]
        q = q * (step @ change) / (change @ (gains * change))
    for step, change in pairs:
        q = q + (weights.pop() - (change @ q) / (step @ change)) * step
    return q


def vectors(seed: int, batch: int = 3, length: int = 12) -> Tensor:
    return torch.randn(batch, length, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pair(seed: int) -> Pair:
    """With positive curvature, as a convex function has it."""
    step = vectors(seed)
    return step, step * torch.linspace(0.5, 4, 12, dtype=torch.float64) + 0.05 * vectors(seed + 1000)


@pytest.mark.parametrize("history", [3, 8])
@pytest.mark.parametrize("kept", [0, 1, 3, 7, 11])
def test_the_direction_is_that_of_the_two_loops(history: int, kept: int) -> None:
    gains = torch.linspace(0.1, 2, 12, dtype=torch.float64)
    metric, everyone = Scaled(gains), torch.ones(3, dtype=torch.bool)
    curvature, pairs = Curvature(history, metric), [pair(seed) for seed in range(kept)]
    for step, change in pairs:
        curvature.learn(step, change, everyone)
    gradient = vectors(99)
    found = curvature.direction(gradient)
    for place in range(3):
        own = [(step[place], change[place]) for step, change in pairs[-history:]]
        torch.testing.assert_close(found[place], two_loops(own, gradient[place], gains))
    assert len(metric.learnt) == kept and curvature.known(gradient).tolist() == [kept > 0] * 3


@pytest.mark.parametrize("kept", [2, 5, 7, 11])
@pytest.mark.parametrize("less", [1, 3, 5])
def test_with_less_room_the_latest_pairs_are_remembered(kept: int, less: int) -> None:
    """As when a transfer goes on where memory is shorter than it was."""
    some = torch.tensor([True, False, True])
    wide, narrow = Curvature(5, None), Curvature(less, None)
    pairs = [(*pair(seed), some if seed == 1 else torch.ones(3, dtype=torch.bool)) for seed in range(kept + 3)]
    for each in pairs[:kept]:
        wide.learn(*each)
    narrow.restore(wide.state())
    for each in pairs[kept:]:
        narrow.learn(*each)
    found = narrow.direction(gradient := vectors(99))
    for place in range(3):
        own = [(step[place], change[place]) for step, change, where in pairs if where[place]]
        expected = two_loops(own[-less:], gradient[place], torch.ones(12, dtype=torch.float64))
        torch.testing.assert_close(found[place], expected)


def test_functions_may_have_different_pairs() -> None:
    """One learns always, one now and then, one never; the second forgets on its way."""
    curvature, one = Curvature(4, None), torch.ones(12, dtype=torch.float64)
    own: list[list[Pair]] = [[], [], []]
    for seed in range(9):
        step, change = pair(seed)
        who = [True, seed % 3 != 1, False]
        curvature.learn(step, change, torch.tensor(who))
        for place in range(3):
            if who[place]:
                own[place].append((step[place], change[place]))
        if seed == 5:
            curvature.forget(torch.tensor([False, True, False]))
            own[1].clear()
        gradient = vectors(50 + seed)
        found = curvature.direction(gradient)
        for place in range(3):
            torch.testing.assert_close(found[place], two_loops(own[place][-4:], gradient[place], one))
    assert curvature.known(vectors(0)).tolist() == [True, True, False]


def test_pairs_without_curvature_are_left_out() -> None:
    curvature, (step, change) = Curvature(4, None), pair(1)
    change[1] = -change[1]
    change[2] = torch.nan
    curvature.learn(step, change, torch.ones(3, dtype=torch.bool))
    assert curvature.known(step).tolist() == [True, False, False]
    torch.testing.assert_close(curvature.direction(step)[1:], -step[1:])


def test_a_steeper_function_has_shorter_steps() -> None:
    """Times 5 in values, gradients and curvature: the same way."""
    curvature, factor = Curvature(4, None), torch.tensor([1.0, 5.0, 0.2])
    for seed in range(6):
        curvature.learn(*pair(seed), torch.ones(3, dtype=torch.bool))
    before = curvature.direction(vectors(7))
    curvature.reweigh(factor)
    torch.testing.assert_close(curvature.direction(vectors(7) * factor[:, None].double()), before)


def test_dots() -> None:
    torch.testing.assert_close(dots(vectors(1), vectors(2)), (vectors(1) * vectors(2)).sum(1))


def test_what_is_kept_in_bfloat16_is_kept_together() -> None:
    """The direction is that of the rounded pairs, in full precision; long rows are gone through in parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nst_batch.transfer.curvature.AT_ONCE", 3 * 4 * 5)
        curvature = Curvature(4, None, torch.bfloat16)
        pairs = [pair(seed) for seed in range(6)]
        for step, change in pairs:
            curvature.learn(step, change, torch.ones(3, dtype=torch.bool))
        gradient = vectors(77)
        found = curvature.direction(gradient)
    assert found.dtype == torch.float64 and curvature.state()["steps"].dtype == torch.bfloat16
    for number in range(3):
        kept = [tuple(values[number].bfloat16().double() for values in each) for each in pairs[-4:]]
        expected = two_loops(kept, gradient[number], torch.ones(12, dtype=torch.float64))  # type: ignore[arg-type]
        torch.testing.assert_close(found[number], expected, rtol=1e-9, atol=1e-9)
    other = Curvature(4, None, torch.bfloat16)
    other.restore(curvature.state())
    torch.testing.assert_close(other.direction(gradient), found)


def test_rows_are_chosen_without_copies_where_all_or_none_are() -> None:
    one, other = vectors(1), vectors(2)
    assert chosen(torch.ones(3, dtype=torch.bool), one, other) is one
    assert chosen(torch.zeros(3, dtype=torch.bool), one, other) is other
    mixed = chosen(torch.tensor([True, False, True]), one, other)
    assert torch.equal(mixed, torch.stack([one[0], other[1], one[2]]))
