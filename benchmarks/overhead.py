"""What a task costs beside its closures, and whether memory stays flat, over a batch of small tasks."""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from benchmarks.closure import REPOSITORY
from benchmarks.pictures import DATA, squares
from nst_batch.pipeline_file.presets import PRESETS

PRESET = "pytorch-tutorial-fast"
SIZE, LONG, SHORT = 96, 41, 1
"""Two runs of the same tasks, of so many steps each: the difference is what steps cost, the rest is overhead."""


def measure(folder: Path, *, side: int, device: str) -> dict[str, Any]:
    """side x side tasks on one worker, twice."""
    for name in ("content", "style"):
        (folder / name).mkdir(parents=True)
        for place, image in enumerate(squares(DATA / name, SIZE, side)):
            image.save(folder / name / f"{place}.png")
    long, short = (_run(folder, steps, device) for steps in (LONG, SHORT))
    step = (statistics.mean(long["gaps"]) - statistics.mean(short["gaps"])) / (LONG - SHORT)
    overhead = statistics.mean(short["gaps"]) - SHORT * step
    tenth = max(1, side * side // 10)
    memory = short["memory"][1:]
    return {
        "tasks": side * side,
        "size": SIZE,
        "step_seconds": step,
        "overhead_seconds": overhead,
        "idle_share": overhead / (overhead + PRESETS[PRESET].steps * step),
        "memory_first": statistics.median(memory[:tenth]),
        "memory_last": statistics.median(memory[-tenth:]),
        "memory_ratio": statistics.median(memory[-tenth:]) / statistics.median(memory[:tenth]),
    }


def _run(folder: Path, steps: int, device: str) -> dict[str, list[float]]:
    """Seconds from one task's end to the next one's, and each task's peak memory, in order."""
    pipeline = folder / f"{steps}.yaml"
    transfer = {"preset": PRESET, "size": SIZE, "fit": "long", "steps": steps, "warmup": 0}
    fields = {
        "version": 1, "name": "overhead", "content": "content", "style": "style", "transfer": transfer,
        "weights": "random", "output": {"dir": f"out{steps}"}, "run": {"devices": [device]},
    }  # fmt: skip
    pipeline.write_text(yaml.safe_dump(fields))
    subprocess.run(
        [sys.executable, "-m", "nst_batch", "run", str(pipeline)],
        check=True,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    parts = (folder / f"out{steps}" / "manifest").glob("*.jsonl")
    lines = sorted((json.loads(line) for part in parts for line in part.open()), key=lambda line: line["finished"])
    ends = [datetime.fromisoformat(line["finished"]).timestamp() for line in lines]
    gaps = [after - before for before, after in itertools.pairwise(ends)]
    return {"gaps": gaps, "memory": [line["peak_memory_bytes"] for line in lines]}
