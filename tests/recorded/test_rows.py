"""Tables of what is known of each task."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from nst_batch.columns import Strings
from nst_batch.errors import UsageError
from nst_batch.paths import RunPaths
from nst_batch.planning.planned import write_plan
from nst_batch.planning.task_table import TaskTable
from nst_batch.recorded.row_files import SUFFIXES, export
from nst_batch.recorded.rows import Table, rows
from tests.lines import CONTENT, done, failed, put, task, write

ONE, OTHER, THIRD = task("a.png", steps=5), task("b\n<\"'>,é.png", steps=6, history="auto"), task("c.png", steps=7)


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    """One done, after a failure; one failed; one not begun."""
    made = RunPaths(tmp_path / "run")
    made.root.mkdir()
    write_plan(made, TaskTable.of([ONE, OTHER, THIRD]))
    put(made, ONE)
    write(made, (ONE, failed(ONE)), (ONE, done(ONE)), (OTHER, failed(OTHER)))
    return made


def test_a_row_has_what_is_known(paths: RunPaths) -> None:
    first, second, third = rows(paths)
    assert [row["state"] for row in (first, second, third)] == ["done", "failed", "todo"]
    assert (first["losses.total"], first["losses.per_layer.style.conv1_1"], first["settings.steps"]) == (3.0, 2.0, 5)
    assert first["content.path"] == "photos/c.png" and json.loads(first["settings.style_layers"])
    assert second["error.message"] == "ImageError happened" and "losses.total" not in second
    assert third == {"output": "c.png", "state": "todo", "content.path": "photos/c.png", "style.path": "art/s.png"}


def test_a_picture_that_was_removed_is_no_longer_done(paths: RunPaths) -> None:
    paths.output(ONE.output).unlink()
    first = next(rows(paths))
    assert first["state"] == "todo", "it was done since it failed, and is to be rendered again"
    assert "losses.total" not in first


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_holds_the_same(paths: RunPaths, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"table{suffix}"
    assert export(paths, file) == 3
    read = {".csv": pd.read_csv, ".jsonl": lambda path: pd.read_json(path, lines=True), ".parquet": pd.read_parquet}
    table = read[suffix](file)
    assert list(table["output"]) == [each.output for each in (ONE, OTHER, THIRD)]
    assert list(table["state"]) == ["done", "failed", "todo"]
    assert table["losses.total"][0] == 3.0 and table["settings.steps"][1] == 6
    assert str(table["settings.history"][1]) == "auto", "a word in one row, a number in another"
    assert pd.isna(table["losses.total"][2])


def test_names_that_are_no_text_do_not_end_it(paths: RunPaths, tmp_path: Path) -> None:
    strange = task("\udcff.png", content=dataclasses.replace(CONTENT, path="\udcfe.png"))
    write_plan(paths, TaskTable.of([ONE, OTHER, THIRD, strange]))
    for suffix in SUFFIXES:
        assert export(paths, tmp_path / f"table{suffix}") == 4


def test_files_are_not_written_over_in_silence(paths: RunPaths, tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    export(paths, file)
    with pytest.raises(UsageError, match="is there already") as error:
        export(paths, file)
    assert "--force" in error.value.hint
    assert export(paths, file, force=True) == 3


@pytest.mark.parametrize("name", ["table", "table.xlsx", "missing/../../proc/x/table.csv"])
def test_what_cannot_be_written_is_said(paths: RunPaths, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        export(paths, tmp_path / name if "proc" not in name else Path("/proc/x/table.csv"))
    with pytest.raises(UsageError, match="no run"):
        export(RunPaths(tmp_path), tmp_path / "table.csv")


def test_without_pyarrow_there_is_a_hint(paths: RunPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match="pyarrow is not installed") as error:
        export(paths, tmp_path / "table.parquet")
    assert "nst_batch[parquet]" in error.value.hint


@pytest.fixture
def in_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows at once, of which a few are looked at before: as if there were thousands."""
    monkeypatch.setattr("nst_batch.recorded.rows._AT_ONCE", 2)
    monkeypatch.setattr("nst_batch.recorded.rows._LOOKED_AT", 1)
    monkeypatch.setattr("nst_batch.recorded.row_files._IN_A_GROUP", 4)


def large(folder: Path) -> RunPaths:
    """Nine tasks; the seventh has fields that no other has, and a word where others have numbers."""
    made = RunPaths(folder)
    made.root.mkdir()
    tasks = [task(f"{n}.png", seed=n) for n in range(9)]
    write_plan(made, TaskTable.of(tasks))
    for each in tasks:
        put(made, each)
    for each in tasks[5:] + tasks[:5]:
        write(made, (each, failed(each) if each is tasks[4] else done(each)))
    part = next(path for path in made.manifest.iterdir() if '"6.png"' in path.read_text())
    record = json.loads(part.read_text())
    record |= {"more": {"of_it": [1, 2]}, "evaluations": "many", "strips": 1.5}
    part.write_text(json.dumps(record) + "\n")
    return made


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_many_rows_give_what_few_give(tmp_path: Path, in_pairs: None, suffix: str) -> None:
    made, told = large(tmp_path / "run"), list[tuple[int, int]]()
    assert export(made, tmp_path / f"some{suffix}", tick=lambda *far: told.append(far)) == 9
    assert told[-1] == (9, 9) and (2, 9) in told
    read = {".csv": pd.read_csv, ".jsonl": lambda path: pd.read_json(path, lines=True), ".parquet": pd.read_parquet}
    table = read[suffix](tmp_path / f"some{suffix}")
    assert list(table["output"]) == [f"{n}.png" for n in range(9)]
    assert table["more.of_it"][6] == "[1, 2]" and pd.isna(table["more.of_it"][5])
    assert list(map(str, table["evaluations"][5:7])) == ["0", "many"] and table["strips"][6] == 1.5
    assert table["state"][4] == "failed" and list(table["settings.seed"][:2]) == [0, 1]


def test_every_line_of_jsonl_has_every_column(tmp_path: Path) -> None:
    """polars takes columns from the first hundred lines."""
    made = RunPaths(tmp_path / "run")
    made.root.mkdir()
    tasks = [task(f"{n}.png", seed=n) for n in range(150)]
    write_plan(made, TaskTable.of(tasks))
    for each in tasks[:140]:
        put(made, each)
    write(made, *((each, done(each)) for each in tasks[:140]), (tasks[140], failed(tasks[140])))
    export(made, tmp_path / "t.jsonl")
    assert len({tuple(json.loads(line)) for line in (tmp_path / "t.jsonl").read_text().splitlines()}) == 1
    table = pl.read_ndjson(tmp_path / "t.jsonl", infer_schema_length=None)
    assert table["error.message"][140] == "ImageError happened" and table["error.message"].null_count() == 149
    assert "error.message" in pl.scan_ndjson(tmp_path / "t.jsonl", infer_schema_length=100).collect_schema().names()


def test_what_a_table_keeps_is_in_every_format(paths: RunPaths, tmp_path: Path) -> None:
    kept = Strings.of(['{"split": "train", "label": 3}', "", '{"split": "val", "label": null}'])
    write_plan(paths, dataclasses.replace(TaskTable.of([ONE, OTHER, THIRD]), kept=kept))
    read = {".csv": pd.read_csv, ".jsonl": lambda path: pd.read_json(path, lines=True), ".parquet": pd.read_parquet}
    for suffix in SUFFIXES:
        export(paths, tmp_path / f"t{suffix}")
        table = read[suffix](tmp_path / f"t{suffix}")
        assert [each for each in table["meta.split"] if not pd.isna(each)] == ["train", "val"]
        assert table["meta.label"][0] == 3 and pd.isna(table["meta.label"][2])


def test_columns_come_in_the_order_in_which_rows_have_them(tmp_path: Path) -> None:
    made = large(tmp_path / "run")
    export(made, tmp_path / "t.csv")
    header = (tmp_path / "t.csv").read_text().splitlines()[0].split(",")
    assert header == list(dict.fromkeys(name for row in rows(made) for name in row))


def test_groups_of_a_parquet_file_are_bounded(tmp_path: Path, in_pairs: None) -> None:
    from pyarrow import parquet

    export(large(tmp_path / "run"), tmp_path / "t.parquet")
    file = parquet.ParquetFile(tmp_path / "t.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [4, 4, 1]


def test_lines_that_went_elsewhere_meanwhile_leave_what_the_plan_knows(tmp_path: Path) -> None:
    made = large(tmp_path / "run")
    table = Table(made)
    for part in made.manifest.iterdir():
        part.write_text("no more\n" if '"0.png"' in part.read_text() else "")
    found = [row for some in table.rows() for row in some]
    assert [row["output"] for row in found] == [f"{n}.png" for n in range(9)] and "bytes" not in found[0]
