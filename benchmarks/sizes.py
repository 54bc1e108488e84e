"""Large pictures whole and in strips: seconds of one evaluation, and peak memory beside its forecast.

Each way is a whole transfer of a few evaluations in a process of its own, set up as a worker is, one after the other.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.arithmetic import wait
from benchmarks.pictures import DATA, squares
from nst_batch.demands import Way, stage_bytes
from nst_batch.environment import ALLOCATOR
from nst_batch.memory import peak, reset_peak, resident
from nst_batch.pipeline_file.presets import PRESETS
from nst_batch.transfer.images import from_image
from nst_batch.transfer.pictures import Picture
from nst_batch.transfer.stylize import Stylizer

REPOSITORY = Path(__file__).resolve().parent.parent


def measure(size: int, ways: list[str], *, preset: str, steps: int, device: str, threads: int) -> list[dict[str, Any]]:
    """A row for each way (``off``: whole, or rows of a strip), with ratios to the first."""
    rows = [_child(size, way, preset, steps, device, threads) for way in ways]
    return [{**row, "slower": row["seconds"] / rows[0]["seconds"]} for row in rows]


def _child(size: int, way: str, preset: str, steps: int, device: str, threads: int) -> dict[str, Any]:
    fields = ["--size", str(size), "--way", way, "--preset", preset, "--steps", str(steps), "--device", device]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.sizes", *fields, "--threads", str(threads)],
        env={**os.environ, **ALLOCATOR, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    row: dict[str, Any] = json.loads(done.stdout)
    return row


def main() -> None:
    """One transfer; prints its figures as JSON."""
    parser = argparse.ArgumentParser()
    for name, kind in {"size": int, "way": str, "preset": str, "steps": int, "device": str, "threads": int}.items():
        parser.add_argument(f"--{name}", type=kind, required=True)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    tile = given.way if given.way == "off" else int(given.way)
    stylizer, device = Stylizer(device=given.device, tile=tile), torch.device(given.device)
    one = dataclasses.replace(
        PRESETS[given.preset], size=given.size, scales=(), scale_shares=(), steps=given.steps, upscale=True
    )
    network = stylizer.networks.passes(one, stylizer.networks.precision(one))
    network.prepare((*one.content_layers, *one.style_layers))
    before = resident() if device.type == "cpu" else torch.cuda.memory_allocated(device)
    (content,), (style,) = (squares(DATA / kind, given.size, 1) for kind in ("content", "style"))
    times = [time.perf_counter()]

    def on_step(_: int, __: float) -> None:
        wait(device)
        times.append(time.perf_counter())

    reset_peak(given.device)
    pictures = [Picture(name, partial(from_image, image), name) for name, image in (("c", content), ("s", style))]
    result = stylizer.transfer(pictures[0], pictures[1], one, seed=1, on_step=on_step)
    rows = int(given.way) if result.strips else None
    forecast = before + stage_bytes(one, given.size, given.size, Way(rows, one.pairs(one.steps)))
    apart = [after - before for before, after in itertools.pairwise(times[1:])]  # the first one measures targets too
    print(json.dumps({
        "size": given.size, "way": given.way, "strips": result.strips, "seconds": statistics.median(apart),
        "peak": peak(given.device), "before": before, "forecast": forecast, "loss": result.losses.total,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
