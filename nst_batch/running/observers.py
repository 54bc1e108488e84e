"""Who is told what happens in a run: what a scheduler says, and how several listen."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from nst_batch.recorded.decisions import Decision
from nst_batch.records import TaskResult
from nst_batch.running.messages import Progress


class Observer:
    """Is told what happens; in the scheduler's thread, which waits meanwhile. This one heeds nothing: others heed what
    is their business."""

    def started(self, slot: int, device: str, decisions: Sequence[Decision]) -> None:
        """A worker got tasks to render together."""

    def progressed(self, slot: int, progress: Progress) -> None:
        """A worker is so far."""

    def finished(self, slot: int, result: TaskResult, final: bool) -> None:
        """A task ended; unless ``final`` it will be tried again."""

    def elsewhere(self, decision: Decision) -> None:
        """Another run has brought a task to its end: ``done``, or ``failed``."""

    def note(self, text: str) -> None:
        """Something a person should know."""

    def tick(self) -> None:
        """Time passes."""


class Observers(Observer):
    """Several as one; each is told before those behind it, which may ask it.

    Args:
        all: of them, in that order.
    """

    def __init__(self, *all: Observer) -> None:
        self._all = all

    @override
    def started(self, slot: int, device: str, decisions: Sequence[Decision]) -> None:
        """See ``Observer``."""
        for each in self._all:
            each.started(slot, device, decisions)

    @override
    def progressed(self, slot: int, progress: Progress) -> None:
        """See ``Observer``."""
        for each in self._all:
            each.progressed(slot, progress)

    @override
    def finished(self, slot: int, result: TaskResult, final: bool) -> None:
        """See ``Observer``."""
        for each in self._all:
            each.finished(slot, result, final)

    @override
    def elsewhere(self, decision: Decision) -> None:
        """See ``Observer``."""
        for each in self._all:
            each.elsewhere(decision)

    @override
    def note(self, text: str) -> None:
        """See ``Observer``."""
        for each in self._all:
            each.note(text)

    @override
    def tick(self) -> None:
        """See ``Observer``."""
        for each in self._all:
            each.tick()
