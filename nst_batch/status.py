"""The state of each task of a run, from its folder alone: its plan, its manifest and its pictures. Reads only."""

from __future__ import annotations

from collections.abc import Iterator

from nst_batch import decisions
from nst_batch.history import History
from nst_batch.paths import RunPaths
from nst_batch.planned import Planned, read_plan


def planned_states(paths: RunPaths, known: History) -> Iterator[tuple[Planned, str]]:
    """Every task of the last planned run, and its state by what is ``known``.

    Raises:
        UsageError: no run was ever started there.
    """
    plan = read_plan(paths)
    size_of = decisions.output_sizes(paths)
    for item in plan.values():
        yield item, state_of(item, known, size_of(item.output))


def state_of(item: Planned, known: History, size: int | None) -> str:
    """``done``, ``failed`` or ``todo``; ``size`` is that of the file at its name, None: there is none."""
    rendered = known.rendered.get(item.output)
    if rendered is not None and rendered.task == item.task and size == rendered.bytes:
        return "done"
    return "failed" if item.task in known.attempts else "todo"
