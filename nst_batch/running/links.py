"""A worker as the scheduler sees it: started, told, heard, and missed when it dies; wherever it is."""

from __future__ import annotations

import pickle
import select
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from multiprocessing import connection
from typing import Any, TypeAlias

from nst_batch.records import Task, utc_now
from nst_batch.running import awake
from nst_batch.running.ahead import Pace
from nst_batch.running.messages import Job, Jobs, Recall, Returned, Soon, Stop, WorkerOptions

LEAVE_SECONDS = 8.0  # what a worker has to go by itself: ten for all of them together

Pipe: TypeAlias = "connection.Connection[Any, Any]"


class Worker(ABC):
    """One device, or several that share pictures, and the pipe to who renders there.

    Attributes:
        pipe: to it.
        ready: it has its network.
        memory: free bytes of its GPU; 0: it has none.
        jobs: what it has in hand, by output name; files may be on their way while its device is at something else.
        batches: of these, what its device is at, and what comes next.
        pace: how fast it is.
        recalled: it was asked to give back what it has not begun, and has not answered yet.
        since: when it began what its device is at, as ``utc_now``.
        why_ended: what ``end`` was told.
    """

    def __init__(self, slot: int, device: str, pipe: Pipe) -> None:
        self.slot = slot
        self.device = device
        self.pipe = pipe
        self.ready = self.recalled = False
        self.memory = 0
        self.jobs: dict[str, Job] = {}
        self.batches = deque[Sequence[Job]]()
        self.pace = Pace()
        self.since = self.why_ended = ""
        self._heard = awake.seconds()

    @property
    def idle(self) -> bool:
        """Whether its device waits for tasks."""
        return self.ready and not self.batches

    @property
    def ahead(self) -> list[Job]:
        """Of what it has in hand, what only waits there for its turn."""
        return [job for batch in islice(self.batches, 1, None) for job in batch]

    @property
    def begun(self) -> list[Job]:
        """All the rest, what is being written among it."""
        waiting = {job.task.output for job in self.ahead}
        return [job for output, job in self.jobs.items() if output not in waiting]

    @abstractmethod
    def signs(self) -> tuple[Any, Any]:
        """What ``connection.wait`` waits for: a message, or its end."""

    @abstractmethod
    def has_ended(self) -> bool:
        """Whether it is gone."""

    @abstractmethod
    def kill(self) -> None:
        """End it at once."""

    @abstractmethod
    def manner_of_death(self) -> str:
        """How one that has ended did so, as ``was killed by SIGKILL``."""

    def was_killed_for_memory(self) -> bool:
        """Whether the system killed it, or another one of this run, since memory had run out."""
        return False

    def was_lost(self) -> bool:
        """Whether it went with its machine, which says nothing of its tasks."""
        return False

    @abstractmethod
    def bury(self) -> None:
        """Wait until it has gone; see to it that it does."""

    def give(self, batches: Sequence[Sequence[Job]]) -> bool:
        """Hand out batches, to be rendered in that order; False if the worker is no longer there to take them."""
        if not self._tell(Jobs(tuple(map(tuple, batches)))):
            return False
        if self.idle:
            self.since, self._heard = utc_now(), awake.seconds()
        for batch in batches:
            self.jobs.update({job.task.output: job for job in batch})
        self.batches.extend(batches)
        return True

    def done(self) -> None:
        """Its device is done with what it was at."""
        if self.batches:
            self.batches.popleft()
            self.since = utc_now()

    def recall(self) -> None:
        """Ask for what it has not begun."""
        self.recalled = self._tell(Recall())

    def take_back(self, returned: Returned) -> list[Job]:
        """What it will not render."""
        self.recalled = False
        self.batches = deque(each for each in self.batches if each[0].task.output not in returned.outputs)
        return [self.jobs.pop(output) for output in returned.outputs]

    def tell_soon(self, tasks: Sequence[Task]) -> None:
        """What it will probably get next."""
        self._tell(Soon(tuple(tasks)))

    def tell_to_stop(self) -> None:
        """Ask it to drop its tasks and leave."""
        self._tell(Stop())

    def _tell(self, message: object) -> bool:
        try:
            self.pipe.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))
        except OSError:
            return False  # it has left already
        return True

    def messages(self) -> Iterator[object]:
        """Every message that is there, without waiting; those of a dead worker too."""
        news = select.poll()
        news.register(self.pipe, select.POLLIN)
        try:
            while news.poll(0):
                message = pickle.loads(self.pipe.recv_bytes())
                self._heard = awake.seconds()
                yield message
        except (EOFError, OSError):
            return

    def silent_for(self) -> float:
        """Seconds since it said anything, or was given anything; pauses do not count."""
        return awake.seconds() - self._heard

    def end(self, why: str) -> None:
        """Kill it; ``why`` is then the manner of its death."""
        self.why_ended = why
        self.kill()

    def dismiss(self) -> None:
        """Close the pipe, which tells an idle worker to leave; one that is busy or still loading is ended."""
        self.pipe.close()
        if self.jobs or not self.ready:
            self.kill()


Start: TypeAlias = Callable[[int, str, WorkerOptions], Worker]
"""Begins a worker: its slot, its device, and what all workers of a run are told."""
