"""The line search alone: what it returns satisfies the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from nst_batch.transfer.line_search import ARMIJO, CURVATURE, TRIALS, Trial, strong_wolfe

CURVES: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "parabola": (lambda t: (t - 3) ** 2, lambda t: 2 * (t - 3)),
    "narrow": (lambda t: 1e4 * (t - 0.01) ** 2, lambda t: 2e4 * (t - 0.01)),
    "far": (lambda t: (t / 500 - 1) ** 2, lambda t: 2 / 500 * (t / 500 - 1)),
    "wavy": (lambda t: (t - 4) ** 2 + 3 * math.sin(5 * t), lambda t: 2 * (t - 4) + 15 * math.cos(5 * t)),
}


def search(function: Callable[[float], float], slope: Callable[[float], float]) -> tuple[Trial, Trial, int]:
    def at(length: float) -> Trial:
        nothing = torch.zeros(1)
        return Trial(length, function(length), slope(length), nothing, nothing)

    start, tried = at(0.0), 0
    generator = strong_wolfe(start, 1.0, 1.0)
    length = next(generator)
    while True:
        tried += 1
        try:
            length = generator.send(at(length))
        except StopIteration as end:
            return start, end.value, tried


@pytest.mark.parametrize("name", list(CURVES))
def test_finds_a_step_by_the_strong_wolfe_conditions(name: str) -> None:
    function, slope = CURVES[name]
    if slope(0) >= 0:
        function, slope = (lambda t: CURVES[name][0](-t)), (lambda t: -CURVES[name][1](-t))
    start, found, tried = search(function, slope)
    assert tried <= TRIALS
    assert found.loss <= start.loss + ARMIJO * found.length * start.slope
    assert abs(found.slope) <= -CURVATURE * start.slope


def test_stays_where_it_is_when_there_is_nothing_better() -> None:
    _, found, tried = search(lambda t: 0.0 if t == 0 else math.nan, lambda t: -1.0)
    assert found.length == 0 and tried == TRIALS
