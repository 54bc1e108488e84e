"""``nst-batch report``."""

from __future__ import annotations

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
