"""The manifest as it is written: one JSON line a task, one append-only file for each writing process.

A line goes out in one ``os.write``, then ``fdatasync`` (one for all that came in together), and only after its picture
is in place. Nobody ever reopens another's part, so a line torn by a crash stays the last of its file, is skipped and
counted. docs/manifest.md has the fields.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from collections import deque
from functools import lru_cache
from pathlib import Path
from typing import Any

from nst_batch.atomic import MODE, sync_folder
from nst_batch.errors import OUT_OF_ROOM, ManifestError
from nst_batch.paths import RunPaths, new_name
from nst_batch.records import Source, Task, TaskResult, Weights
from nst_batch.settings import TransferSettings

SCHEMA_VERSION = 1


def line(task: Task, result: TaskResult) -> bytes:
    """The manifest's line for ``result``, newline included.

    Raises:
        ValueError: a number of it is not finite.
    """
    head = {"v": SCHEMA_VERSION, "task": task.id, "status": result.status, **inputs_of(task)}
    rest = {name: getattr(result, name) for name in _REST}
    for name in ("losses", "balance", "error"):
        if rest[name] is not None:
            rest[name] = dataclasses.asdict(rest[name])
    if result.status == "done":
        del rest["error"]
    parts = (_json(head)[1:-1], _common(task.settings, task.weights), _json(rest)[1:-1])
    return f"{{{','.join(parts)}}}\n".encode()


_REST = tuple(field.name for field in dataclasses.fields(TaskResult) if field.name not in ("task", "status"))


@lru_cache(maxsize=64)
def _common(settings: TransferSettings, weights: Weights) -> str:
    """What most lines of a run have in common."""
    return _json({"settings": dataclasses.asdict(settings), "weights": _weights(weights)})[1:-1]


def _json(value: object) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def inputs_of(task: Task) -> dict[str, Any]:
    """The input files of a task, as in its line."""
    return {"content": _source(task.content), "style": _source(task.style), **_unusual(task)}


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
    """Appends to a part of its own, made at the first line.

    Args:
        paths: of the run.
        name: that no other process has or will have.
    """

    def __init__(self, paths: RunPaths, name: str | None = None) -> None:
        self._paths = paths
        self._name = name or new_name()
        self._part: Path | None = None
        self._parts = 0
        self._descriptor: int | None = None

    def append(self, task: Task, result: TaskResult) -> None:
        """Record ``result`` durably. Raises as ``extend``."""
        self.extend(deque([line(task, result)]))

    def extend(self, lines: deque[bytes]) -> None:
        """Record lines durably: when this returns, they outlive a power cut.

        Each goes out in a write of its own, and one flush is for all of them. Those that are recorded are taken from
        ``lines``, after errors too.

        Raises:
            ManifestError: a line could not be written whole (a full disk, a folder that has gone); the part is closed,
                and the next line would go to a new one, so that it is never glued to a torn one.
        """
        try:
            self._extend(lines)
        except OSError as error:
            self.close()
            raise ManifestError(
                f"{self._paths.manifest}: a result could not be recorded: {error.strerror or error}",
                hint="what was recorded stands; see that the folder is there and has room, and run again to go on",
                out_of_room=error.errno in OUT_OF_ROOM,
            ) from error

    def _extend(self, lines: deque[bytes]) -> None:
        descriptor, written = self._descriptor, 0
        if descriptor is None:
            descriptor = self._create()
        try:
            for each in lines:
                length = os.write(descriptor, each)
                if length < len(each):
                    raise OSError(
                        errno.ENOSPC, f"only {length} of {len(each)} bytes of a manifest line could be written"
                    )
                written += 1
        finally:
            if written:
                self._make_durable(descriptor)
                for _ in range(written):
                    lines.popleft()

    def _make_durable(self, descriptor: int) -> None:
        getattr(os, "fdatasync", os.fsync)(descriptor)  # macOS has no fdatasync
        if not self._is_in_place():
            raise OSError("its folder was moved or removed while the run was going on")

    def _is_in_place(self) -> bool:
        """Whether the part is still the file under its name: to one that was removed, everything can be written."""
        if self._descriptor is None or self._part is None:
            return False
        try:
            there, here = self._part.stat(), os.fstat(self._descriptor)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)

    def close(self) -> None:
        """Close the part; it is never opened for writing again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _create(self) -> int:
        folder = self._paths.manifest
        folder.mkdir(parents=True, exist_ok=True)
        self._parts += 1
        self._part = self._paths.part(self._name if self._parts == 1 else f"{self._name}.{self._parts}")
        descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, MODE)
        self._descriptor = descriptor  # so that ``close`` finds it, whatever happens next
        sync_folder(folder)
        return descriptor
