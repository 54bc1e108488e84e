"""What a run will still write, and what the disk has room for. Without torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from nst_batch.columns import Ints
from nst_batch.planning.task_table import TaskTable
from nst_batch.records import Task
from nst_batch.sizes import size_of

# Bytes a pixel of pictures in paint strokes, with a profile and metadata apart; PNG, TIFF and WebP as they were seen.
_PNG, _TIFF, _JPEG, _WEBP, _WEBP_LOSSLESS = 1.9, 2.8, 0.7, 0.5, 1.5
_DEEP = 2.5  # times as many with 16 bits, whose lower ones do not compress
_BESIDE = 5000  # bytes of what is not pixels
_PAIR_BYTES, _MORE_BYTES = 24, 100  # a pixel, of a checkpoint: each pair of a history, and all else
_TWICE = 2  # a checkpoint is written beside the one before


@dataclass(frozen=True)
class Room:
    """Bytes that are needed still, and that are free; None: nobody knows."""

    needed: int
    free: int | None

    @property
    def is_short(self) -> bool:
        """Whether it does not suffice."""
        return self.free is not None and self.needed > self.free


def picture_bytes(task: Task) -> int:
    """What a task's picture will take, about; 0 where its size is not known."""
    width, height = size_of(task)
    form = task.format
    each = {
        ".png": _PNG, ".tif": _TIFF, ".tiff": _TIFF, ".webp": _WEBP_LOSSLESS if form.quality == 100 else _WEBP,
    }.get(form.suffix, _JPEG)  # fmt: skip
    return int(width * height * each * (_DEEP if form.bits == 16 else 1)) + _BESIDE if width else 0


def checkpoint_bytes(task: Task) -> int:
    """What a task's checkpoint may take."""
    width, height = size_of(task)
    settings = task.settings
    pair = _PAIR_BYTES // (2 if settings.history_precision == "bf16" else 1)
    return width * height * (settings.pairs(settings.steps) * pair + _MORE_BYTES)


def total_bytes(tasks: TaskTable, rows: Ints) -> int:
    """What the pictures of many tasks will take together."""
    return sum(picture_bytes(tasks[kind.row]) * kind.tasks for kind in tasks.kinds(rows))


def checkpoints_bytes(tasks: TaskTable, rows: Ints, workers: int) -> int:
    """What the checkpoints of so many workers may take at once."""
    kinds = [(checkpoint_bytes(tasks[kind.row]), min(kind.tasks, workers)) for kind in tasks.kinds(rows)]
    largest = sorted((size for size, count in kinds for _ in range(count)), reverse=True)[:workers]
    return sum(largest) + (_TWICE - 1) * max(largest, default=0)


def correction(written: int, expected: int) -> float:
    """By how much expectations are off, by what was written before."""
    return written / expected if written and expected else 1.0


def free(folder: Path) -> int | None:
    """Bytes that are free where a folder is, or will be."""
    while True:
        try:
            found = os.statvfs(folder)
        except OSError:
            if folder == folder.parent:
                return None
            folder = folder.parent
        else:
            return found.f_bavail * found.f_frsize
