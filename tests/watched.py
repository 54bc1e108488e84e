"""Runs as observers are told of them, at a clock that tests move."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nst_batch.recorded.decisions import Decision
from nst_batch.records import Failure, Losses, Source, Style, Task, TaskResult, Weights
from nst_batch.running.messages import Progress
from nst_batch.running.tally import Tally
from nst_batch.settings import TransferSettings

PICTURE = Source("a.png", "0" * 64, 1, 10, 10)
STEPS = 100


def decision(name: str, cost: float) -> Decision:
    task = Task(name, PICTURE, (Style(PICTURE),), TransferSettings(), Weights("w", "0"), f"{name}.png", cost=cost)
    return Decision(task, "todo", "new")


def done(name: str, **more: Any) -> TaskResult:
    losses = Losses(3.0, 1.0, 2.0, {"content": {}, "style": {}})
    return TaskResult(name, "done", f"{name}.png", losses=losses, evaluations=STEPS, **more)


def failed(name: str, attempt: int = 1) -> TaskResult:
    error = Failure("ImageError", "not a picture [really]", "remove it")
    return TaskResult(name, "failed", f"{name}.png", attempt=attempt, error=error)


def progress(*names: str, step: int, loss: float = 1.5, rate: float = 4.0) -> Progress:
    return Progress(names, step, STEPS, loss, rate)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Foretold:
    """What tasks are expected to take, by id; nothing of others."""

    seconds_of: dict[str, float] = field(default_factory=dict)
    is_measured: bool = False

    def seconds(self, task: Task) -> float | None:
        return self.seconds_of.get(task.id)

    def share(self, task: Task, step: int) -> float:
        return step / STEPS


def tally(
    *todo: Decision, workers: int = 1, foretold: Foretold | None = None, clock: Clock | None = None, skipped: int = 0
) -> Tally:
    return Tally(todo, skipped, workers, foretold or Foretold(), clock or Clock())
