"""A batch as users run it: one ``nst-batch run`` beside a shell's loop over the plain script, start-up included.

Both have the same pictures, weights and objective. Each pair's final float32 loss is compared: a batch that is faster
because its pictures are worse counts for nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.closure import REPOSITORY
from benchmarks.pictures import squares
from nst_batch.transfer.untrained import untrained_state


def measure(
    folder: Path, contents: Path, styles: Path, *, size: int, count: int, steps: int, devices: list[str], preset: str
) -> dict[str, Any]:
    """count x count pairs by both, in ``folder``."""
    for name, source in (("content", contents), ("style", styles)):
        (folder / name).mkdir(parents=True)
        for place, image in enumerate(squares(source, size, count)):
            image.save(folder / name / f"{place}.png")
    weights = folder / "vgg19.pth"
    torch.save({f"features.{name}": value for name, value in untrained_state().items()}, weights)
    ours_first = _ours(folder, "first", size, devices, preset)
    plain_seconds, plain = _plain(folder, size, count, steps, devices[0])
    ours = _ours(folder, "second", size, devices, preset)
    pairs = [
        {
            "pair": name,
            "plain_final": plain[name]["final"],
            "plain_evaluations": plain[name]["evaluations"],
            "ours_final": ours["tasks"][name]["losses"]["total"],
            "ours_evaluations": ours["tasks"][name]["evaluations"],
            "worse": ours["tasks"][name]["losses"]["total"] / plain[name]["final"],
        }
        for name in plain
    ]
    seconds = [ours_first["seconds"], ours["seconds"]]
    return {
        "size": size,
        "devices": devices,
        "preset": preset,
        "plain_seconds": plain_seconds,
        "ours_seconds": seconds,
        "ratio": plain_seconds / (sum(seconds) / 2),
        "worst": max(pair["worse"] for pair in pairs),
        "pairs": pairs,
    }


def _plain(folder: Path, size: int, count: int, steps: int, device: str) -> tuple[float, dict[str, Any]]:
    """The whole loop's seconds, and what each process said."""
    said, begun = {}, time.perf_counter()
    for content in range(count):
        for style in range(count):
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "benchmarks.plain"),
                    *(str(folder / "content" / f"{content}.png"), str(folder / "style" / f"{style}.png")),
                    *(str(folder / f"plain-{content}-{style}.png"), "--weights", str(folder / "vgg19.pth")),
                    *("--size", str(size), "--steps", str(steps), "--device", device),
                ],
                check=True,
                capture_output=True,
                text=True,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            )
            said[f"{content}-{style}"] = json.loads(done.stdout)
            print(f"plain {content}-{style}: {done.stdout.strip()}", file=sys.stderr, flush=True)
    return time.perf_counter() - begun, said


def _ours(folder: Path, name: str, size: int, devices: list[str], preset: str) -> dict[str, Any]:
    pipeline = folder / f"{name}.yaml"
    pipeline.write_text(
        yaml.safe_dump(
            {
                "version": 1,
                "name": name,
                "content": "content",
                "style": "style",
                "transfer": {"preset": preset, "size": size, "fit": "long"},
                "weights": {"path": "vgg19.pth"},
                "output": {"dir": name, "name": "{content}-{style}.png"},
                "run": {"devices": devices},
            }
        )
    )
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "nst_batch", "run", str(pipeline)],
        check=True,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    seconds = time.perf_counter() - begun
    lines = [json.loads(line) for part in (folder / name / "manifest").glob("*.jsonl") for line in part.open()]
    return {"seconds": seconds, "tasks": {Path(line["output"]).stem: line for line in lines}}
