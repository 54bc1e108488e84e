"""The manifest as it is written: one JSON line a task, one append-only file for each writing process.

A line goes out in one ``os.write``, then ``fdatasync``, and only after its picture is in place. Nobody ever reopens
another's part, so a line torn by a crash stays the last of its file, is skipped and counted. docs/manifest.md has the
fields.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from pathlib import Path
from typing import Any

from nst_batch.atomic import sync_folder
from nst_batch.errors import OUT_OF_ROOM, ManifestError
from nst_batch.paths import RunPaths, new_name
from nst_batch.records import Source, Task, TaskResult, Weights

SCHEMA_VERSION = 1


def line(task: Task, result: TaskResult) -> bytes:
    """The manifest's line for ``result``, newline included."""
    record: dict[str, Any] = {
        "v": SCHEMA_VERSION,
        "task": task.id,
        "status": result.status,
        **inputs_of(task),
        "settings": dataclasses.asdict(task.settings),
        "weights": _weights(task.weights),
    }
    rest = dataclasses.asdict(result)
    if result.status == "done":
        del rest["error"]
    record.update((key, value) for key, value in rest.items() if key not in record)
    return json.dumps(record, allow_nan=False, separators=(",", ":")).encode() + b"\n"


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
        """Record ``result`` durably: when this returns, the line outlives a power cut.

        Raises:
            ManifestError: the line could not be written whole (a full disk, a folder that has gone); the part is
                closed, and the next line would go to a new one, so that it is never glued to a torn one.
        """
        data = line(task, result)
        try:
            if self._descriptor is None:
                self._descriptor = self._create()
            written = os.write(self._descriptor, data)
            if written < len(data):
                raise OSError(errno.ENOSPC, f"only {written} of {len(data)} bytes of a manifest line could be written")
            getattr(os, "fdatasync", os.fsync)(self._descriptor)  # macOS has no fdatasync
            if not self._is_in_place():
                raise OSError("its folder was moved or removed while the run was going on")
        except OSError as error:
            self.close()
            raise ManifestError(
                f"{self._paths.manifest}: a result could not be recorded: {error.strerror or error}",
                hint="what was recorded stands; see that the folder is there and has room, and run again to go on",
                out_of_room=error.errno in OUT_OF_ROOM,
            ) from error

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
        descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self._descriptor = descriptor  # so that ``close`` finds it, whatever happens next
        sync_folder(folder)
        return descriptor
