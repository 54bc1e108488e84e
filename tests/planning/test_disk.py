"""What a run will still write, and what there is room for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nst_batch.planning.disk import Room, checkpoint_bytes, checkpoints_bytes, correction, free, picture_bytes
from nst_batch.planning.task_table import TaskTable
from nst_batch.records import OutputFormat, Source
from nst_batch.transfer.encode import encode
from tests.lines import task

SIDE = 96


def strokes() -> torch.Tensor:
    """Something with as much detail as a painting: 1x3xHxW in [0, 1]."""
    chance = np.random.default_rng(0)
    image = Image.fromarray(chance.integers(0, 256, (SIDE // 3, SIDE // 3, 3), dtype=np.uint8))
    values = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=np.float32)
    noise = chance.normal(0, 3, values.shape).astype(np.float32)
    return torch.from_numpy((values + noise).clip(0, 255) / 255).permute(2, 0, 1)[None]


@pytest.mark.parametrize(
    "form",
    [
        OutputFormat(), OutputFormat(".png", 16), OutputFormat(".jpg"), OutputFormat(".webp"),
        OutputFormat(".webp", quality=100), OutputFormat(".tif"), OutputFormat(".tif", 16),
    ],
    ids=lambda form: f"{form.suffix} {form.bits} {form.quality}",
)  # fmt: skip
def test_pictures_take_about_what_is_expected(form: OutputFormat) -> None:
    each = dataclasses.replace(task(content=Source("c", "0" * 64, 1, SIDE, SIDE), size=SIDE), format=form)
    really = len(encode(strokes(), form, {}))
    assert 0.4 < really / picture_bytes(each) < 2.5


def test_what_is_not_known_takes_nothing() -> None:
    each = task(content=Source("c", "0" * 64, 1))
    assert picture_bytes(each) == checkpoint_bytes(each) == 0


def test_checkpoints_are_of_what_is_in_hand_and_one_is_written_beside_itself() -> None:
    small, large = (task(content=Source("c", "0" * 64, 1, side, side), size=side, steps=10) for side in (20, 40))
    assert checkpoint_bytes(large) == 1600 * (24 * 10 + 100)
    three = TaskTable.of([small, large, small])
    found = checkpoints_bytes(three, np.arange(3), workers=2)
    assert found == 2 * checkpoint_bytes(large) + checkpoint_bytes(small)
    assert checkpoints_bytes(TaskTable.of([small]), np.arange(0), workers=2) == 0
    half = task(content=Source("c", "0" * 64, 1, 40, 40), size=40, steps=10, history_precision="bf16")
    assert checkpoint_bytes(half) == 1600 * (12 * 10 + 100)


def test_what_was_written_before_tells() -> None:
    assert correction(300, 200) == 1.5
    assert correction(0, 200) == correction(300, 0) == 1.0


def test_what_is_free_is_asked_where_a_folder_will_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = free(tmp_path)
    assert there is not None and there > 0
    assert free(tmp_path / "not" / "yet") is not None
    assert Room(10, 9).is_short and not Room(10, 10).is_short and not Room(10, None).is_short

    def refuse(_: Path) -> None:
        raise PermissionError

    monkeypatch.setattr("nst_batch.planning.disk.os.statvfs", refuse)
    assert free(tmp_path) is None
