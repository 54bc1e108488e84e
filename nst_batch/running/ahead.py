"""How many tasks a worker is given before it asks for them.

Small tasks come one behind the other without a round trip between them. Long ones are not bound to one worker while
another has nothing to do.
"""

from __future__ import annotations

from nst_batch.records import Task, TaskResult

SHORT_SECONDS = 1.0  # what a batch takes at most, for another one to be given ahead
AHEAD_SECONDS = 0.25  # of work that a worker has before it, if batches are shorter than that
MOST = 32  # batches


class Pace:
    """How long a worker's tasks take: as its last ones did, the slowest of them first of all."""

    def __init__(self) -> None:
        self._seconds: float | None = None
        self._cost = 0.0

    def learn(self, task: Task, result: TaskResult) -> None:
        """Heed a task that was rendered; what fails, fails sooner."""
        if result.status != "done" or result.resumed:
            return
        before = 0.0 if self._seconds is None else (self._seconds + result.seconds) / 2
        self._seconds, self._cost = max(result.seconds, before), task.cost

    def seconds(self, task: Task) -> float | None:
        """What a task will take, one that costs more as much longer; None: nothing is known."""
        if self._seconds is None:
            return None
        return self._seconds * max(1.0, task.cost / self._cost if self._cost > 0 else 1.0)


def batches_ahead(seconds: float | None) -> int:
    """How many batches wait at a worker, beside that which it renders.

    Args:
        seconds: that one takes; None: nobody knows.
    """
    if seconds is None or seconds > SHORT_SECONDS:
        return 0
    return max(1, min(MOST, int(AHEAD_SECONDS / max(seconds, 1e-6))))
