"""What a run has done, does and has before it: counts, workers, and when it will be over. Without a terminal."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from typing_extensions import override

from nst_batch.recorded.decisions import Decision
from nst_batch.records import Task, TaskResult
from nst_batch.running import awake
from nst_batch.running.eta import Ahead, Factors, Pace, Seen, kind, kinds, seconds_left
from nst_batch.running.expectations import Expectations, Scale
from nst_batch.running.messages import Progress
from nst_batch.running.observers import Observer
from nst_batch.running.run_state import RunState, WorkerState
from nst_batch.running.todo import as_todo

LATELY_SECONDS = 600.0  # what rates are of
LATE_SECONDS = 60.0  # a worker without a task for longer will not come back
_TRUSTED = 0.005  # of a run's work: what forecasts count for, against what is seen
_ENOUGH = 0.005  # of it has to be done before anything is foretold from nothing else
_AGAIN_SECONDS = 0.5  # between two reckonings of what is left


@dataclass
class _Hand:
    """Tasks that a worker was given together. ``shares`` are done of each, by id, since ``first``."""

    tasks: dict[str, Task]  # by output name, those that are not over
    weights: dict[str, float]  # of all of them
    each: float  # of the largest
    begun: float
    first: float | None = None  # when the first evaluation was reported
    heard: float = 0.0  # when the last one was
    at_first: float = 0.0
    ended: float | None = None  # when the worker was given others
    shares: dict[str, float] = field(default_factory=dict)
    proved: float = 0.0  # weight of tasks that are done
    failed: bool = False
    progress: Progress | None = None


@dataclass
class _Slot:
    device: str
    hands: list[_Hand] = field(default_factory=list)  # the last one is rendered, others are being written
    busy: float = 0.0
    free_since: float | None = None


class Tally(Observer):
    """An Observer that counts, and reckons.

    Args:
        todo: what will be rendered.
        skipped: how many tasks were done before.
        workers: how many there will be.
        expected: of tasks.
        now: seconds of a clock; pauses of the run do not count.
    """

    def __init__(
        self,
        todo: Sequence[Decision],
        skipped: int,
        workers: int,
        expected: Expectations,
        now: Callable[[], float] = awake.seconds,
    ) -> None:
        self.total, self.skipped = len(todo), skipped
        self.rendered = self.failed = self._elsewhere = self.over = 0
        self.last: TaskResult | None = None
        self._planned = max(1, min(workers, len(todo)))
        self._expected, self._now = expected, now
        self._begun = now()
        self._working_since: float | None = None  # the first hand-out: loading torch and weights is no measure
        groups = list(as_todo(todo).kinds())
        self._scale = Scale(groups, expected)
        self._work = sum(self._weight(task) * count for task, count in groups)
        self._cost = sum(task.cost * count for task, count in groups)
        self._waiting = Counter[int]()
        for task, count in groups:
            self._waiting[kind(self._weight(task))] += count
        self._done = self._done_here = self._done_elsewhere = 0.0
        self._pace = Pace(_TRUSTED * self._work if self._scale.trusted else 0.0)
        self._slots: dict[int, _Slot] = {}
        self._together = 1
        self._ends = deque[list[float]]()  # [second, tasks that were done in it]
        self._reckoned: tuple[float, float | None] | None = None

    @override
    def started(self, slot: int, device: str, decisions: Sequence[Decision]) -> None:
        """A worker has tasks."""
        now = self._now()
        self._working_since = now if self._working_since is None else self._working_since
        here = self._slots.setdefault(slot, _Slot(device))
        here.device, here.free_since = device, None
        if here.hands:
            here.hands[-1].ended = now
        tasks = {each.task.output: each.task for each in decisions}
        weights = {output: self._weight(task) for output, task in tasks.items()}
        for weight in weights.values():
            self._waiting[kind(weight)] -= 1
        self._together = max(self._together, len(tasks))
        here.hands.append(_Hand(tasks, weights, max(weights.values()), now, heard=now))
        self._reckoned = None

    @override
    def progressed(self, slot: int, progress: Progress) -> None:
        """A worker is so far."""
        hands = self._slots[slot].hands if slot in self._slots else []
        if not hands or not (tasks := [t for t in hands[-1].tasks.values() if t.id in progress.tasks]):
            return
        hand, now = hands[-1], self._now()
        hand.progress, hand.heard = progress, now
        for task in tasks:
            hand.shares[task.id] = self._expected.share(task, progress.step)
        if hand.first is None:
            hand.first, hand.at_first = now, self._made(hand)

    @override
    def finished(self, slot: int, result: TaskResult, final: bool) -> None:
        """A task ended, or will be tried again."""
        self._reckoned = None
        here = self._slots.get(slot)
        hand = next((each for each in here.hands if result.output in each.tasks), None) if here else None
        weight = hand.weights[result.output] if hand else 0.0
        if final:
            self.rendered += result.status == "done"
            self.failed += result.status == "failed"
            self.over += 1
            self._done += weight
        if result.status == "done":
            self.last = result
            self._done_here += weight
            self._count_end()
        if hand is None or here is None:
            return
        task = hand.tasks.pop(result.output)
        if not final:
            self._waiting[kind(weight)] += 1
        if result.status == "done":
            hand.proved += weight * (1 - self._expected.share(task, result.resumed))
        hand.failed |= result.status != "done"
        if not hand.tasks:
            self._end(here, hand)

    def _count_end(self) -> None:
        second = math.floor(self._now())
        if self._ends and self._ends[-1][0] == second:
            self._ends[-1][1] += 1
        else:
            self._ends.append([second, 1])

    @override
    def elsewhere(self, decision: Decision) -> None:
        """Another run has brought a task to its end."""
        weight = self._weight(decision.task)
        self._elsewhere += 1
        self.over += 1
        self.failed += decision.state == "failed"
        self._waiting[kind(weight)] -= 1
        self._done += weight
        self._done_elsewhere += weight * (decision.state == "done")

    def _weight(self, task: Task) -> float:
        return self._scale.of(task)

    def _end(self, here: _Slot, hand: _Hand) -> None:
        """Nothing of a hand is left: what it took is known."""
        now = self._now()
        here.hands.remove(hand)
        took = (now if hand.ended is None else hand.ended) - hand.begun
        here.busy += took
        here.free_since = None if here.hands else now
        if not hand.failed and hand.proved > 0:
            self._pace.learn(Seen(model(here.device), hand.each, hand.proved, took), now)

    def _made(self, hand: _Hand) -> float:
        """Work that is done of those that are not over."""
        return sum(hand.weights[output] * hand.shares.get(task.id, 0.0) for output, task in hand.tasks.items())

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._now() - self._begun

    def state(self) -> RunState:
        """All of it as it is now."""
        factors = self._factors()
        workers = tuple(self._worker(number, slot, factors) for number, slot in sorted(self._slots.items()))
        running = sum(self._made(hand) for slot in self._slots.values() for hand in slot.hands)
        per_cost = factors.of(self._work / self.total) * self._work / self._cost if factors and self._cost else None
        return RunState(
            self.total, self.over, self.rendered, self.failed, self._elsewhere, self.skipped, self._work,
            self._done + running, self.elapsed, self.seconds_left(), per_cost, self._pictures_per_hour(),
            sum(each.rate for each in workers), workers,
        )  # fmt: skip

    def _worker(self, number: int, slot: _Slot, factors: Factors | None) -> WorkerState:
        now = self._now()
        busy = slot.busy + sum((now if each.ended is None else each.ended) - each.begun for each in slot.hands)
        hand = slot.hands[-1] if slot.hands and slot.hands[-1].ended is None else None
        if hand is None:
            return WorkerState(number, slot.device, busy=busy)
        p, left = hand.progress, sum(hand.weights[output] for output in hand.tasks)
        loss = p.loss if p and math.isfinite(p.loss) else None
        return WorkerState(
            number, slot.device, tuple(hand.tasks), p.step if p else 0, p.steps if p else 0, loss, p.rate if p else 0.0,
            self._made(hand) / left if left else 0.0, busy, self._left(slot.device, hand, factors),
        )  # fmt: skip

    def _left(self, device: str, hand: _Hand, factors: Factors | None) -> float | None:
        """Seconds until a hand is done."""
        if factors is None:
            return None
        left = sum(hand.weights[output] for output in hand.tasks) - self._made(hand)
        return max(0.0, left * factors.of(hand.each, model(device)) - (self._now() - hand.heard))

    def _pictures_per_hour(self) -> float | None:
        """Lately."""
        now = self._now()
        while self._ends and now - self._ends[0][0] > LATELY_SECONDS:
            self._ends.popleft()
        since = min(LATELY_SECONDS, now - self._working_since) if self._working_since is not None else 0.0
        return sum(count for _, count in self._ends) / since * 3600 if self._ends and since > 0 else None

    def _factors(self) -> Factors | None:
        """What tasks take, against what was expected; by their evaluations too, before they are done."""
        current = [(slot, hand) for slot in self._slots.values() for hand in slot.hands if hand.ended is None]
        unfinished = [
            Seen(model(slot.device), hand.each, self._made(hand) - hand.at_first, hand.heard - hand.first)
            for slot, hand in current
            if hand.first is not None and self._made(hand) > hand.at_first
        ]
        if not self.rendered and sum(each.expected for each in unfinished) < _ENOUGH * self._work:
            unfinished = []
        return self._pace.factors(unfinished)

    def seconds_left(self) -> float | None:
        """Until the end; None where nothing is known yet."""
        now = self._now()
        if self._reckoned is None or now - self._reckoned[0] > _AGAIN_SECONDS:
            self._reckoned = (now, self._seconds_left(now))
        when, left = self._reckoned
        return None if left is None else max(0.0, left - (now - when))

    def _seconds_left(self, now: float) -> float | None:
        factors = self._factors()
        if factors is None:
            return None
        workers = [found for slot in self._slots.values() if (found := self._ahead(slot, factors, now)) is not None]
        if self._working_since is None or now - self._working_since < LATE_SECONDS:
            workers += [Ahead(0.0)] * (self._planned - len(self._slots))
        waiting = [(seconds * factors.of(seconds), count) for seconds, count in kinds(self._waiting)]
        if waiting and self._done_here and self._done_elsewhere:  # others will take their share of it
            others = round(len(workers) * self._done_elsewhere / self._done_here)
            workers += [Ahead(waiting[0][0] / 2)] * min(others, 10_000)
        return seconds_left(workers or [Ahead(0.0)], waiting, self._together)

    def _ahead(self, slot: _Slot, factors: Factors, now: float) -> Ahead | None:
        """When a worker will be free; None: it has left."""
        slowness = factors.slowness(model(slot.device))
        if slot.hands and slot.hands[-1].ended is None:
            return Ahead(self._left(slot.device, slot.hands[-1], factors) or 0.0, slowness)
        late = slot.free_since is not None and now - slot.free_since > LATE_SECONDS
        return None if late else Ahead(0.0, slowness)


def model(device: str) -> str:
    """Devices that are equally fast, as far as names tell: ``cuda`` of ``cuda:1``."""
    return "+".join(each.partition(":")[0] for each in device.split("+"))
