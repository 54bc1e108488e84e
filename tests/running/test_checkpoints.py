"""Checkpoints on disk: kept, found, dropped, and never in the way."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nst_batch.paths import RunPaths
from nst_batch.records import Source, Style, Task
from nst_batch.running.checkpoints import Checkpoints
from nst_batch.settings import TransferSettings
from nst_batch.transfer.weights import RANDOM
from tests import runs

SOURCE = Source("a.png", "0" * 64, 1, 20, 10)


def task(letter: str) -> Task:
    return Task(letter * 32, SOURCE, (Style(SOURCE),), TransferSettings(), RANDOM, f"{letter}.png")


def test_kept_found_and_dropped(tmp_path: Path) -> None:
    checkpoints = Checkpoints(RunPaths(tmp_path))
    assert not checkpoints.has(task("a")) and checkpoints.find(task("a")) is None
    checkpoints.keep(task("a"), {"x": torch.ones(2)})
    checkpoints.keep(task("a"), {"x": torch.full((2,), 2.0)})
    found = checkpoints.find(task("a"))
    assert found is not None and found["x"].tolist() == [2.0, 2.0]
    assert checkpoints.has(task("a")) and not checkpoints.has(task("b"))
    checkpoints.drop(task("a"))
    checkpoints.drop(task("a"))
    assert not list((tmp_path / "state" / "checkpoints").iterdir())


def test_another_tasks_file_under_this_name_is_not_believed(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    Checkpoints(paths).keep(task("a"), {"x": torch.ones(2)})
    paths.checkpoint("a" * 32).rename(paths.checkpoint("b" * 32))
    assert Checkpoints(paths).has(task("b")) and Checkpoints(paths).find(task("b")) is None


def test_a_write_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    checkpoints, large = Checkpoints(RunPaths(tmp_path)), torch.ones(1 << 20)
    checkpoints.keep(task("a"), {"x": torch.ones(2)})
    with runs.files_end_at(1 << 16), pytest.raises(OSError, match=r"[Ff]ile"):
        checkpoints.keep(task("a"), {"x": large})
    found = checkpoints.find(task("a"))
    assert found is not None and len(found["x"]) == 2 and not runs.temporaries(tmp_path)
