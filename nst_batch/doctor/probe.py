"""What torch says of this machine, asked in a process of its own: a driver may hang, and a library may crash.

Each stage is one JSON line, written when it is over: what is missing at the end is where it stuck.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nst_batch.doctor.findings import first_line

Facts = dict[str, Any]


def main(file: str) -> None:
    """Ask all, and write the answers into ``file`` one after another."""
    with Path(file).open("w", encoding="utf-8", buffering=1) as out:
        for name, stage in STAGES.items():
            out.write(json.dumps({"stage": name, **_answer(stage)}) + "\n")


def _answer(stage: Callable[[], Facts]) -> Facts:
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = stage()
        return {"said": [first_line(each.message) for each in said], **found}
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what was asked for
        return {"error": first_line(error)}


def _torch() -> Facts:
    begun = time.monotonic()
    import torch

    seconds = time.monotonic() - begun
    return {"cuda": torch.version.cuda, "hip": torch.version.hip, "seconds": round(seconds, 1)}


def _vision() -> Facts:
    import torchvision  # built for another torch, it fails here

    return {"version": torchvision.__version__}


def _kernels() -> Facts:
    from nst_batch.transfer.native.library import built

    return {"why_not": built().why_not}


def _gpus() -> Facts:
    """As a run finds them; and whether each can do what a network does."""
    import torch

    devices = [_gpu(index) for index in range(torch.cuda.device_count())]
    return {"devices": devices, "mps": not devices and torch.backends.mps.is_available()}


def _gpu(index: int) -> Facts:
    import torch

    found: Facts = {"name": "", "total": 0, "free": 0, "error": ""}
    try:
        found["name"] = torch.cuda.get_device_name(index)
        found["free"], found["total"] = torch.cuda.mem_get_info(index)
        ones = torch.ones(1, 3, 8, 8, device=f"cuda:{index}")
        value = torch.nn.functional.conv2d(ones, ones[:, :, :3, :3]).sum().item()
        if value != 27.0 * 36:
            found["error"] = f"computes a wrong sum: {value}"
    except Exception as error:  # noqa: BLE001 - a driver's words, of whatever class
        found["error"] = first_line(error)
    return found


STAGES: dict[str, Callable[[], Facts]] = {"torch": _torch, "torchvision": _vision, "kernels": _kernels, "gpus": _gpus}
