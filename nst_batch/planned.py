"""What runs set out to do in a folder, one task a line: all that ``status``, ``export`` and ``report`` know of tasks
that nobody has rendered yet.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nst_batch.atomic import write_atomic
from nst_batch.disk import checkpoint_bytes, picture_bytes
from nst_batch.errors import UsageError
from nst_batch.paths import RunPaths
from nst_batch.records import Task
from nst_batch.settings import TransferSettings


@dataclass(frozen=True)
class Planned:
    """A task, as far as looking at it goes: its id, its picture's name, its inputs' paths, floating-point operations,
    and the bytes that its picture and its checkpoint may take. ``point`` are those settings in which the plan's tasks
    differ: a sweep's values, or a pair's own."""

    task: str
    output: str
    content: str
    styles: tuple[str, ...]
    cost: float = 0.0
    point: Mapping[str, Any] = field(default_factory=dict)
    bytes: int = 0
    checkpoint_bytes: int = 0

    @property
    def style(self) -> str:
        """The first style's path."""
        return self.styles[0]


def planned(tasks: Iterable[Task]) -> dict[str, Planned]:
    """Tasks by output name, in their order."""
    tasks = list(tasks)
    points = _points(tasks)
    return {
        task.output: Planned(
            task.id, task.output, task.content.path, tuple(style.source.path for style in task.styles), task.cost,
            points[id(task.settings)], picture_bytes(task), checkpoint_bytes(task),
        )
        for task in tasks
    }  # fmt: skip


def write_plan(paths: RunPaths, plan: Iterable[Planned]) -> None:
    """Put a plan in place of the one that is there, if any.

    Raises:
        OSError: it cannot be written.
    """
    lines = (json.dumps(_line(each)) for each in plan)
    write_atomic(paths.plan, ("\n".join(lines) + "\n").encode())


def read_plan(paths: RunPaths) -> dict[str, Planned]:
    """The last plan by output name, in its order.

    Raises:
        UsageError: no run was ever started there, or the file is damaged.
    """
    try:
        with paths.plan.open(encoding="utf-8") as file:
            return {each.output: each for each in map(_planned, file)}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{paths.root}: no run has been started here: {paths.plan.name} is missing or broken",
            hint="name a pipeline file, or the folder that its output.dir names",
        ) from error


def _line(each: Planned) -> dict[str, Any]:
    """Most pictures have one style, and no point of their own."""
    line = {"task": each.task, "output": each.output, "content": each.content, "style": each.style, "cost": each.cost,
            "bytes": each.bytes, "checkpoint_bytes": each.checkpoint_bytes}  # fmt: skip
    more = {"styles": each.styles} if len(each.styles) > 1 else {}
    return {**line, **more, **({"point": each.point} if each.point else {})}


def _planned(text: str) -> Planned:
    line = json.loads(text)
    styles = tuple(map(str, line.get("styles") or [line["style"]]))
    task, output, content = (str(line[key]) for key in ("task", "output", "content"))
    sizes = (int(line.get(key) or 0) for key in ("bytes", "checkpoint_bytes"))
    return Planned(task, output, content, styles, float(line.get("cost") or 0.0), dict(line.get("point") or {}), *sizes)


def _points(tasks: Iterable[Task]) -> dict[int, dict[str, Any]]:
    """What is particular to each settings object, by its ``id``: thousands of tasks share a few of them."""
    found = {id(task.settings): task.settings for task in tasks}
    kinds = {id(each): dataclasses.asdict(each) for each in found.values()}
    names = [item.name for item in dataclasses.fields(TransferSettings)]
    first = next(iter(kinds.values()), {})
    differing = [name for name in names if any(each[name] != first[name] for each in kinds.values())]
    return {key: {name: each[name] for name in differing} for key, each in kinds.items()}
