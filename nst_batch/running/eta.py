"""When a run will be over: tasks as they were foretold, scaled by what this run takes, handed to workers as they will
be. Pure: numbers in, seconds out.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

HALF_LIFE_SECONDS = 1800.0  # after which what was seen counts half: other programs come and go
MOST_SIMULATED = 2000  # tasks that are handed out one by one; of more, the first are taken to fill all workers evenly
_STEPS = 2.0  # sizes that are told apart, of each doubling of a task's seconds
_NEAR = 1.0  # doublings, by which tasks of another size say less
_FAR = 0.02  # what they say at least
_KINDS = 32.0  # of tasks, told apart by seconds, in each e-folding of them


@dataclass(frozen=True)
class Seen:
    """Work that was done: on which device, of a task of so many ``expected`` seconds in all, so many seconds of it as
    they were expected, and what they took."""

    device: str
    task: float
    expected: float
    seconds: float


@dataclass(frozen=True)
class Ahead:
    """A worker that will be free in so many ``seconds``, and how much slower than the others it is."""

    seconds: float
    slowness: float = 1.0


class Pace:
    """What tasks take in this run, against what was expected.

    Args:
        prior: expected seconds of work that count as if they had been seen to be right; 0: expectations are in units
            of which nothing is known.
    """

    def __init__(self, prior: float) -> None:
        self._prior = prior
        self._seen: dict[tuple[str, int], list[float]] = {}  # [expected, seconds] by device and size
        self._learnt = -math.inf

    def learn(self, seen: Seen, now: float) -> None:
        """Heed what was done up to ``now`` (seconds of any clock)."""
        if self._seen and now > self._learnt:
            faded = 0.5 ** ((now - self._learnt) / HALF_LIFE_SECONDS)
            for sums in self._seen.values():
                sums[:] = [faded * value for value in sums]
        self._learnt = max(self._learnt, now)
        _add(self._seen, seen)

    def factors(self, unfinished: Iterable[Seen] = ()) -> Factors | None:
        """By all that was seen, and by what is ``unfinished``; None where nothing is known."""
        sums = {key: list(values) for key, values in self._seen.items()}
        for each in unfinished:
            _add(sums, each)
        sums = {key: values for key, values in sums.items() if min(values) > 0}
        return Factors(sums, self._prior) if sums or self._prior else None


class Factors:
    """Seconds that tasks take, of each second that was expected."""

    def __init__(self, sums: dict[tuple[str, int], list[float]], prior: float) -> None:
        self._by_size: dict[int, tuple[float, float]] = {}
        self._sums = sums
        self._prior = prior
        self._by_device = {device: self._slowness(device) for device, _ in sums}

    def of(self, task: float, device: str = "") -> float:
        """Of a task of so many expected seconds, on a device; mostly by tasks like it."""
        expected, seconds = self._like(_size(task))
        return seconds / expected * self.slowness(device)

    def slowness(self, device: str) -> float:
        """Of a device, against all of them."""
        return self._by_device.get(device, 1.0)

    def _like(self, size: int) -> tuple[float, float]:
        if size not in self._by_size:
            expected = seconds = self._prior
            for (_, other), (foretold, took) in self._sums.items():
                weight = _FAR + (1 - _FAR) / (1 + ((size - other) / _STEPS / _NEAR) ** 4)
                expected, seconds = expected + weight * foretold, seconds + weight * took
            self._by_size[size] = expected, seconds
        return self._by_size[size]

    def _slowness(self, device: str) -> float:
        foretold = took = 0.0
        for (where, size), (expected, seconds) in self._sums.items():
            if where == device:
                likely, really = self._like(size)
                foretold, took = foretold + expected * really / likely, took + seconds
        return took / foretold


def kind(seconds: float) -> int:
    """Tasks that take about as long as each other, so that thousands can be reckoned with as a few."""
    return round(_KINDS * math.log(seconds))


def kinds(tasks: Mapping[int, int]) -> list[tuple[float, int]]:
    """What tasks take, the longest first, and how many there are of each kind."""
    return [(math.exp(kind / _KINDS), count) for kind, count in sorted(tasks.items(), reverse=True) if count > 0]


def _size(task: float) -> int:
    return round(_STEPS * math.log2(max(task, 1e-9)))


def _add(sums: dict[tuple[str, int], list[float]], seen: Seen) -> None:
    found = sums.setdefault((seen.device, _size(seen.task)), [0.0, 0.0])
    found[0] += seen.expected
    found[1] += seen.seconds


def seconds_left(workers: Sequence[Ahead], waiting: Iterable[tuple[float, int]], together: int = 1) -> float:
    """Until the last worker is done, if each takes what comes next as soon as it is free.

    Args:
        workers: when they are free; at least one.
        waiting: the seconds that tasks will take, in the order in which they are handed out, and how many there are of
            each kind.
        together: tasks of a kind that a worker takes at once.
    """
    bulk, tasks = _split(list(waiting))
    level = _filled(workers, bulk)
    free = [(max(each.seconds, level), place) for place, each in enumerate(workers)]
    heapq.heapify(free)
    left = sum(count for _, count in tasks)
    for seconds, count in tasks:
        while count:
            batch = min(count, together, -(-left // len(workers)))
            count, left = count - batch, left - batch
            when, place = free[0]
            heapq.heapreplace(free, (when + batch * seconds * workers[place].slowness, place))
    return max(when for when, _ in free)


def _split(tasks: list[tuple[float, int]]) -> tuple[float, list[tuple[float, int]]]:
    """The seconds of the first tasks together, and the last ones, that are few."""
    kept, room = list[tuple[float, int]](), MOST_SIMULATED
    for seconds, count in reversed(tasks):
        kept.append((seconds, min(count, room)))
        room -= kept[-1][1]
    together = sum(seconds * count for seconds, count in tasks) - sum(seconds * count for seconds, count in kept)
    return max(0.0, together), [each for each in reversed(kept) if each[1]]


def _filled(workers: Sequence[Ahead], seconds: float) -> float:
    """Until when workers do so many seconds of work together, if it can be shared out at will."""
    if seconds <= 0:
        return 0.0
    level = speed = done = 0.0
    for each in sorted(workers, key=lambda worker: worker.seconds):
        if speed and done + speed * (each.seconds - level) >= seconds:
            break
        done, level = done + speed * (each.seconds - level), each.seconds
        speed += 1 / each.slowness
    return level + (seconds - done) / speed
