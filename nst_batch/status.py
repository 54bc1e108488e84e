"""A run's state from its folder alone: its plan, its manifest and its pictures. Reads only; works while it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nst_batch import decisions, history
from nst_batch.errors import UsageError
from nst_batch.paths import RunPaths


def folder_status(folder: Path) -> dict[str, Any]:
    """Counts and failures of the last planned run in ``folder``.

    Raises:
        UsageError: no run was ever started there.
    """
    paths = RunPaths(folder)
    try:
        planned = [json.loads(line) for line in paths.plan.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder}: no run has been started here: {paths.plan.name} is missing or broken") from error
    known = history.read(paths)
    done = 0
    failures: dict[str, str] = {}
    hints: dict[str, str] = {}
    size_of = decisions.output_sizes(paths)
    for item in planned:
        rendered = known.rendered.get(item["output"])
        if rendered is not None and rendered.task == item["task"] and size_of(item["output"]) == rendered.bytes:
            done += 1
        elif item["task"] in known.attempts:
            last = known.attempts[item["task"]].error
            failures[item["output"]], hints[item["output"]] = (str(last.get(key) or "") for key in ("message", "hint"))
    todo = len(planned) - done - len(failures)
    name = folder.resolve().name
    return {"name": name, "tasks": len(planned), "done": done, "failed": len(failures), "todo": todo,
            "failures": failures, "hints": hints}  # fmt: skip
