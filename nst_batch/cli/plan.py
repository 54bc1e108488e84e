"""``nst-batch plan``."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst_batch.cli.console import SHOWN, in_words, overridden, print_json, printable, reports_errors, say, tasks
from nst_batch.cli.options import Force, Json, PipelineFile, RetryFailed, Sets, Verify
from nst_batch.errors import ExitCode

if TYPE_CHECKING:
    from nst_batch.decisions import Decision
    from nst_batch.forecasts import Forecaster
    from nst_batch.pipeline import Pipeline


@reports_errors
def plan(
    pipeline: PipelineFile = Path("pipeline.yaml"),
    sets: Sets = None,
    verify: Verify = False,
    force: Force = False,
    retry_failed: RetryFailed = False,
    as_json: Json = False,
) -> int:
    """Show what would be rendered, and why."""
    begun = time.monotonic()
    from nst_batch.cli.rendering import warn_of_broken_lines
    from nst_batch.pipeline import Choices, prepare

    ready = prepare(pipeline, overridden(sets), Choices(verify, force, retry_failed), say)
    warn_of_broken_lines(ready)
    ahead = ready.forecaster()
    if as_json:
        listed = [
            {"task": d.task.id, "output": d.task.output, "state": d.state, "reason": d.reason, "detail": d.detail}
            | _forecast(ahead, d)
            for d in ready.decisions
        ]
        total = dataclasses.asdict(ahead.total(d.task for d in ready.todo()))
        print_json({**_state(ready, begun), "reasons": ready.reasons(), "forecast": total, "decisions": listed})
        return ExitCode.DONE
    counts = ready.counts()
    print(f"{ready.name}: {tasks(counts['tasks'])}: {in_words(counts)}")
    for reason, count in ready.reasons().items():
        print(f"  {count} {reason}")
    if counts["todo"]:
        print(f"  {_in_total(ahead, ready)}")
    _print_decisions([d for d in ready.decisions if d.state != "done"], ahead)
    return ExitCode.DONE


def _forecast(ahead: Forecaster, decision: Decision) -> dict[str, Any]:
    """What is expected of a task that is to be rendered; nothing where the picture's size is not known."""
    found = ahead.of(decision.task) if decision.state == "todo" else None
    return {"forecast": None if found is None else dataclasses.asdict(found)}


def _in_total(ahead: Forecaster, ready: Pipeline) -> str:
    from nst_batch.cli.figures import clock
    from nst_batch.memory import in_words as size_in_words

    total, workers = ahead.total(d.task for d in ready.todo()), ahead.here.workers
    parts = [f"about {clock(total.seconds)} on {workers} worker{'s' * (workers > 1)}"]
    parts += [f"{size_in_words(total.bytes)} at most{' each' * (workers > 1)}"]
    parts += [f"{total.strips} in strips, to save memory"] if total.strips else []
    parts += [f"{total.too_large} too large for the memory there is"] if total.too_large else []
    return ", ".join(parts) + ("" if ahead.is_measured else " (nothing was measured here yet)")


def _print_decisions(decisions: list[Decision], ahead: Forecaster) -> None:
    from nst_batch.cli.figures import clock
    from nst_batch.memory import in_words as size_in_words

    for decision in decisions[:SHOWN]:
        why = f"{decision.reason}: {decision.detail}" if decision.detail else decision.reason
        gone = "" if decision.state == "todo" else "  (given up; --retry-failed tries again)"
        expected = ahead.of(decision.task) if decision.state == "todo" else None
        takes = f"  {clock(expected.seconds)}, {size_in_words(expected.bytes)}" if expected else ""
        takes += f", strips of {expected.way.rows} rows" if expected and expected.way.rows else ""
        takes += ", does not fit" if expected and not expected.fits else ""
        print(printable(f"{decision.task.output}  {why}{gone}{takes}"))
    if len(decisions) > SHOWN:
        print(f"… and {len(decisions) - SHOWN} more; --json lists them all")


def _state(ready: Pipeline, begun: float) -> dict[str, Any]:
    counts = ready.counts()
    return {**counts, "rendered": 0, "skipped": counts["done"], "seconds": round(time.monotonic() - begun, 3)}
