"""What a pipeline file came to, and the file that keeps it: its tasks, and how they are run.

A job of a cluster begins hours after it was submitted, and again after each pre-emption. It renders what was submitted,
whatever has become of the pipeline file since.

The file is JSON, one object a line: first what all tasks have in common (``settings`` and ``sources`` once each), then
the tasks, which name these by their places.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from nst_batch.atomic import write_atomic
from nst_batch.errors import UsageError
from nst_batch.records import Limits, OutputFormat, Source, Style, Task, Weights
from nst_batch.settings import Stop, TransferSettings
from nst_batch.spec_run import Run

VERSION = 1
T = TypeVar("T")


@dataclass(frozen=True)
class Frozen:
    """A pipeline, planned: its name, how it is run, what its inputs may be, its weights and its tasks."""

    name: str
    run: Run
    limits: Limits
    weights: Weights
    tasks: tuple[Task, ...]


def save(frozen: Frozen, path: Path) -> None:
    """Write to a file.

    Raises:
        OSError: it cannot be written.
    """
    sources, settings = _Places[Source](), _Places[TransferSettings]()
    tasks = [_of_task(task, sources, settings) for task in frozen.tasks]
    formats = {task.format for task in frozen.tasks}
    common = {
        "v": VERSION,
        "name": frozen.name,
        "run": frozen.run.model_dump(mode="json"),
        "limits": dataclasses.asdict(frozen.limits),
        "weights": dataclasses.asdict(frozen.weights),
        "format": dataclasses.asdict(formats.pop() if formats else OutputFormat()),
        "settings": [dataclasses.asdict(each) for each in settings],
        "sources": [dataclasses.asdict(each) for each in sources],
    }
    lines = (json.dumps(each, separators=(",", ":")) for each in (common, *tasks))
    write_atomic(path, ("\n".join(lines) + "\n").encode())


def load(path: Path) -> Frozen:
    """Read what ``save`` has written.

    Raises:
        UsageError: the file is missing, damaged, or of another version of nst_batch.
    """
    try:
        with path.open(encoding="utf-8") as file:
            common = json.loads(file.readline())
            if common["v"] != VERSION:
                raise UsageError(f"{path}: written by another version of nst_batch", hint="submit it again")
            weights, format = Weights(**common["weights"]), OutputFormat(**common["format"])
            settings = [_settings(each) for each in common["settings"]]
            sources = [_source(each) for each in common["sources"]]
            tasks = tuple(_task(json.loads(line), sources, settings, weights, format) for line in file)
        run, limits = Run.model_validate(common["run"]), Limits(**common["limits"])
        return Frozen(str(common["name"]), run, limits, weights, tasks)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read: {error.strerror}", hint="name a folder in RUN/submissions"
        ) from error
    except (ValueError, LookupError, TypeError) as error:
        raise UsageError(f"{path}: damaged: {error}", hint="submit it again") from error


class _Places(dict[T, int]):
    """Values, each once, by the place at which it was first met."""

    def of(self, value: T) -> int:
        return self.setdefault(value, len(self))


def _of_task(task: Task, sources: _Places[Source], settings: _Places[TransferSettings]) -> dict[str, Any]:
    line: dict[str, Any] = {
        "id": task.id,
        "output": task.output,
        "content": sources.of(task.content),
        "styles": [[sources.of(style.source), style.weight, style.region] for style in task.styles],
        "settings": settings.of(task.settings),
        "cost": task.cost,
    }
    return line if task.start is None else {**line, "start": sources.of(task.start)}


def _task(
    line: dict[str, Any],
    sources: list[Source],
    settings: list[TransferSettings],
    weights: Weights,
    format: OutputFormat,
) -> Task:
    styles = tuple(Style(sources[place], weight, region) for place, weight, region in line["styles"])
    start = sources[line["start"]] if "start" in line else None
    return Task(
        line["id"], sources[line["content"]], styles, settings[line["settings"]], weights, line["output"], format,
        start, line["cost"],
    )  # fmt: skip


def _source(values: dict[str, Any]) -> Source:
    return Source(**{**values, "mask": _source(values["mask"]) if values["mask"] else None})


def _settings(values: dict[str, Any]) -> TransferSettings:
    """Lists are tuples again: JSON knows no others."""
    plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    plain["stop"] = Stop(**values["stop"]) if values["stop"] else None
    return TransferSettings(**plain)
