"""Runs in which much has happened: manifests of several parts, pictures that are there, altered or gone, and tasks that
are still the same, or others."""

from __future__ import annotations

import dataclasses
import json
import random
from typing import Any

from nst_batch.paths import RunPaths
from nst_batch.recorded.manifest import line
from nst_batch.records import Source, Style, Task, Weights
from nst_batch.settings import Stop
from tests.lines import WEIGHTS, done, failed, task

OUTPUTS = 9


def moment(number: int) -> str:
    """As lines have it."""
    return f"2026-01-01T00:00:00.{number:06}+00:00"


def some_task(numbers: random.Random, output: str) -> Task:
    """One of a few dozen."""
    pictures = [Source(f"p/{n}.png", f"{n:064x}", 9, 64, 48) for n in range(3)]
    masked = dataclasses.replace(pictures[0], mask=Source("p/0.mask.png", "a" * 64, 1))
    more: dict[str, Any] = numbers.choice((
        *[{}] * 6, {"steps": 3}, {"steps": 4, "stop": Stop()}, {"scales": (64, 128)}, {"history_precision": "bf16"},
        {"masks": False}, {"init": "file", "start": pictures[2]},
        {"styles": (Style(pictures[1], 2.0), Style(pictures[2]))}, {"styles": (Style(pictures[1]), Style(pictures[2]))},
        {"styles": (Style(pictures[1], 1.0, "#ff0000"),)},
    ))  # fmt: skip
    weights = numbers.choice(
        (*[WEIGHTS] * 9, Weights("random", "8" * 64), dataclasses.replace(WEIGHTS, format="caffe"))
    )
    content = numbers.choice((*[pictures[0]] * 6, pictures[1], masked if more.get("masks", True) else pictures[0]))
    return task(output, **{"content": content, "styles": (Style(pictures[1]),), "weights": weights, **more})


def happen(paths: RunPaths, numbers: random.Random, parts: int = 4) -> None:
    """Lines and pictures."""
    paths.manifest.mkdir(parents=True)
    for part in range(parts):
        with (paths.manifest / f"{part}.jsonl").open("wb") as file:
            for _ in range(numbers.randrange(12)):
                file.write(_line(paths, numbers))
            if numbers.random() < 0.3:
                file.write(b'{"v":1,"task":')


def _line(paths: RunPaths, numbers: random.Random) -> bytes:
    each = some_task(numbers, f"{numbers.randrange(OUTPUTS)}.png")
    when = moment(numbers.randrange(10**6))
    if numbers.random() < 0.3:
        return line(each, failed(each, numbers.choice(("OSError", "WorkerDied", "WorkerDied", "ImageError")), when))
    data = bytes(numbers.randrange(3))
    written = line(each, done(each, data, when))
    if numbers.random() < 0.3:  # by a version that had fewer settings, or others
        record = json.loads(written)
        record["settings"].pop("history_precision")
        if numbers.random() < 0.3:
            record["settings"]["of_before"] = 1
        if numbers.random() < 0.6:
            record["task"] = "0" * 32  # it was rendered by another algorithm
        if numbers.random() < 0.3:
            record["weights"].pop("format")
        written = json.dumps(record).encode() + b"\n"
    if numbers.random() < 0.7:
        paths.output(each.output).write_bytes(data)
    return written


def asked(numbers: random.Random) -> list[Task]:
    """A task for each output."""
    return [some_task(numbers, f"{number}.png") for number in range(OUTPUTS)]
