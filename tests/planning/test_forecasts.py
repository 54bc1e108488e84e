"""Tasks are foretold by what they are made of, and by what was measured."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nst_batch.columns import Ints
from nst_batch.planning import forecasts
from nst_batch.planning.forecasts import PROCESS_BYTES, Forecaster, remember
from nst_batch.planning.measured import read
from nst_batch.planning.task_table import TaskTable
from nst_batch.records import Source, Style, Task, TaskResult, Weights
from nst_batch.settings import TransferSettings


def task(side: int = 512, **settings: Any) -> Task:
    content, style = Source("c.jpg", "1" * 64, 1000, width=side, height=side), Source("s.jpg", "2" * 64, 1000)
    wanted = TransferSettings(size=side, scales=(), steps=50, **settings)
    return Task(f"{side:032x}", content, (Style(style),), wanted, Weights("w", "3" * 64), f"{side}.png")


def forecaster(file: Path, **more: Any) -> Forecaster:
    return Forecaster(**{"devices": ("cpu",), "threads": 2, "tile": "auto", "memory": None, "file": file, **more})


def result(each: Task, seconds: float, size: int, **more: Any) -> TaskResult:
    side = each.settings.size
    fields: dict[str, Any] = {"scales": ((side, side, 50),), "width": side, "height": side, "device": "cpu", **more}
    return TaskResult(each.id, "done", each.output, seconds=seconds, peak_memory_bytes=size, **fields)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where measurements are kept; on a machine with 100 GB, whatever this one has (the border: ``free``)."""
    monkeypatch.setattr(forecasts, "free", lambda: 10**11)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "nst_batch" / "measured.jsonl"


def test_before_anything_is_measured_larger_takes_longer_and_more(file: Path) -> None:
    ahead = forecaster(file)
    found = [ahead.of(task(side)) for side in (128, 256, 512, 1024)]
    assert not ahead.is_measured and None not in found
    seconds, sizes = [each.seconds for each in found if each], [each.bytes for each in found if each]
    assert seconds == sorted(seconds) and sizes == sorted(sizes) and sizes[0] > PROCESS_BYTES
    assert all(each.fits and each.way.rows is None for each in found if each)
    assert ahead.of(dataclasses.replace(task(), content=dataclasses.replace(task().content, width=0))) is None


def test_what_was_measured_decides_mostly_at_sizes_like_it(file: Path) -> None:
    plain = forecaster(file)
    sides = (256, 512, 1024)
    expected = {side: plain.of(task(side)) for side in sides}
    for side, slower in ((256, 3.0), (1024, 1.5)):
        found = expected[side]
        assert found is not None
        remember(task(side), result(task(side), slower * found.seconds, found.bytes + 10**8), 2)
    ahead = forecaster(file)
    assert ahead.is_measured
    both = [(ahead.of(task(side)), expected[side]) for side in sides]
    factors = [now.seconds / before.seconds for now, before in both if now and before]
    assert factors[0] == pytest.approx(3, rel=0.2) and factors[2] == pytest.approx(1.5, rel=0.2)
    assert factors[0] > factors[1] > factors[2]
    assert [now.bytes - before.bytes for now, before in both if now and before] == [10**8] * 3
    assert not forecaster(file, threads=1).is_measured  # another kind of worker


def test_only_tasks_that_were_rendered_by_themselves_and_in_one_go_are_remembered(file: Path) -> None:
    each = task()
    for more in (
        {"resumed": 5},
        {"together": 3},
        {"device": "cpu+cpu"},
        {"given_up": ("rows 512 -> 128",)},
        {"scales": ()},
    ):
        remember(each, result(each, 5.0, 10**9, **more), 2)
    remember(each, dataclasses.replace(result(each, 5.0, 10**9), status="failed"), 2)
    assert read(file) == []
    remember(each, result(each, 5.0, 10**9, strips=4), 2, highest=False)
    (found,) = read(file)
    assert found.bytes == 0 and forecaster(file).of(each) != forecaster(file.with_name("none")).of(each)
    assert found.seconds == 5.0 and found.pixels == 512 * 512


def test_a_limit_leads_to_strips_and_then_to_no(file: Path) -> None:
    wanted = task(2048)
    whole, less, never = (forecaster(file, memory=limit).of(wanted) for limit in (None, 5 * 10**9, 10**9))
    assert whole is not None and less is not None and never is not None
    assert whole.way.rows is None and whole.fits
    assert less.way.rows is not None and less.fits and less.bytes <= 5 * 10**9 < whole.bytes
    assert less.seconds > 1.3 * whole.seconds
    assert not never.fits
    total = forecaster(file, memory=5 * 10**9, devices=("cpu", "cpu")).total(*every([wanted, task(256), task(256)]))
    assert (total.strips, total.too_large) == (1, 0) and total.bytes == less.bytes


def every(tasks: list[Task]) -> tuple[TaskTable, Ints]:
    return TaskTable.of(tasks), np.arange(len(tasks))


def test_a_run_takes_as_long_as_its_workers_together_or_its_longest_task(file: Path) -> None:
    ahead = forecaster(file, devices=("cpu",) * 4)
    one = ahead.of(task(512))
    assert one is not None
    assert ahead.total(*every([task(512)] * 8)).seconds == pytest.approx(2 * one.seconds)
    assert ahead.total(*every([task(512)])).seconds == one.seconds
    pair, large = forecaster(file, devices=("cpu",) * 2, together=2), task(2048)
    assert pair.here.workers == 1 and forecaster(file, devices=("cpu",) * 4, together=2).here.workers == 2
    alone, shared = forecaster(file).of(large), pair.of(large)
    assert alone is not None and shared is not None and shared.seconds == pytest.approx(alone.seconds / 1.6)
    assert ahead.total(TaskTable.of([large]), np.arange(0)).seconds == 0


def test_evaluations_at_coarse_scales_are_a_smaller_share_of_the_work(file: Path) -> None:
    ahead, plain = forecaster(file), task(256)
    assert [ahead.share(plain, step) for step in (0, 25, 50, 70)] == pytest.approx([0, 0.5, 1, 1])
    scaled = dataclasses.replace(plain, settings=dataclasses.replace(plain.settings, scales=(64, 128)))
    shares = [ahead.share(scaled, step) for step in range(51)]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == pytest.approx(1)
    assert shares[25] < 0.3
    unknown = dataclasses.replace(plain, content=dataclasses.replace(plain.content, width=0))
    assert ahead.share(unknown, 10) == 0.2 and ahead.seconds(unknown) is None
    found = ahead.of(plain)
    assert found is not None and ahead.seconds(plain) == found.seconds
