"""``nst-batch report``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import runs
from tests.report.made import Made, make_run
from tests.runs import here, nst_batch


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_run(tmp_path, ("a.png", "b.png"), ("s.png",), sweep={}, side=32)


def test_it_says_where_the_page_is(made: Made) -> None:
    ended = nst_batch("report", made.paths.root)
    assert (ended.code, ended.out, ended.err) == (0, f"{made.paths.report}\n", "")
    assert made.paths.report.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_beside_keeps_the_page_small(made: Made) -> None:
    here("report", made.paths.root)
    inside = made.paths.report.stat().st_size
    assert here("report", made.paths.root, "--beside").code == 0
    assert made.paths.report.stat().st_size < inside
    assert len(list(made.paths.thumbnails.iterdir())) == 5


def test_a_pipeline_file_names_the_same_folder(tmp_path: Path, made: Made) -> None:
    runs.make_pictures(tmp_path)
    pipeline = runs.write_pipeline(tmp_path, tmp_path / "content" / "c0.png", output__dir="run")
    assert here("report", pipeline).out == f"{made.paths.report}\n"
    other = here("report", pipeline, "--set", "output.dir=other")
    assert other.code == 2 and "no run has been started here" in other.err and "hint:" in other.err


def test_a_page_that_cannot_be_written_is_said(made: Made) -> None:
    made.paths.report.mkdir()
    ended = here("report", made.paths.root)
    assert ended.code == 2 and "report.html: cannot be written" in ended.err and ended.out == ""


def test_a_sample_of_it(made: Made) -> None:
    assert here("report", made.paths.root, "--sample", "1").code == 0
    (one,) = pictures_of(made)
    others = set()
    for seed in range(1, 7):
        assert here("report", made.paths.root, "--sample", "1", "--seed", str(seed)).code == 0
        others.update(pictures_of(made))
    assert others > {one}
    assert here("report", made.paths.root, "--sample", "all").code == 0 and len(pictures_of(made)) == 2
    other = here("report", made.paths.root, "--sample", "few")
    assert other.code == 2 and "--sample few" in other.err and "hint: write a number, or all" in other.err


def pictures_of(made: Made) -> list[str]:
    values = json.loads(made.paths.report.read_text().partition('id="data">')[2].partition("</script>")[0])
    return [each["output"] for each in values["pictures"]]


def test_a_table_is_of_all(made: Made, tmp_path: Path) -> None:
    refused = here("export", made.paths.root, tmp_path / "t.csv", "--sample", "1")
    assert refused.code == 2 and "a table has all rows" in refused.err and not (tmp_path / "t.csv").exists()


def test_a_long_export_says_how_far_it_is(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert here("export", made.paths.root, tmp_path / "t.csv").err == f"2 tasks in {tmp_path / 't.csv'}\n"
    monkeypatch.setattr("nst_batch.cli.status.TOLD_SECONDS", 0.0)
    assert "export: 2 of 2 rows\n" in here("export", made.paths.root, tmp_path / "u.csv").err
