"""What runs set out to do, as it is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from nst_batch import columns
from nst_batch.errors import UsageError
from nst_batch.paths import RunPaths
from nst_batch.planning.planned import read_plan, write_plan
from nst_batch.planning.task_table import TaskTable
from tests.lines import TWO, task

ONE, SWEPT = task("a.png", steps=5), task("\udcff<b>\n.png", steps=6, stop=None, scales=(64,), styles=TWO)


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    paths, plan = RunPaths(tmp_path), TaskTable.of([ONE, SWEPT])
    write_plan(paths, plan)
    read = read_plan(paths)
    assert read == plan and list(read.outputs) == [ONE.output, SWEPT.output]
    assert read.costs.tolist() == plan.costs.tolist() and min(read.costs) > 0
    assert [read.point(row) for row in range(2)] == [{"steps": 5, "scales": "auto"}, {"steps": 6, "scales": (64,)}]


@pytest.mark.parametrize("text", ["", "{", "PK\x03\x04", "\x93NUMPY", "\udcff"])
def test_a_plan_that_is_none_is_said(tmp_path: Path, text: str) -> None:
    RunPaths(tmp_path).plan.write_bytes(text.encode("latin1", errors="surrogateescape"))
    with pytest.raises(UsageError, match="no run has been started here") as error:
        read_plan(RunPaths(tmp_path))
    assert str(tmp_path) in str(error.value)


def test_no_plan_and_one_of_another_version_are_said(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    with pytest.raises(UsageError, match="no run has been started here"):
        read_plan(paths)
    write_plan(paths, TaskTable.of([ONE]))
    header, arrays = columns.load(paths.plan)
    columns.save(paths.plan, {**header, "format": 0}, arrays)
    with pytest.raises(UsageError, match="no run has been started here"):
        read_plan(paths)
