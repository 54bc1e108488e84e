"""A planned run in a file, and back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from nst_batch.errors import UsageError
from nst_batch.frozen import Frozen, load, save
from nst_batch.pipeline import Choices, prepare
from nst_batch.records import Limits, OutputFormat, Source, Style, Task, Weights
from nst_batch.settings import SETTINGS, TransferSettings
from nst_batch.spec_run import Run
from tests import runs
from tests.test_plan import other_value

WEIGHTS = Weights("file", "ab" * 32, "/w/vgg.pth", "caffe")
MASK = Source("/pictures/a.mask.png", "2" * 64, 7, 5, 5)
FIRST = Source("/pictures/a.png", "0" * 64, 9, 640, 480, MASK)
SECOND = Source("/pictures/b\n\udcff\u202e.png", "1" * 64, 8)  # a name that is no UTF-8


def frozen(*tasks: Task, **more: Any) -> Frozen:
    return Frozen("night", Run(**more), Limits(10, 20), WEIGHTS, tasks)


def task(settings: TransferSettings, **more: Any) -> Task:
    shares = (Style(FIRST, 2.0, "#ff0000"), Style(SECOND))
    return Task("f" * 32, FIRST, shares, settings, WEIGHTS, "a__b\udcff.tif", OutputFormat(".tif", 16, 80), **more)


@pytest.mark.parametrize("name", list(SETTINGS))
def test_every_setting_comes_back(name: str, tmp_path: Path) -> None:
    plain = TransferSettings()
    other = dataclasses.replace(plain, **{name: other_value(name, getattr(plain, name))})
    before = frozen(task(plain), task(other, start=SECOND, cost=1.5))
    save(before, tmp_path / "tasks.jsonl")
    assert load(tmp_path / "tasks.jsonl") == before


def test_how_it_is_run_comes_back(tmp_path: Path) -> None:
    before = frozen(
        devices=["cpu", "cuda:1"], threads=3, batch=4, tile="off", memory_limit="3 GB", compile="off", retries=0
    )
    save(before, tmp_path / "tasks.jsonl")
    assert load(tmp_path / "tasks.jsonl") == before and before.run.memory_limit == 3 * 10**9


def test_a_real_plan_comes_back_and_is_small(tmp_path: Path) -> None:
    """What tasks have in common is there once."""
    runs.make_pictures(tmp_path, contents=20, styles=20, size=8)
    file = runs.write_pipeline(tmp_path, tmp_path / "unused")
    before = prepare(file, {"weights": "random"}, Choices(), print).frozen
    save(before, tmp_path / "tasks.jsonl")
    assert load(tmp_path / "tasks.jsonl") == before
    first, *tasks = (tmp_path / "tasks.jsonl").read_text().splitlines()
    assert len(tasks) == 400 and max(map(len, tasks)) < 200
    assert len(json.loads(first)["sources"]) == 40 and len(json.loads(first)["settings"]) == 1


@pytest.mark.parametrize("damage", ["cut", "not JSON", "another version", "a line less", "missing"])
def test_a_damaged_file_is_said_to_be(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    save(frozen(task(TransferSettings())), path)
    text = path.read_text()
    if damage == "missing":
        path.unlink()
    else:
        changed = {
            "cut": text[:-30], "not JSON": "x" + text, "another version": text.replace('"v":1', '"v":99'),
            "a line less": text.partition("\n")[2],
        }  # fmt: skip
        path.write_text(changed[damage])
    with pytest.raises(UsageError) as error:
        load(path)
    assert str(path) in str(error.value) and error.value.hint


def test_a_file_that_cannot_be_written_is_not_half_there(tmp_path: Path) -> None:
    with runs.files_end_at(100), pytest.raises(OSError):
        save(frozen(task(TransferSettings())), tmp_path / "tasks.jsonl")
    assert not list(tmp_path.iterdir())
