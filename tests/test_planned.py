"""What runs set out to do, as it is kept."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from nst_batch.errors import UsageError
from nst_batch.paths import RunPaths
from nst_batch.planned import planned, read_plan, write_plan
from tests.lines import TWO, task

ONE, SWEPT = task("a.png", steps=5), task("\udcff<b>\n.png", steps=6, stop=None, scales=(64,), styles=TWO)


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    paths, plan = RunPaths(tmp_path), planned([dataclasses.replace(ONE, cost=2e9), SWEPT])
    write_plan(paths, plan.values())
    read = read_plan(paths)
    assert list(read) == [ONE.output, SWEPT.output]
    assert read[ONE.output] == dataclasses.replace(plan[ONE.output], point={"steps": 5, "scales": "auto"})
    assert read[ONE.output].cost == 2e9 and read[ONE.output].task == ONE.id
    assert read[SWEPT.output].point == {"steps": 6, "scales": [64]}
    assert read[SWEPT.output].styles == ("art/s.png", "art/t.png") and read[SWEPT.output].style == "art/s.png"


def test_what_all_tasks_have_in_common_is_no_point_of_one(tmp_path: Path) -> None:
    assert [each.point for each in planned([ONE, dataclasses.replace(ONE, output="b.png")]).values()] == [{}, {}]


@pytest.mark.parametrize("text", [None, "", "{", "[]\n", "{}\n", '{"task": "a", "output": "b"}\n', "\udcff"])
def test_a_plan_that_is_none_is_said(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        RunPaths(tmp_path).plan.write_bytes(text.encode(errors="surrogateescape"))
    if text == "":
        assert read_plan(RunPaths(tmp_path)) == {}
        return
    with pytest.raises(UsageError, match="no run has been started here") as error:
        read_plan(RunPaths(tmp_path))
    assert str(tmp_path) in str(error.value)
