"""The manifest as it is read: all parts merged into what is known of each output and each task."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nst_batch.manifest import SCHEMA_VERSION
from nst_batch.parts import Parts, Repeats, is_head, writer_of
from nst_batch.paths import RunPaths


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


_NONE = Attempts()


@dataclass
class History:
    """All parts of a manifest, merged."""

    rendered: dict[str, Rendered] = field(default_factory=dict)  # by output name
    attempts: dict[str, Attempts] = field(default_factory=dict)  # by task id
    parts: int = 0
    lines: int = 0
    skipped: int = 0  # lines that are broken, torn, or of a newer schema


class ManifestReader:
    """Reads the parts of a manifest once, and then what others add to them.

    Args:
        paths: of the run.
        heed: told every record as it is read.
    """

    def __init__(self, paths: RunPaths, heed: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
        self._parts = Parts(paths.manifest)
        self._heed = heed
        self._repeats = Repeats()
        self._ended: set[str] = set()
        self._own = ""
        self.history = History()

    def records(self) -> Iterator[dict[str, Any]]:
        """Every line, and nothing else."""
        return self._records()

    def read(self) -> History:
        """Merge every part, in whatever order; none at all gives an empty history. To be called once, first."""
        history = self.history
        done: dict[str, str] = {}  # when each task was last done, by id
        failed = []
        for record in self._records():
            if record["status"] == "done":
                _merge_done(history, record)
                done[record["task"]] = max(record["finished"], done.get(record["task"], ""))
            else:
                failed.append((record["finished"], record["task"], record.get("error") or {}))
        history.parts = self._parts.count
        for finished, task, error in sorted(failed, key=lambda each: each[0]):
            if finished > done.get(task, ""):  # failures before a success are forgotten
                _merge_failed(history, task, finished, error)
        return history

    def follow(self, own: str, is_alive: Callable[[str], bool]) -> None:
        """From now on care for parts of others that may grow: not for ``own``, nor for those of writers that ended."""
        self._own = own
        self._ended = {part for part in self._parts.read if not is_alive(writer_of(part))}

    def more(self) -> set[str]:
        """Merge what was added since; the output names that it is about."""
        told = set()
        for record in self._records():
            told.add(record["output"])
            if record["status"] == "done":
                _merge_done(self.history, record)
                if self.history.attempts.get(record["task"], _NONE).finished <= record["finished"]:
                    self.history.attempts.pop(record["task"], None)
            else:
                _merge_failed(self.history, record["task"], record["finished"], record.get("error") or {})
        return told

    def _wants(self, part: str) -> bool:
        return part not in self._ended and writer_of(part) != self._own

    def _records(self) -> Iterator[dict[str, Any]]:
        """Lines that are new; those that are broken are counted. The last may be torn, or not yet written whole."""
        for part, _, raw in self._parts.lines(self._wants):
            if is_head(raw):
                continue
            record = parse(raw)
            if record is not None and record["status"] == "failed" and self._repeats.are(part, raw):
                continue
            self.history.lines += record is not None
            self.history.skipped += record is None
            if record is not None:
                self._heed(record)
                yield record


def records(paths: RunPaths) -> Iterator[dict[str, Any]]:
    """Every whole line of a manifest, as it was written; part by part."""
    yield from ManifestReader(paths).records()


def read_whole(paths: RunPaths) -> tuple[History, dict[tuple[str, str], dict[str, Any]]]:
    """All parts of a manifest, merged; and, whole, the last line about each task that was done, and the last about each
    that failed, by (task, status)."""
    found: dict[tuple[str, str], dict[str, Any]] = {}

    def heed(record: dict[str, Any]) -> None:
        key = record["task"], record["status"]
        if key not in found or found[key]["finished"] <= record["finished"]:
            found[key] = record

    return ManifestReader(paths, heed).read(), found


def last_words(attempts: Attempts) -> tuple[str, str]:
    """What was said of the last failure, and what may be done about it."""
    return str(attempts.error.get("message") or ""), str(attempts.error.get("hint") or "")


def read(paths: RunPaths) -> History:
    """All parts of a manifest, merged."""
    return ManifestReader(paths).read()


_NEEDED: dict[str, type] = {
    "task": str, "output": str, "finished": str, "bytes": int, "sha256": str,
    "settings": dict, "content": dict, "style": dict, "weights": dict,
}  # fmt: skip


def parse(raw: bytes) -> dict[str, Any] | None:
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


def _merge_done(history: History, record: Mapping[str, Any]) -> None:
    task, output, finished = record["task"], record["output"], record["finished"]
    before = history.rendered.get(output)
    if before is None or before.finished <= finished:
        history.rendered[output] = Rendered(task, record["bytes"], record["sha256"], finished, _inputs(record))


def _merge_failed(history: History, task: str, finished: str, error: Mapping[str, Any]) -> None:
    """To be called in the order of time."""
    attempts = history.attempts.setdefault(task, Attempts())
    attempts.failed += 1
    attempts.deaths += error.get("type") == "WorkerDied"
    attempts.transient = bool(error.get("transient"))
    attempts.finished = finished
    attempts.error = error


def _inputs(record: Mapping[str, Any]) -> str:
    made_of = {
        "digests": digests(record),
        "weights": [record["weights"]["digest"], record["weights"].get("format", "torchvision")],
        "settings": record["settings"],
    }
    return json.dumps(made_of, sort_keys=True)


def digests(record: Mapping[str, Any]) -> dict[str, str]:
    """Every input file of a record (or of ``manifest.inputs_of`` a task), by its part in it."""
    styles = {f"style {place}": style for place, style in enumerate(record.get("styles", [])[1:], 2)}
    sources = {"content": record["content"], "style": record["style"], **styles}
    if "start" in record:
        sources["start"] = record["start"]
    masks = {f"mask of {part}": source["mask"] for part, source in sources.items() if source.get("mask")}
    shares = {f"share of style {n}": f"{s['weight']} {s['region']}" for n, s in enumerate(record.get("styles", []), 1)}
    return {**{part: source["digest"] for part, source in {**sources, **masks}.items()}, **shares}
