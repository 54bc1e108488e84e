"""What low precision costs: the same pairs rendered in each, final losses always measured in float32."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.pictures import squares
from nst_batch.settings import TransferSettings
from nst_batch.transfer.pictures import picture_of
from nst_batch.transfer.stylize import Stylizer

WORDS = ("fp32", "tf32", "fp16", "bf16")  # the first is what others are compared with
STYLES = 2


def measure(contents: Path, styles: Path, *, size: int, count: int, device: str) -> list[dict[str, Any]]:
    """A row for each precision that differs there: of count x 2 pairs begun at the content, and count at noise.

    The ratio of style to content that ``default`` finds differs a little; losses are given for float32's.
    """
    stylizer = Stylizer(device=device)
    words = [word for word in WORDS if word != "tf32" or device.startswith("cuda")]
    painted = list(squares(styles, size, STYLES))
    rows: list[dict[str, Any]] = []
    for number, content in enumerate(squares(contents, size, count)):
        begun_at = [(*each, "content") for each in enumerate(painted)] + [(0, painted[0], "noise")]
        for kind, style, init in begun_at:
            exact = ratio = 0.0
            for word in words:
                settings = TransferSettings(size=size, init=init, precision=word)  # type: ignore[arg-type]
                begun = time.perf_counter()
                found = stylizer.transfer(picture_of(content), picture_of(style), settings, seed=0)
                seconds, style_loss = time.perf_counter() - begun, found.losses.total - found.losses.content
                assert found.balance is not None
                ratio = ratio or found.balance.ratio
                loss = found.losses.content + style_loss * ratio / found.balance.ratio
                exact = exact or loss
                rows.append({
                    "pair": f"{number}-{kind}", "init": init, "precision": word, "loss": loss, "worse": loss / exact,
                    "seconds": seconds, "evaluations": found.evaluations, "taken_back": found.taken_back,
                })  # fmt: skip
    return rows
