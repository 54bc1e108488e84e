"""The manifest: what was done, one JSON line a task, one append-only file for each writing process.

A line goes out in one ``os.write``, then ``fdatasync``, and only after its picture is in place. Nobody ever reopens
another's part, so a line torn by a crash stays the last of its file, is skipped and counted. docs/manifest.md has the
fields.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from nst_batch.atomic import sync_folder
from nst_batch.errors import ManifestError
from nst_batch.inputs import sha256_of
from nst_batch.paths import PART_SUFFIX, RunPaths
from nst_batch.records import Source, Task, TaskResult, Weights

SCHEMA_VERSION = 1
DEATHS_TO_QUARANTINE = 2
"""A task that was in hand when this many workers died is not handed out again unless asked."""


def line(task: Task, result: TaskResult) -> bytes:
    """The manifest's line for ``result``, newline included."""
    record: dict[str, Any] = {
        "v": SCHEMA_VERSION,
        "task": task.id,
        "status": result.status,
        "content": _source(task.content),
        "style": _source(task.style),
        **_unusual(task),
        "settings": dataclasses.asdict(task.settings),
        "weights": _weights(task.weights),
    }
    rest = dataclasses.asdict(result)
    if result.status == "done":
        del rest["error"]
    record.update((key, value) for key, value in rest.items() if key not in record)
    return json.dumps(record, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _source(source: Source) -> dict[str, Any]:
    mask = {"mask": _source(source.mask)} if source.mask else {}
    return {"path": source.path, "digest": source.digest, **mask}


def _unusual(task: Task) -> dict[str, Any]:
    """Inputs that most tasks have not: several styles, or styles for regions, and a picture to start from."""
    found: dict[str, Any] = {}
    if len(task.styles) > 1 or task.styles[0].region:
        found["styles"] = [{**_source(s.source), "weight": s.weight, "region": s.region} for s in task.styles]
    if task.start:
        found["start"] = _source(task.start)
    return found


def _weights(weights: Weights) -> dict[str, Any]:
    return {"name": weights.name, "digest": weights.digest, "format": weights.format}


class ManifestWriter:
    """Appends to a part of its own, made at the first line."""

    def __init__(self, paths: RunPaths) -> None:
        self._paths = paths
        self._descriptor: int | None = None

    def append(self, task: Task, result: TaskResult) -> None:
        """Record ``result`` durably: when this returns, the line outlives a power cut.

        Raises:
            ManifestError: the line could not be written whole (a full disk); the part is closed, and the next line
                would go to a new one, so that it is never glued to a torn one.
        """
        data = line(task, result)
        try:
            if self._descriptor is None:
                self._descriptor = self._create()
            written = os.write(self._descriptor, data)
            if written < len(data):
                raise OSError(f"only {written} of {len(data)} bytes of a manifest line could be written")
            getattr(os, "fdatasync", os.fsync)(self._descriptor)  # macOS has no fdatasync
        except OSError as error:
            self.close()
            raise ManifestError(
                f"{self._paths.manifest}: a result could not be recorded: {error.strerror or error}",
                hint="what was recorded stands; make room and run again to go on",
            ) from error

    def close(self) -> None:
        """Close the part; it is never opened for writing again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _create(self) -> int:
        folder = self._paths.manifest
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._paths.new_part(), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self._descriptor = descriptor  # so that ``close`` finds it, whatever happens next
        sync_folder(folder)
        return descriptor


@dataclass(frozen=True)
class Rendered:
    """The last thing known to have been put at an output's name, and from what."""

    task: str
    bytes: int
    sha256: str
    finished: str
    inputs: str  # canonical JSON of what made it, to tell what has changed since


@dataclass
class Attempts:
    """Failures of a task since it was last done."""

    failed: int = 0
    deaths: int = 0
    transient: bool = True
    finished: str = ""
    error: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class History:
    """All parts of a manifest, merged."""

    rendered: dict[str, Rendered] = field(default_factory=dict)  # by output name
    attempts: dict[str, Attempts] = field(default_factory=dict)  # by task id
    parts: int = 0
    lines: int = 0
    skipped: int = 0  # lines that are broken, torn, or of a newer schema


class _Failed(NamedTuple):
    """What counts of a ``failed`` line."""

    finished: str
    task: str
    error: Mapping[str, Any]


def read(paths: RunPaths) -> History:
    """Merge every part below ``paths.manifest``, in whatever order; none at all gives an empty history."""
    history = History()
    done: dict[str, str] = {}  # when each task was last done, by id
    failed: list[_Failed] = []
    if paths.manifest.is_dir():
        for part in sorted(paths.manifest.glob(f"*{PART_SUFFIX}")):
            history.parts += 1
            with part.open("rb") as file:
                _merge(history, done, failed, file)
    _count_attempts(history, done, failed)
    return history


def _merge(history: History, done: dict[str, str], failed: list[_Failed], lines: Iterable[bytes]) -> None:
    for raw in lines:
        record = _parse(raw)
        if record is None:
            history.skipped += 1
            continue
        history.lines += 1
        if record["status"] == "done":
            _merge_done(history, done, record)
        else:
            failed.append(_Failed(record["finished"], record["task"], record.get("error") or {}))


_NEEDED: dict[str, type] = {
    "task": str, "output": str, "finished": str, "bytes": int, "sha256": str,
    "settings": dict, "content": dict, "style": dict, "weights": dict,
}  # fmt: skip


def _parse(raw: bytes) -> dict[str, Any] | None:
    """The record of a line, or None when it is torn or not ours."""
    try:
        record = json.loads(raw)
        if record["v"] != SCHEMA_VERSION or record["status"] not in ("done", "failed"):
            return None
        whole = all(isinstance(record[key], kind) for key, kind in _NEEDED.items())
        whole = whole and all(isinstance(record[key]["digest"], str) for key in ("content", "style", "weights"))
        return record if whole and isinstance(record.get("error") or {}, dict) else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _merge_done(history: History, done: dict[str, str], record: Mapping[str, Any]) -> None:
    task, output, finished = record["task"], record["output"], record["finished"]
    before = history.rendered.get(output)
    if before is None or before.finished <= finished:
        history.rendered[output] = Rendered(task, record["bytes"], record["sha256"], finished, _inputs(record))
    done[task] = max(finished, done.get(task, ""))


def _count_attempts(history: History, done: Mapping[str, str], failed: Iterable[_Failed]) -> None:
    """Failures in the order of time, those before a task was done left out."""
    for each in sorted(failed, key=lambda each: each.finished):
        if each.finished <= done.get(each.task, ""):
            continue
        attempts = history.attempts.setdefault(each.task, Attempts())
        attempts.failed += 1
        attempts.deaths += each.error.get("type") == "WorkerDied"
        attempts.transient = bool(each.error.get("transient"))
        attempts.finished = each.finished
        attempts.error = each.error


def _inputs(record: Mapping[str, Any]) -> str:
    made_of = {
        "digests": _digests(record),
        "weights": [record["weights"]["digest"], record["weights"].get("format", "torchvision")],
        "settings": record["settings"],
    }
    return json.dumps(made_of, sort_keys=True)


def _digests(record: Mapping[str, Any]) -> dict[str, str]:
    """Every input file of a record, by its part in it."""
    styles = {f"style {place}": style for place, style in enumerate(record.get("styles", [])[1:], 2)}
    sources = {"content": record["content"], "style": record["style"], **styles}
    if "start" in record:
        sources["start"] = record["start"]
    masks = {f"mask of {part}": source["mask"] for part, source in sources.items() if source.get("mask")}
    shares = {f"share of style {n}": f"{s['weight']} {s['region']}" for n, s in enumerate(record.get("styles", []), 1)}
    return {**{part: source["digest"] for part, source in {**sources, **masks}.items()}, **shares}


@dataclass(frozen=True)
class Decision:
    """Whether a task is to be rendered, and why.

    ``state`` is ``done``, ``todo``, or ``failed`` (given up, until ``--retry-failed``). ``reason`` is the group that
    ``plan`` counts by, ``detail`` the rest of the sentence.
    """

    task: Task
    state: str
    reason: str = ""
    detail: str = ""
    attempts: int = 0  # failed so far


def decide(
    tasks: Iterable[Task],
    history: History,
    paths: RunPaths,
    *,
    retries: int,
    verify: bool = False,
    force: bool = False,
    retry_failed: bool = False,
) -> list[Decision]:
    """What to do with each task.

    Done means: the last line about the task's output is a ``done`` line of this very task, and the file is there with
    the recorded size (``verify``: and SHA-256).
    """
    size_of = output_sizes(paths)
    decisions = []
    for task in tasks:
        attempts = history.attempts.get(task.id, Attempts())
        why = _why_render(task, history.rendered.get(task.output), paths, size_of, verify)
        if force:
            why = ("forced", "")
        if why is None:
            decisions.append(Decision(task, "done"))
        elif attempts.failed and not force:
            decisions.append(_after_failures(task, attempts, retries, retry_failed))
        else:
            decisions.append(Decision(task, "todo", *why))
    return decisions


def _after_failures(task: Task, attempts: Attempts, retries: int, retry_failed: bool) -> Decision:
    message = str(attempts.error.get("message", ""))
    count = f"{attempts.failed} of {retries + 1}: {message}" if attempts.transient else message
    if attempts.deaths >= DEATHS_TO_QUARANTINE:
        reason, given_up = "quarantined", True
        count = f"{attempts.deaths} workers died with it: {message}"
    else:
        reason, given_up = "failed", not attempts.transient or attempts.failed > retries
    if given_up and not retry_failed:
        return Decision(task, "failed", reason, count, attempts.failed)
    return Decision(task, "todo", reason, count, attempts.failed)


def output_sizes(paths: RunPaths) -> Callable[[str], int | None]:
    """A file's size by its output name (None: not there), from one listing a folder, not one call a file."""
    folders: dict[str, dict[str, int]] = {}

    def size_of(output: str) -> int | None:
        folder, _, name = output.rpartition("/")
        if folder not in folders:
            try:
                with os.scandir(paths.output(folder)) as entries:
                    folders[folder] = {e.name: size for e in entries if (size := _size(e)) is not None}
            except OSError:
                folders[folder] = {}
        return folders[folder].get(name)

    return size_of


def _size(entry: os.DirEntry[str]) -> int | None:
    """A file's size; None for what is no file, or has gone since it was listed."""
    try:
        return entry.stat().st_size if entry.is_file() else None
    except OSError:
        return None


def _why_render(
    task: Task, rendered: Rendered | None, paths: RunPaths, size_of: Callable[[str], int | None], verify: bool
) -> tuple[str, str] | None:
    """(reason, detail) why the picture of ``task`` is not there, or None when it is."""
    if rendered is None:
        return "new", ""
    if rendered.task != task.id:
        return _what_changed(task, json.loads(rendered.inputs))
    size = size_of(task.output)
    if size is None:
        return "output missing", task.output
    if size != rendered.bytes:
        return "output altered", f"{size} bytes, {rendered.bytes} recorded"
    if verify and sha256_of(paths.output(task.output)) != rendered.sha256:
        return "output altered", "same size, other bytes"
    return None


def _what_changed(task: Task, before: Mapping[str, Any]) -> tuple[str, str]:
    record = {"content": _source(task.content), "style": _source(task.style), **_unusual(task)}
    after, earlier = _digests(record), before["digests"]
    inputs = [_called(part, task) for part in {**after, **earlier} if after.get(part) != earlier.get(part)]
    if inputs:
        return "input changed", ", ".join(inputs)
    if [task.weights.digest, task.weights.format] != before["weights"]:
        return "weights changed", f"now {task.weights.name}"
    now = json.loads(json.dumps(dataclasses.asdict(task.settings)))
    then = before["settings"]
    fields = [
        f"{name}: {then.get(name, 'unset')} -> {now.get(name, 'unset')}"
        for name in sorted(now.keys() | then.keys())
        if now.get(name) != then.get(name)
    ]
    if fields:
        return "settings changed", ", ".join(fields)
    return "algorithm changed", "another format, or a newer nst_batch, renders these settings otherwise"


def _called(part: str, task: Task) -> str:
    """An input for people: ``style monet.jpg``, or ``mask of content``."""
    source = {"content": task.content, "style": task.style}.get(part)
    return f"{part} {Path(source.path).name}" if source else part
