"""A run's state from its folder alone: its plan, its manifest and its pictures. Reads only; works while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nst_batch import decisions, history
from nst_batch.history import History
from nst_batch.paths import RunPaths
from nst_batch.planned import Planned, read_plan


def folder_status(folder: Path) -> dict[str, Any]:
    """Counts and failures of the last planned run in ``folder``.

    Raises:
        UsageError: no run was ever started there.
    """
    paths = RunPaths(folder)
    known = history.read(paths)
    counts = dict.fromkeys(("done", "failed", "todo"), 0)
    failures: dict[str, str] = {}
    hints: dict[str, str] = {}
    for item, state in planned_states(paths, known):
        counts[state] += 1
        if state == "failed":
            last = known.attempts[item.task].error
            failures[item.output], hints[item.output] = (str(last.get(key) or "") for key in ("message", "hint"))
    name = folder.resolve().name
    return {"name": name, "tasks": sum(counts.values()), **counts, "failures": failures, "hints": hints}


def planned_states(paths: RunPaths, known: History | None = None) -> Iterator[tuple[Planned, str]]:
    """Every task of the last planned run, and whether it is ``done``, ``failed`` or ``todo``.

    Raises:
        UsageError: no run was ever started there.
    """
    plan = read_plan(paths)
    known = known or history.read(paths)
    size_of = decisions.output_sizes(paths)
    for item in plan.values():
        rendered = known.rendered.get(item.output)
        if rendered is not None and rendered.task == item.task and size_of(item.output) == rendered.bytes:
            yield item, "done"
        else:
            yield item, "failed" if item.task in known.attempts else "todo"
