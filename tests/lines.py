"""Tasks, their results and their manifest lines, for tests."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from nst_batch.paths import RunPaths
from nst_batch.planning.ids import task_id
from nst_batch.recorded.decisions import Decision, decide
from nst_batch.recorded.history import read
from nst_batch.recorded.manifest import ManifestWriter
from nst_batch.records import Failure, Losses, Source, Style, Task, TaskResult, Weights
from nst_batch.settings import TransferSettings

CONTENT, STYLE = Source("photos/c.png", "c" * 64, 10, 64, 48), Source("art/s.png", "d" * 64, 10, 64, 48)
WEIGHTS = Weights("imagenet", "e" * 64, "vgg.pth")
LOSSES = Losses(3.0, 1.0, 2.0, {"content": {"conv2_2": 1.0}, "style": {"conv1_1": 2.0}})


def task(output: str = "c__s.png", **changes: Any) -> Task:
    content, styles = (
        changes.pop("content", CONTENT),
        changes.pop("styles", None) or (Style(changes.pop("style", STYLE)),),
    )
    weights = changes.pop("weights", WEIGHTS)
    start = changes.pop("start", None)
    settings = TransferSettings(**changes)
    identity = task_id(content, styles, settings, weights, start=start)
    return Task(identity, content, styles, settings, weights, output, start=start)


def done(each: Task, data: bytes = b"picture", finished: str = "2026-01-01T00:00:02") -> TaskResult:
    digest = hashlib.sha256(data).hexdigest()
    return TaskResult(each.id, "done", each.output, losses=LOSSES, bytes=len(data), sha256=digest, finished=finished)


def failed(each: Task, kind: str = "ImageError", finished: str = "2026-01-01T00:00:01") -> TaskResult:
    error = Failure(kind, f"{kind} happened", "a hint", transient=kind != "ImageError")
    return TaskResult(each.id, "failed", each.output, error=error, finished=finished)


def write(paths: RunPaths, *results: tuple[Task, TaskResult]) -> Path:
    """One new part with these lines."""
    before = set(paths.manifest.glob("*"))
    writer = ManifestWriter(paths)
    for each, result in results:
        writer.append(each, result)
    writer.close()
    (part,) = set(paths.manifest.iterdir()) - before
    return part


def put(paths: RunPaths, each: Task, data: bytes = b"picture") -> None:
    path = paths.output(each.output)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def decision(paths: RunPaths, each: Task, **options: Any) -> Decision:
    (found,) = decide([each], read(paths), paths, retries=options.pop("retries", 2), **options)
    return found


MASK, START = Source("photos/c.mask.png", "1" * 64, 1), Source("before.png", "2" * 64, 1)
TWO = (Style(STYLE, 2.0), Style(Source("art/t.png", "3" * 64, 10), 1.0, "#ff0000"))
