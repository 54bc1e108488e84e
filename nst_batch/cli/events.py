"""A run as events for programs: a JSON object for each, on standard error. docs/status.md lists them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from nst_batch.cli.console import tell
from nst_batch.paths import RunPaths
from nst_batch.recorded.decisions import Decision
from nst_batch.records import TaskResult
from nst_batch.running.observers import Observer
from nst_batch.running.tally import Tally

PROGRESS_SECONDS = 10.0


class EventLog(Observer):
    """An observer that tells events.

    Args:
        tally: told everything before.
        paths: of the run.
    """

    def __init__(self, tally: Tally, paths: RunPaths) -> None:
        self._tally = tally
        self._paths = paths
        self._told = time.monotonic()

    @override
    def started(self, slot: int, device: str, decisions: Sequence[Decision]) -> None:
        """``task_started``, of each."""
        for each in decisions:
            task = each.task
            tell("task_started", task=task.id, output=task.output, slot=slot, device=device, together=len(decisions))

    @override
    def finished(self, slot: int, result: TaskResult, final: bool) -> None:
        """``task_finished`` or ``task_failed``."""
        common: dict[str, Any] = {
            "task": result.task, "output": result.output, "slot": slot, "device": result.device,
            "attempt": result.attempt, "seconds": round(result.seconds, 3),
        }  # fmt: skip
        if result.error is not None:
            tell("task_failed", **common, final=final, error=dataclasses.asdict(result.error))
            return
        losses = dataclasses.asdict(result.losses) if result.losses else None
        tell(
            "task_finished", **common, file=str(self._paths.output(result.output)), losses=losses,
            evaluations=result.evaluations, width=result.width, height=result.height, bytes=result.bytes,
            given_up=result.given_up,
        )  # fmt: skip

    @override
    def elsewhere(self, decision: Decision) -> None:
        """``task_elsewhere``."""
        tell("task_elsewhere", task=decision.task.id, output=decision.task.output, status=decision.state)

    @override
    def note(self, text: str) -> None:
        """``note``."""
        tell("note", text=text)

    @override
    def tick(self) -> None:
        """``progress``, at an interval."""
        if time.monotonic() - self._told >= PROGRESS_SECONDS:
            self._told = time.monotonic()
            state = self._tally.state()
            tell("progress", **dataclasses.asdict(state), fraction=round(state.fraction, 4))
