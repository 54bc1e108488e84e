"""The strong Wolfe line search, as a generator that asks for step lengths and is told what is found there.

Nocedal and Wright, "Numerical Optimization" (2006), algorithms 3.5 and 3.6, with cubic interpolation; the same trials
as ``torch.optim.LBFGS(line_search_fn="strong_wolfe")``, to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

from torch import Tensor

ARMIJO = 1e-4  # of the decrease that the slope promises, what a step must give
CURVATURE = 0.9  # of the slope at the start, what may be left at the step's end
TRIALS = 25
_LEAST_MOVE = 1e-9  # largest pixel change below which a bracket is not divided further


@dataclass(frozen=True)
class Trial:
    """A point along the direction: ``x`` and ``gradient`` have n values, ``slope`` is the gradient along it."""

    length: float
    loss: float
    slope: float
    x: Tensor
    gradient: Tensor


Search = Generator[float, Trial, Trial]


def strong_wolfe(start: Trial, length: float, largest: float) -> Search:
    """Find a step with enough decrease and little slope left.

    Args:
        start: where the search begins, its length 0 and its slope negative.
        length: the first to try.
        largest: greatest absolute value of the direction.

    Yields:
        Lengths to try; a ``Trial`` must be sent for each.

    Returns:
        The best trial: by the Wolfe conditions, or the lowest when the trials are used up or the bracket is too small.
    """
    previous, trial, tried = start, (yield length), 1
    while not math.isfinite(trial.loss) and tried < TRIALS:  # out of the function's domain: come back
        trial, tried = (yield 0.1 * trial.length), tried + 1
    for count in range(TRIALS - tried):
        if _too_high(trial, start) or (count > 1 and trial.loss >= previous.loss):
            return (yield from _zoom(start, [previous, trial], largest, TRIALS - tried))
        if abs(trial.slope) <= -CURVATURE * start.slope:
            return trial
        if trial.slope >= 0:
            return (yield from _zoom(start, [previous, trial], largest, TRIALS - tried))
        bounds = (trial.length + 0.01 * (trial.length - previous.length), trial.length * 10)
        further = _interpolated(previous, trial, bounds)
        previous, trial, tried = trial, (yield further), tried + 1
    return trial if trial.loss <= start.loss else start


def _zoom(start: Trial, bracket: list[Trial], largest: float, trials: int) -> Search:
    """Narrow a bracket that holds a good step."""
    stuck = False
    low, high = _order(bracket)
    for _ in range(trials):
        if abs(bracket[1].length - bracket[0].length) * largest < _LEAST_MOVE:
            break
        length, stuck = _inside(bracket, stuck)
        trial = yield length
        if _too_high(trial, start) or not trial.loss < bracket[low].loss:
            bracket[high] = trial
            low, high = _order(bracket)
            continue
        if abs(trial.slope) <= -CURVATURE * start.slope:
            return trial
        if trial.slope * (bracket[high].length - bracket[low].length) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = trial
    return bracket[low]


def _too_high(trial: Trial, start: Trial) -> bool:
    return not trial.loss <= start.loss + ARMIJO * trial.length * start.slope  # True for NaN


def _order(bracket: list[Trial]) -> tuple[int, int]:
    """Which of the two is lower, and which higher, or no number."""
    return (1, 0) if bracket[1].loss < bracket[0].loss else (0, 1)


def _inside(bracket: list[Trial], stuck: bool) -> tuple[float, bool]:
    """The next length to try, kept away from the bracket's ends when it came near one twice."""
    length = _interpolated(bracket[0], bracket[1])
    least, most = sorted(trial.length for trial in bracket)
    margin = 0.1 * (most - least)
    if min(most - length, length - least) >= margin:
        return length, False
    if not (stuck or length >= most or length <= least):
        return length, True
    return (most - margin if abs(length - most) < abs(length - least) else least + margin), False


def _interpolated(one: Trial, other: Trial, bounds: tuple[float, float] | None = None) -> float:
    """The minimum of the cubic through two trials' losses and slopes, within ``bounds`` (or between them)."""
    least, most = bounds or (min(one.length, other.length), max(one.length, other.length))
    if one.length > other.length:
        one, other = other, one
    width = other.length - one.length
    middle = (least + most) / 2
    if not (math.isfinite(other.loss) and math.isfinite(one.loss)):
        return middle
    first = one.slope + other.slope - 3 * (other.loss - one.loss) / width
    square = first**2 - one.slope * other.slope
    if not square >= 0:
        return middle
    second = math.sqrt(square)
    place = other.length - width * ((other.slope + second - first) / (other.slope - one.slope + 2 * second))
    return min(max(place, least), most)
