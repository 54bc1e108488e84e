"""What low precision costs: the same pairs rendered in each, final losses always measured in float32."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

from benchmarks.pictures import squares
from nst_batch.pipeline_file.presets import PRESETS
from nst_batch.transfer.pictures import picture_of
from nst_batch.transfer.stylize import Stylizer

WORDS = ("fp32", "tf32", "fp16", "bf16")  # the first is what others are compared with
STYLES = 2


def measure(contents: Path, styles: Path, *, size: int, count: int, device: str, preset: str) -> list[dict[str, Any]]:
    """A row for each of count x 2 pairs and each precision that differs on the device."""
    stylizer = Stylizer(device=device)
    words = [word for word in WORDS if word != "tf32" or device.startswith("cuda")]
    rows: list[dict[str, Any]] = []
    for content in squares(contents, size, count):
        for style in squares(styles, size, STYLES):
            exact = 0.0
            for word in words:
                settings = dataclasses.replace(PRESETS[preset], size=size, fit="long", precision=word)  # type: ignore[arg-type]
                begun = time.perf_counter()
                found = stylizer.transfer(picture_of(content), picture_of(style), settings, seed=0)
                exact = exact or found.losses.total
                rows.append({
                    "pair": f"{len(rows) // len(words) // STYLES}-{len(rows) // len(words) % STYLES}",
                    "precision": word, "loss": found.losses.total, "worse": found.losses.total / exact,
                    "seconds": time.perf_counter() - begun, "evaluations": found.evaluations,
                })  # fmt: skip
    return rows
