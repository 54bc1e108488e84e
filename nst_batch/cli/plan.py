"""``nst-batch plan``."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nst_batch.cli.console import (
    SHOWN,
    folded,
    in_words,
    overridden,
    print_json_with,
    printable,
    reports_errors,
    say,
    tasks,
)
from nst_batch.cli.failures import altered_line
from nst_batch.cli.figures import Column, Line, clock, table
from nst_batch.cli.options import Force, Json, PipelineFile, RetryFailed, Sets, Verify
from nst_batch.errors import ExitCode
from nst_batch.recorded.alike import NAMED

if TYPE_CHECKING:
    from nst_batch.pipeline import Pipeline
    from nst_batch.planning.disk import Room
    from nst_batch.planning.forecasts import Forecaster, Total
    from nst_batch.recorded.decisions import Decision, Decisions

MOST_LISTED = 10_000  # decisions: of a million, 300 MB of JSON
_FEW = 5  # pictures that cannot be used


@reports_errors
def plan(
    pipeline: PipelineFile = Path("pipeline.yaml"),
    sets: Sets = None,
    verify: Verify = False,
    force: Force = False,
    retry_failed: RetryFailed = False,
    as_json: Json = False,
    every: Annotated[
        bool, typer.Option("--all", help=f"With --json: every decision, where there are more than {MOST_LISTED:,}.")
    ] = False,
) -> int:
    """Show what would be rendered, and why."""
    begun = time.monotonic()
    from nst_batch.cli.reading import Reading
    from nst_batch.cli.rendering import warn_of_broken_lines
    from nst_batch.pipeline import Choices, prepare

    with Reading() as reading:
        ready = prepare(pipeline, overridden(sets), Choices(verify, force, retry_failed), say, progress=reading)
    warn_of_broken_lines(ready)
    ahead, room = ready.forecaster(), ready.room()
    if as_json:
        most = None if every else MOST_LISTED
        total = dataclasses.asdict(_total(ahead, ready))
        left_out = 0 if most is None else max(0, len(ready.decisions) - most)
        head = {
            **_state(ready, begun), "reasons": ready.reasons(), "left_out": ready.left_out_facts(),
            "unusable": [{"path": path, "problem": why} for path, why in ready.unusable().first(MOST_LISTED)],
            "styles": ready.tasks.spread()._asdict(), "forecast": total, "disk": dataclasses.asdict(room),
            "decisions_left_out": left_out,
        }  # fmt: skip
        print_json_with(head, "decisions", (_as_json(each, ahead) for each in _listed(ready.decisions, most)))
        return ExitCode.DONE
    from nst_batch.cli.figures import show

    show(lambda width: _lines(ready, ahead, room, width))
    return ExitCode.DONE


def _lines(ready: Pipeline, ahead: Forecaster, room: Room, width: int | None) -> list[Line]:
    counts = ready.counts()
    lines: list[Line] = [((f"{ready.name}: {tasks(counts['tasks'])}: {in_words(counts)}", "bold"),)]
    lines += [((f"  {count} {reason}", ""),) for reason, count in ready.reasons().items()]
    if altered := ready.altered():
        told = altered_line(len(altered), [each.task.output for each in altered[:NAMED]])
        lines += [((line, ""),) for line in folded(told, width).split("\n")]
    spread = ready.tasks.spread()
    if spread.least != spread.most:
        lines.append(((f"  {spread.styles} styles, each in {spread.least} to {spread.most} pictures", ""),))
    if counts["todo"]:
        lines += [((f"  {part}", ""),) for part in _in_total(ahead, ready)]
        lines += _disk(room)
    return lines + _unusable(ready, width) + _table(ready.decisions.but("done"), ahead, width)


def _unusable(ready: Pipeline, width: int | None) -> list[Line]:
    """Which pictures will fail, wherever they are among a million."""
    from nst_batch.cli.figures import short

    unusable = ready.unusable()
    if not unusable:
        return []
    told = [f"  {len(unusable)} files cannot be used; their tasks will fail:"]
    for path, why in unusable.first(_FEW):
        name = printable(path if width is None else short(path, max(20, width // 2)))
        told += folded(f"    {name}: {printable(why)}", width).split("\n")
    more = len(unusable) - _FEW
    told += [f"    … and {more} more; --json lists them"] if more > 0 else []
    return [((line, "red"),) for line in told]


def _listed(decisions: Decisions, most: int | None) -> Iterable[Decision]:
    """All of them; of more than that, what is not done comes first."""
    if most is None or len(decisions) <= most:
        return decisions
    first = decisions.but("done")[:most]
    return chain(first, decisions.only("done")[: most - len(first)])


def _as_json(decision: Decision, ahead: Forecaster) -> dict[str, Any]:
    task = decision.task
    told = {"task": task.id, "output": task.output, "state": decision.state, "reason": decision.reason}
    return {**told, "detail": decision.detail, **_forecast(ahead, decision)}


def _forecast(ahead: Forecaster, decision: Decision) -> dict[str, Any]:
    """What is expected of a task that is to be rendered; nothing where the picture's size is not known."""
    found = ahead.of(decision.task) if decision.state == "todo" else None
    return {"forecast": None if found is None else dataclasses.asdict(found)}


def _total(ahead: Forecaster, ready: Pipeline) -> Total:
    todo = ready.todo()
    return ahead.total(todo.tasks, todo.rows)


def _in_total(ahead: Forecaster, ready: Pipeline) -> list[str]:
    from nst_batch.memory import in_words as size_in_words

    total, workers = _total(ahead, ready), ahead.here.workers
    parts = [f"about {clock(total.seconds)} on {workers} worker{'s' * (workers > 1)}"]
    parts += [f"{size_in_words(total.bytes)} at most{' each' * (workers > 1)}"]
    more = [f"{total.strips} in strips, to save memory"] if total.strips else []
    more += [f"{total.too_large} too large for the memory there is"] if total.too_large else []
    unsure = "" if ahead.is_measured else " (nothing was measured here yet)"
    return [", ".join(parts) + unsure, *([", ".join(more)] if more else [])]


def _disk(room: Room) -> list[Line]:
    from nst_batch.memory import in_words as size_in_words

    needed = f"  disk: {size_in_words(room.needed)} needed"
    if room.free is None:
        return [((needed, ""),)]
    free = f"{size_in_words(room.free)} free"
    return [((f"{needed}, only {free}: not enough", "bold red") if room.is_short else (f"{needed}, {free}", ""),)]


_COLUMNS = (
    *(Column(gives_way=True), Column("bright_black", gives_way=True), Column(right=True), Column(right=True)),
    Column("red", needs=70),
)


def _table(decisions: Decisions, ahead: Forecaster, width: int | None) -> list[Line]:
    """What is not done: the picture, why, time, memory, and what is unusual."""
    if not len(decisions):
        return []
    rows = [_row(each, ahead) for each in decisions[:SHOWN]]
    lines = table([["picture", "why", "time", "memory", ""], *rows], _COLUMNS, width)
    head: Line = tuple((text, "bright_black") for text, _ in lines[0])
    foot = list[Line]()
    if len(decisions) > SHOWN:
        way = "--json --all" if len(decisions) > MOST_LISTED else "--json"
        foot.append(((f"… and {len(decisions) - SHOWN} more; {way} lists them all", ""),))
    if len(decisions.only("failed")):
        foot.append((("what was given up, `nst-batch run --retry-failed` tries again", ""),))
    return [(), head, *lines[1:], *foot]


def _row(decision: Decision, ahead: Forecaster) -> list[str]:
    from nst_batch.memory import in_words as size_in_words

    why = f"{decision.reason}: {decision.detail}" if decision.detail else decision.reason
    name, why = (printable(text).replace("\n", "?") for text in (decision.task.output, why))
    if decision.state == "failed":
        return [name, f"given up: {why}", "", "", ""]
    found = ahead.of(decision.task)
    if found is None:
        return [name, why, "", "", "cannot be read"]
    unusual = "does not fit" if not found.fits else f"strips of {found.way.rows} rows" if found.way.rows else ""
    return [name, why, clock(found.seconds), size_in_words(found.bytes), unusual]


def _state(ready: Pipeline, begun: float) -> dict[str, Any]:
    counts = ready.counts()
    common = {"altered": len(ready.altered()), "rendered": 0, "skipped": counts["done"]}
    return {**counts, **common, "seconds": round(time.monotonic() - begun, 3)}
