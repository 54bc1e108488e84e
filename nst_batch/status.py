"""The state of each task of a run, from its folder alone: its plan, its manifest and its pictures. Reads only."""

from __future__ import annotations

from collections.abc import Iterator

from nst_batch import decisions, history
from nst_batch.history import History
from nst_batch.paths import RunPaths
from nst_batch.planned import Planned, read_plan


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
