"""What is left to render: what waits, what rests before another try, and what another run has in hand.

Several runs may work through the same tasks. Each takes from the front what nobody has claimed; what others record is
heeded as it comes; what one drops, another takes up.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from nst_batch.batches import first_batch, size_of
from nst_batch.claims import Claims
from nst_batch.decisions import Decision
from nst_batch.messages import Job
from nst_batch.records import Task
from nst_batch.shares import ALONE, Part, own_first

BACKOFF_SECONDS = 0.5  # before the first retry; doubled for each further one
LOOK_SECONDS = 1.0  # between two looks at what others have done


@dataclass(frozen=True)
class News:
    """What others record.

    ``more`` gives the output names of which there is something new, and ``decide`` what follows for a task.
    """

    more: Callable[[], set[str]]
    decide: Callable[[Task], Decision]


def hand_out_order(todo: Iterable[Decision]) -> list[Decision]:
    """Longest first, so that no long task starts last; of equal ones, those of a shape side by side, since they can be
    rendered together, and of these those of a style, whose targets are cached."""
    return sorted(todo, key=_place)


def _place(decision: Decision) -> tuple[object, ...]:
    task = decision.task
    return (-task.cost, size_of(task), task.style.digest, task.content.digest, task.output)


class Backlog:
    """Tasks that are not over.

    Args:
        todo: what is to be rendered.
        owned: output names that the manifest knows.
        claims: of this process.
        news: of the others.
        on_elsewhere: told of each task that another run has brought to an end, and whether it has a picture.
        part: of several that begin together, so that each begins with other tasks.
    """

    def __init__(
        self,
        todo: Iterable[Decision],
        owned: Container[str],
        claims: Claims,
        news: News,
        on_elsewhere: Callable[[Decision], None],
        part: Part = ALONE,
    ) -> None:
        decisions = own_first(hand_out_order(todo), part)
        self.decisions = {each.task.output: each for each in decisions}  # by output name
        self._claims = claims
        self._news = news
        self._on_elsewhere = on_elsewhere
        self._open = {  # nobody's that we know of, and others'
            each.task.output: Job(each.task, attempt=each.attempts + 1, owned=each.task.output in owned)
            for each in decisions
        }
        self._waiting = deque(self._open)
        self._elsewhere: list[str] = []
        self._resting: list[tuple[float, int, Job]] = []  # (when to try again, tie-breaker, job)
        self._order = itertools.count()
        self._looked = time.monotonic()

    @property
    def unfinished(self) -> bool:
        """Whether anything waits, rests, or is in others' hands. What our own workers have is theirs to know."""
        return bool(self._open or self._resting)

    @property
    def waiting(self) -> int:
        """Tasks that nobody has in hand."""
        return len(self._waiting) + len(self._resting)

    @property
    def elsewhere(self) -> int:
        """Tasks that others have in hand."""
        return len(self._elsewhere)

    def batch(self, most: Callable[[Task], int], workers: int) -> list[Job]:
        """Tasks for one worker, claimed; none if nothing waits.

        Args:
            most: how many like this one it can take; 0: not now.
            workers: each is to have something to do.
        """
        while self.following:
            places = ((place, count) for place, job in enumerate(self._jobs()) if (count := most(job.task)))
            behind, count = next(places, (0, 0))
            if not count:
                return []
            share = -(-len(self._waiting) // workers)
            found = first_batch(islice(self._jobs(), behind, None), min(count, share))
            for each in found:
                self._waiting.remove(each.task.output)  # mostly, they stand in front
            if mine := self._claimed(found):
                return mine
        return []

    @property
    def following(self) -> Job | None:
        """What comes next."""
        self._wake()
        return next(self._jobs(), None)

    def put_back(self, jobs: Sequence[Job]) -> None:
        """A worker has not taken them."""
        for job in reversed(jobs):
            self._open[job.task.output] = job
            self._waiting.appendleft(job.task.output)

    def ahead(self, skipped: int, count: int) -> list[Task]:
        """Tasks that will probably come next, but for the first ones."""
        return [job.task for job in islice(self._jobs(), skipped, skipped + count)]

    def rest(self, job: Job) -> None:
        """Try a task again after a while; it stays ours."""
        when = time.monotonic() + BACKOFF_SECONDS * 2 ** (job.attempt - 1)
        heapq.heappush(self._resting, (when, next(self._order), replace(job, attempt=job.attempt + 1)))

    def over(self, task: Task) -> None:
        """A task has come to its end, and that is recorded."""
        self._claims.release(task)

    def look(self) -> None:
        """Heed what others have done, now and then."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._heed()
        theirs = [output for output in self._elsewhere if output in self._open]
        dropped = {output for output in theirs if self._claims.is_free(self._open[output].task)}
        self._waiting.extend(dropped)
        self._elsewhere = [output for output in theirs if output not in dropped]

    def close(self) -> None:
        """Let go of all that is not over."""
        self._claims.release_all()

    def _jobs(self) -> Iterator[Job]:
        """What waits; not what others have ended meanwhile."""
        while self._waiting and self._waiting[0] not in self._open:
            self._waiting.popleft()
        return (self._open[output] for output in self._waiting if output in self._open)

    def _wake(self) -> None:
        """Tasks whose rest is over wait again, before all others."""
        while self._resting and self._resting[0][0] <= time.monotonic():
            job = heapq.heappop(self._resting)[2]
            self._open[job.task.output] = job
            self._waiting.appendleft(job.task.output)

    def _claimed(self, jobs: Sequence[Job]) -> list[Job]:
        """Those of them that are ours now, and that others have not brought to an end before."""
        mine = []
        for job in jobs:
            if self._claims.take(job.task):
                mine.append(job.task.output)
            else:
                self._elsewhere.append(job.task.output)
        self._heed()  # after claiming: who lets go has recorded before
        for output in mine:
            if output not in self._open:
                self._claims.release(self.decisions[output].task)
        return [self._open.pop(output) for output in mine if output in self._open]

    def _heed(self) -> None:
        self._looked = time.monotonic()
        for output in self._news.more() & self._open.keys():
            decision = self._news.decide(self._open[output].task)
            if decision.state == "todo":
                self._open[output] = replace(self._open[output], attempt=decision.attempts + 1)
            else:
                del self._open[output]
                self._on_elsewhere(decision)
