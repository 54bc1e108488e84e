"""The end of a job's time: what is begun before it, and when to leave."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sized

from nst_batch.records import Task
from nst_batch.running import awake
from nst_batch.running.backlog import Backlog
from nst_batch.running.messages import Job

CAUTION = 1.2  # how much longer than foreseen a task may take
WORTH_SECONDS = 60.0  # with more time than that, a task is begun that will not be done: it goes on where it was left


class Deadline:
    """When a run has to be over.

    Args:
        seconds: until then, in all.
        grace: how long before it pictures in hand are kept and the run leaves; at most a third of the time there is.
        seconds_of: what a task will take; None: nobody knows.
        again: asked for the seconds that are left after this process was paused, which some clusters do not count.
    """

    def __init__(
        self,
        seconds: float,
        grace: float = 0.0,
        seconds_of: Callable[[Task], float | None] = lambda _: None,
        again: Callable[[], float] | None = None,
    ) -> None:
        self._grace = shortened(grace, seconds)
        self._end = time.monotonic() + seconds - self._grace
        self._seconds_of = seconds_of
        self._again = again
        self._paused = awake.paused() if again else 0.0
        self._begun = self._declined = False

    def left(self) -> float:
        """Seconds until the run should leave; negative afterwards."""
        if self._again is not None and awake.paused() > self._paused:
            self._paused = awake.paused()
            if (seconds := self._again()) < math.inf:
                self._end = time.monotonic() + seconds - self._grace
        return self._end - time.monotonic()

    def batch(self, backlog: Backlog, most: Callable[[Task], int], workers: int) -> list[Job]:
        """Tasks for one worker, as ``Backlog.pick``: what can be done in time, as long as there is any such task.

        Where there is none, one is begun that cannot: it is kept when time is up, and the next job has the less to do.
        Not in the last minute, which starting up again would cost; but in any case if it is the first, or tasks that
        take longer than any job would never be begun.
        """
        if self._end == math.inf:
            return backlog.pick(most, workers)
        found = backlog.pick(lambda task: min(most(task), self._fitting(task)), workers)
        if not found and (self.left() > WORTH_SECONDS or not self._begun):
            found = backlog.pick(most, workers)
        self._begun = self._begun or bool(found)
        self._declined = not found and backlog.waiting > 0
        return found

    def is_over(self, backlog: Backlog, busy: Sized) -> bool:
        """Whether to leave: time is up, or no worker is ``busy`` and what waits is not begun any more."""
        return self.left() <= 0 or (self._declined and not busy and backlog.waiting > 0)

    def _fitting(self, task: Task) -> int:
        """How many tasks like this one can be done in time, one after another."""
        takes = self._seconds_of(task)
        return 1 if takes is None else int(max(0.0, self.left()) / max(takes * CAUTION, 1e-3))


def shortened(grace: float, seconds: float) -> float:
    """So that most of the time is left for rendering."""
    return min(grace, seconds / 3)


NEVER = Deadline(math.inf)
