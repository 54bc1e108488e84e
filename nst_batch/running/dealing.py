"""Who gets which tasks, and when: one worker after another, as each becomes free, or shortly before that."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nst_batch.records import Task
from nst_batch.running.ahead import batches_ahead
from nst_batch.running.backlog import Backlog
from nst_batch.running.batches import limit
from nst_batch.running.deadline import Deadline
from nst_batch.running.links import Worker
from nst_batch.running.messages import Job, WorkerOptions
from nst_batch.running.observers import Observer


class Dealer:
    """Hands out what waits.

    Args:
        backlog: what waits.
        deadline: when the run has to be over.
        options: of every worker.
        observer: is told what is begun.
    """

    def __init__(self, backlog: Backlog, deadline: Deadline, options: WorkerOptions, observer: Observer) -> None:
        self._backlog = backlog
        self._deadline = deadline
        self._options = options
        self._observer = observer

    def next_batch(self, memory: int, workers: int) -> list[Job]:
        """What a worker with so much memory gets next; to be confirmed, as ``Backlog.pick``."""
        return self._deadline.batch(self._backlog, lambda task: limit(task, self._options.batch, memory), workers)

    def deal(self, workers: Sequence[Worker]) -> None:
        """Give each worker that has nothing to do something, and those whose tasks are short some more."""
        while self._deal(workers):
            pass
        if any(each.idle for each in workers) and self._backlog.following is None:
            for each in workers:
                if len(each.batches) > 1 and not each.recalled:
                    each.recall()

    def begin(self, batch: Sequence[Job], slot: int, device: str) -> None:
        """Tell that a worker is at a batch now."""
        self._observer.started(slot, device, [self._backlog.decision(job.task.output) for job in batch])

    def _deal(self, workers: Sequence[Worker]) -> bool:
        """One round; whether another is wanted, since others had been at all that somebody was to get."""
        hands = {each.slot: self._first(each, len(workers)) for each in workers}
        for each in workers:
            hands[each.slot] += self._more(each, hands[each.slot], len(workers))
        if not any(hands.values()):
            return False
        mine = iter(self._backlog.confirm(batch for each in workers for batch in hands[each.slot]))
        again = False
        for each in workers:
            batches = [batch for _ in hands[each.slot] if (batch := next(mine))]
            again |= each.idle and bool(hands[each.slot]) and not batches
            self._give(each, batches, len(workers))
        return again

    def _first(self, each: Worker, workers: int) -> list[list[Job]]:
        """What a worker gets that has nothing to do."""
        if not each.idle or self._keeps_to_itself(each.jobs.values()):
            return []
        batch = self.next_batch(each.memory, workers)
        return [batch] if batch else []

    def _more(self, each: Worker, given: Sequence[Sequence[Job]], workers: int) -> list[list[Job]]:
        """What it gets beside that, ahead of time."""
        found: list[list[Job]] = []
        jobs = [*each.jobs.values(), *(job for batch in given for job in batch)]
        if not each.ready or each.recalled or not jobs or self._keeps_to_itself(jobs):
            return found
        following = self._backlog.following
        most = self._ahead(each, following.task) if following is not None else 0
        room = most - len(each.batches) - len(given) + 1
        if 2 * room < most:
            return found  # what it has will do for a while
        wanted = min(room, self._backlog.waiting // workers)
        while len(found) < wanted and not self._keeps_to_itself(jobs):
            batch = self.next_batch(each.memory, workers)
            if not batch:
                break
            found.append(batch)
        return found

    def _ahead(self, each: Worker, task: Task) -> int:
        """How many batches of tasks like this one may wait at a worker."""
        seconds = each.pace.seconds(task)
        together = limit(task, self._options.batch, each.memory)
        return batches_ahead(None if seconds is None else seconds * together)

    def _keeps_to_itself(self, jobs: Collection[Job]) -> bool:
        """What has failed before goes alone: nothing else is lost if it takes the worker down."""
        following = self._backlog.following
        again = any(job.attempt > 1 for job in jobs)
        return bool(jobs) and (again or (following is not None and following.attempt > 1))

    def _give(self, each: Worker, batches: list[list[Job]], workers: int) -> None:
        if not batches:
            return
        was_idle = each.idle
        if not each.give(batches):
            self._backlog.put_back([job for batch in batches for job in batch])
        elif was_idle:
            self.begin(batches[0], each.slot, each.device)
            if len(batches) == 1:
                count = len(batches[0])
                each.tell_soon(self._backlog.ahead((workers - 1) * count, count))
