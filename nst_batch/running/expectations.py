"""What tasks will take, before they begin: by what is known of tasks like them, or by their costs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from nst_batch.records import Task

_UNREADABLE = 0.01  # of a usual task: one whose picture's size is not known mostly fails at once


class Expectations(Protocol):
    """What is known of tasks before they begin: see ``forecasts.Forecaster``."""

    @property
    def is_measured(self) -> bool:
        """Whether seconds are seconds of devices like these."""

    def seconds(self, task: Task) -> float | None:
        """What a task will take; None: nobody knows."""

    def share(self, task: Task, step: int) -> float:
        """How much of a task is done after so many evaluations."""


class Scale:
    """What a task will take: seconds; by its cost, where nothing better is known.

    Args:
        kinds: a task of each, and how many there are.
        expected: of tasks.

    Attributes:
        trusted: whether these are seconds of devices like these.
    """

    def __init__(self, kinds: Iterable[tuple[Task, int]], expected: Expectations) -> None:
        self._expected = expected
        known = [(expected.seconds(task) or 0.0, task.cost, count) for task, count in kinds]
        both = [each for each in known if each[0] and each[1] > 0]
        seconds, costs = (sum(each[which] * each[2] for each in both) for which in (0, 1))
        self._seconds_each = seconds / costs if both else 1.0
        weighed = [(seconds or cost * self._seconds_each, count) for seconds, cost, count in known]
        total, count = (
            sum(weight * count for weight, count in weighed),
            sum(count for weight, count in weighed if weight),
        )
        self._usual = _UNREADABLE * total / count if total else 1.0
        self.trusted = expected.is_measured and any(seconds for seconds, _, _ in known)

    def of(self, task: Task) -> float:
        """A task's weight."""
        return self._expected.seconds(task) or max(0.0, task.cost) * self._seconds_each or self._usual
