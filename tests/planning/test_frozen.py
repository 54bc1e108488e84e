"""A planned run in a file, and back."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from nst_batch import columns
from nst_batch.errors import UsageError
from nst_batch.pipeline import Choices, prepare
from nst_batch.pipeline_file.spec_run import Run
from nst_batch.planning.frozen import Frozen, load, save
from nst_batch.planning.task_table import TaskTable
from nst_batch.records import Limits, OutputFormat, Source, Style, Task, Weights
from nst_batch.settings import SETTINGS, TransferSettings
from tests import runs
from tests.planning.test_ids import other_value

WEIGHTS = Weights("file", "ab" * 32, "/w/vgg.pth", "caffe")
MASK = Source("/pictures/a.mask.png", "2" * 64, 7, 5, 5)
FIRST = Source("/pictures/a.png", "0" * 64, 9, 640, 480, MASK)
SECOND = Source("/pictures/b\n\udcff\u202e.png", "1" * 64, 8)  # a name that is no UTF-8


def frozen(*tasks: Task, **more: Any) -> Frozen:
    return Frozen("night", Run(**more), Limits(10, 20), WEIGHTS, TaskTable.of(tasks))


def task(settings: TransferSettings, **more: Any) -> Task:
    shares = (Style(FIRST, 2.0, "#ff0000"), Style(SECOND))
    return Task("f" * 32, FIRST, shares, settings, WEIGHTS, "a__b\udcff.tif", OutputFormat(".tif", 16, 80), **more)


@pytest.mark.parametrize("name", list(SETTINGS))
def test_every_setting_comes_back(name: str, tmp_path: Path) -> None:
    plain = TransferSettings()
    other = dataclasses.replace(plain, **{name: other_value(name, getattr(plain, name))})
    before = frozen(task(plain), task(other, start=SECOND))
    save(before, tmp_path / "tasks.npz")
    assert load(tmp_path / "tasks.npz") == before


def test_how_it_is_run_comes_back(tmp_path: Path) -> None:
    before = frozen(
        devices=["cpu", "cuda:1"], threads=3, batch=4, tile="off", memory_limit="3 GB", compile="off", retries=0
    )
    save(before, tmp_path / "tasks.npz")
    assert load(tmp_path / "tasks.npz") == before and before.run.memory_limit == 3 * 10**9


def test_a_real_plan_comes_back_and_is_small(tmp_path: Path) -> None:
    """What tasks have in common is there once."""
    runs.make_pictures(tmp_path, contents=20, styles=20, size=8)
    file = runs.write_pipeline(tmp_path, tmp_path / "unused")
    before = prepare(file, {"weights": "random"}, Choices(), print).frozen
    save(before, tmp_path / "tasks.npz")
    assert load(tmp_path / "tasks.npz") == before
    assert (tmp_path / "tasks.npz").stat().st_size < 400 * 100 + 40 * 200 + 20_000
    read = load(tmp_path / "tasks.npz").tasks
    assert len(read.sources) == 40 and len(read.variants) == 1 and len(read.groups) == 20


@pytest.mark.parametrize("damage", ["cut", "not columns", "another version", "a column less", "missing"])
def test_a_damaged_file_is_said_to_be(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "tasks.npz"
    save(frozen(task(TransferSettings())), path)
    data, (header, arrays) = path.read_bytes(), columns.load(path)
    if damage == "missing":
        path.unlink()
    elif damage == "another version":
        columns.save(path, {**header, "v": 99}, arrays)
    elif damage == "a column less":
        columns.save(path, header, {name: array for name, array in arrays.items() if name != "contents"})
    else:
        path.write_bytes({"cut": data[:-30], "not columns": b"x" + data[:50]}[damage])
    with pytest.raises(UsageError) as error:
        load(path)
    assert str(path) in str(error.value) and error.value.hint


def test_a_file_that_cannot_be_written_is_not_half_there(tmp_path: Path) -> None:
    with runs.files_end_at(100), pytest.raises(OSError):
        save(frozen(task(TransferSettings())), tmp_path / "tasks.npz")
    assert not list(tmp_path.iterdir())
