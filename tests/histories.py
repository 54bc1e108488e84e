"""Manifests of many parts: pictures rendered again, failures before and after, torn and foreign lines."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from nst_batch.paths import RunPaths
from nst_batch.recorded.history import Attempts, Records, read
from nst_batch.recorded.manifest import line
from nst_batch.recorded.rendered import Rendered
from nst_batch.records import Task, TaskResult
from tests.lines import done, failed, task, write

Known = tuple[dict[str, Rendered], dict[str, Attempts], dict[tuple[str, str], dict[str, Any]]]


def moment(number: int) -> str:
    """As lines have it."""
    return f"2026-01-01T00:00:00.{number:06}+00:00"


def known(paths: RunPaths) -> Known:
    """All that commands look at: what is known of outputs and tasks, and the last lines about these."""
    history = read(paths)
    records = Records(paths, history)
    last = {(each, "done"): records.done(each) for each in history.rendered}
    last |= {(each, "failed"): records.failed(each) for each in history.attempts}
    return dict(history.rendered), history.attempts, last


def grow(paths: RunPaths, numbers: random.Random, outputs: int = 5, parts: int = 5) -> None:
    """More parts, each of some lines about a few outputs and tasks; some are torn at their end."""
    for _ in range(numbers.randrange(1, parts + 1)):
        lines = [_result(numbers, outputs) for _ in range(numbers.randrange(1, 8))]
        part = write(paths, *lines)
        if numbers.random() < 0.4:
            data = part.read_bytes()
            part.write_bytes(data[: -numbers.randrange(1, 60)])


def _result(numbers: random.Random, outputs: int) -> tuple[Task, TaskResult]:
    each = task(f"{numbers.randrange(outputs)}.png", steps=numbers.randrange(1, 4))
    finished = moment(numbers.randrange(10**6))
    if numbers.random() < 0.5:
        return each, done(each, data=numbers.randbytes(9), finished=finished)
    return each, failed(each, numbers.choice(("OSError", "WorkerDied", "ImageError")), finished=finished)


def small(paths: RunPaths) -> None:
    """Five parts with everything that a part may have."""
    a, b, c = task("a.png"), task("b.png", steps=4), task("c.png", steps=3)
    again = task("a.png", steps=2)
    write(
        paths,
        (a, failed(a, "OSError", moment(1))),
        (a, done(a, b"one", moment(2))),
        (c, failed(c, "OSError", moment(3))),
    )
    write(paths, (again, done(again, b"two", moment(9))), (b, failed(b, "OSError", moment(4))))
    torn = write(paths, (c, failed(c, "WorkerDied", moment(8))), (b, done(b, b"picture", moment(5))))
    torn.write_bytes(torn.read_bytes()[:-40])
    unended = write(paths, (b, failed(b, "OSError", moment(6))))
    unended.write_bytes(unended.read_bytes()[:-1])
    newer = json.loads(line(a, done(a))) | {"v": 2}
    with write(paths, (c, failed(c, "OSError", moment(7)))).open("ab") as part:
        part.write(json.dumps(newer).encode() + b"\n")


def parts(paths: RunPaths) -> dict[str, bytes]:
    """All files of a manifest."""
    return {path.name: path.read_bytes() for path in sorted(paths.manifest.iterdir())}


def put(paths: RunPaths, files: dict[str, bytes]) -> None:
    """Files into a manifest's folder, as a copy does: what else is there stays."""
    paths.manifest.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (paths.manifest / name).write_bytes(data)


def only(folder: Path) -> Path:
    """The one merged part."""
    (found,) = folder.glob("*.merged.jsonl")
    return found
