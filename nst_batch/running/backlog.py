"""What is left to render: what waits, what rests before another try, and what another run has in hand.

Several runs may work through the same tasks. Each takes from the front what nobody has claimed; what others record is
heeded as it comes; what one drops, another takes up. Of a task that waits nothing is kept here but a byte and its place
in the order.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from nst_batch.planning.shares import ALONE, Part
from nst_batch.recorded.decisions import FORCED, Decision
from nst_batch.recorded.rendered import Rendered
from nst_batch.records import Task
from nst_batch.running.batches import first_batch
from nst_batch.running.claims import Claims
from nst_batch.running.messages import Job
from nst_batch.running.todo import as_todo
from nst_batch.running.waiting import Places

BACKOFF_SECONDS = 0.5  # before the first retry; doubled for each further one
LOOK_SECONDS = 1.0  # between two looks at what others have done
WAITING, FRONT, PICKED, IN_HAND, ELSEWHERE, OVER = range(6)
"""What becomes of a task: it waits for its turn, or before all others; it is claimed, but what others have recorded was
not heeded yet; it is ours; another has it; it is at its end, as far as anybody here has to know.
"""

_NOWHERE = -1  # the place of what waits before all others


@dataclass(frozen=True)
class News:
    """What others record.

    ``more`` gives the output names of which there is something new, and ``decide`` what follows for a task.
    """

    more: Callable[[], set[str]]
    decide: Callable[[Task], Decision]


class Backlog:
    """Tasks that are not over.

    Args:
        todo: what is to be rendered.
        owned: what the manifest knows to stand at output names.
        claims: of this process.
        news: of the others.
        on_elsewhere: told of each task that another run has brought to an end, and whether it has a picture.
        part: of several that begin together, so that each begins with other tasks.
    """

    def __init__(
        self,
        todo: Iterable[Decision],
        owned: Mapping[str, Rendered],
        claims: Claims,
        news: News,
        on_elsewhere: Callable[[Decision], None],
        part: Part = ALONE,
    ) -> None:
        self._todo = as_todo(todo)
        self._decision = lru_cache(maxsize=64)(self._todo.__getitem__)  # tasks are looked at more than once
        self._owned = owned
        self._claims = claims
        self._news = news
        self._on_elsewhere = on_elsewhere
        self._order, own = _own_first(np.asarray(self._todo.hand_out_order(), np.uint32), part)
        self._state = bytearray(len(self._todo))  # by place in todo, as in all that follows
        self._counts = Counter({WAITING: len(self._todo)})
        self._places = Places((own, len(self._todo)), lambda place: self._state[self._order[place]] == WAITING)
        self._front = deque[int]()
        self._elsewhere = list[int]()
        self._resting: list[tuple[float, int, int, Job]] = []  # (when to try again, tie-breaker, place, job)
        self._numbers = itertools.count()
        self._kept = dict[int, Job]()  # what is not a first try any more
        self._ours = dict[str, int]()  # by output name
        self._looked = time.monotonic()

    @property
    def unfinished(self) -> bool:
        """Whether anything waits, rests, or is in others' hands. What our own workers have is theirs to know."""
        return bool(self._resting) or any(self._counts[state] for state in (WAITING, FRONT, PICKED, ELSEWHERE))

    @property
    def waiting(self) -> int:
        """Tasks that nobody has in hand."""
        return self._ready + len(self._resting)

    @property
    def _ready(self) -> int:
        return self._counts[WAITING] + self._counts[FRONT]

    @property
    def elsewhere(self) -> int:
        """Tasks that others have in hand."""
        return self._counts[ELSEWHERE]

    def decision(self, output: str) -> Decision:
        """Why a task is rendered that is in hand."""
        return self._decision(self._ours[output])

    def batch(self, most: Callable[[Task], int], workers: int) -> list[Job]:
        """Tasks for one worker; none if nothing waits. As ``pick``, and confirmed."""
        while picked := self.pick(most, workers):
            (mine,) = self.confirm([picked])
            if mine:
                return mine
        return []

    def pick(self, most: Callable[[Task], int], workers: int) -> list[Job]:
        """Tasks for one worker, claimed; none if nothing waits. See ``confirm``.

        Args:
            most: how many like this one it can take; 0: not now.
            workers: each is to have something to do.
        """
        self._wake()
        while found := self._next(most, workers):
            for place, _ in found:
                if self._claims.take(self._decision(place).task):
                    self._move(place, PICKED)
                    self._ours[self._decision(place).task.output] = place
                else:
                    self._move(place, ELSEWHERE)
                    self._elsewhere.append(place)
            mine = [self._job(place) for place, _ in found if self._state[place] == PICKED]
            if mine:
                return mine
        return []

    def confirm(self, picked: Iterable[Sequence[Job]]) -> list[list[Job]]:
        """What of it is ours now, and may be rendered: not what others had brought to an end before it was claimed.

        To be asked after claiming, for all that was picked: who lets go has recorded before.
        """
        self._heed()
        return [[job for each in batch if (job := self._confirmed(each)) is not None] for batch in picked]

    @property
    def following(self) -> Job | None:
        """What comes next."""
        self._wake()
        return next(self._jobs(), None)

    def put_back(self, jobs: Sequence[Job]) -> None:
        """A worker has not taken them."""
        for job in reversed(jobs):
            self._put_in_front(self._ours.pop(job.task.output), job)

    def ahead(self, skipped: int, count: int) -> list[Task]:
        """Tasks that will probably come next, but for the first ones."""
        return [job.task for job in islice(self._jobs(), skipped, skipped + count)]

    def rest(self, job: Job) -> None:
        """Try a task again after a while; it stays ours."""
        when = time.monotonic() + BACKOFF_SECONDS * 2 ** (job.attempt - 1)
        again = replace(job, attempt=job.attempt + 1)
        heapq.heappush(self._resting, (when, next(self._numbers), self._ours.pop(job.task.output), again))

    def over(self, task: Task) -> None:
        """A task has come to its end, and that is recorded."""
        self._claims.release(task)
        self._move(self._ours.pop(task.output), OVER)

    def look(self) -> None:
        """Heed what others have done, now and then."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._heed()
        theirs = [place for place in self._elsewhere if self._state[place] == ELSEWHERE]
        dropped = [place for place in theirs if self._claims.is_free(self._decision(place).task)]
        for place in dropped:
            self._move(place, FRONT)
        self._front.extend(dropped)
        self._elsewhere = [place for place in theirs if self._state[place] == ELSEWHERE]

    def close(self) -> None:
        """Let go of all that is not over."""
        self._claims.release_all()

    def _job(self, place: int) -> Job:
        """A task as it is tried next."""
        if place in self._kept:
            return self._kept[place]
        decision = self._decision(place)
        found = self._owned.get(decision.task.output)
        size = None if found is None or decision.reason == FORCED else found.bytes
        return Job(decision.task, attempt=decision.attempts + 1, owned=found is not None, bytes=size)

    def _jobs(self) -> Iterator[Job]:
        return (self._job(place) for place, _ in self._all())

    def _all(self, begin: int = 0) -> Iterator[tuple[int, int]]:
        """What waits, from a place in the order on (and, at 0, what waits before all others), each with that place."""
        if not begin:
            yield from ((place, _NOWHERE) for place in self._front if self._state[place] == FRONT)
        yield from ((int(self._order[each]), each) for each in self._places.behind(begin))

    def _next(self, most: Callable[[Task], int], workers: int) -> list[tuple[int, int]]:
        """The first that a worker can take, and those behind it that go with it; taken from what waits."""
        found, count = self._fitting(most)
        share = -(-self._ready // workers)
        several = list(islice(found, min(count, share)))
        taken = several[: len(first_batch((self._job(place) for place, _ in several), len(several)))]
        for place, where in taken:
            if where == _NOWHERE:
                self._front.remove(place)  # mostly, it stands in front
            else:
                self._places.take(where)
        return taken

    def _fitting(self, most: Callable[[Task], int]) -> tuple[Iterator[tuple[int, int]], int]:
        """What waits from the first on that a worker can take, and how many like that one."""
        front = [place for place in self._front if self._state[place] == FRONT]
        for number, place in enumerate(front):
            if count := most(self._job(place).task):
                return islice(self._all(), number, None), count
        where = self._places.first(lambda each: most(self._decision(int(self._order[each])).task) > 0)
        if where is None:
            return iter(()), 0
        rest = ((int(self._order[each]), each) for each in self._places.behind(where))
        return rest, most(self._decision(int(self._order[where])).task)

    def _put_in_front(self, place: int, job: Job) -> None:
        self._kept[place] = job
        self._move(place, FRONT)
        self._front.appendleft(place)

    def _wake(self) -> None:
        """Tasks whose rest is over wait again, before all others."""
        while self._resting and self._resting[0][0] <= time.monotonic():
            _, _, place, job = heapq.heappop(self._resting)
            self._put_in_front(place, job)

    def _confirmed(self, job: Job) -> Job | None:
        place = self._ours[job.task.output]
        if self._state[place] == PICKED:
            self._move(place, IN_HAND)
            return self._kept.pop(place, job)
        del self._ours[job.task.output]
        self._claims.release(job.task)
        return None

    def _move(self, place: int, state: int) -> None:
        self._counts[self._state[place]] -= 1
        self._counts[state] += 1
        self._state[place] = state

    def _heed(self) -> None:
        self._looked = time.monotonic()
        for output in self._news.more():
            place = self._todo.place_of(output)
            if place is None or self._state[place] in (IN_HAND, OVER):
                continue
            decision = self._news.decide(self._decision(place).task)
            if decision.state == "todo":
                self._kept[place] = replace(self._job(place), attempt=decision.attempts + 1)
            else:
                self._kept.pop(place, None)
                self._move(place, OVER)
                self._on_elsewhere(decision)


def _own_first(order: NDArray[np.uint32], part: Part) -> tuple[NDArray[np.uint32], int]:
    """As ``shares.own_first``, and how many come first."""
    if part.count == 1:
        return order, len(order)
    own = np.arange(len(order)) % part.count == part.index
    return np.concatenate((order[own], order[~own])), int(own.sum())
