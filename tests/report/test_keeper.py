"""The page while a run goes on, and at its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nst_batch.paths import RunPaths
from nst_batch.recorded.writers import entered
from nst_batch.records import TaskResult
from nst_batch.report import keeper
from nst_batch.report.keeper import PageKeeper, goes_on, place_of_thumbnails, wanted, write_last
from tests import runs


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.save_weights(tmp_path_factory.mktemp("weights") / "vgg.pth")


@pytest.fixture
def paths(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunPaths]:
    """Of a run whose page is gone; the keeper is in no mood to wait."""
    runs.make_pictures(tmp_path, contents=1, styles=2)
    assert runs.here("run", runs.write_pipeline(tmp_path, weights, run__report="off")).code == 0
    monkeypatch.setenv("PYTHONPATH", str(runs.REPOSITORY))
    monkeypatch.setattr(keeper, "EVERY_SECONDS", 0.0)
    yield RunPaths(tmp_path / "out")


def test_it_is_kept_unless_told_otherwise() -> None:
    assert wanted("auto", 1) and wanted("auto", 10**6) and wanted("on", 10**6)
    assert not wanted("off", 1) and not wanted("auto", 0)
    assert (place_of_thumbnails(400), place_of_thumbnails(401)) == ("inside", "beside")


def test_a_run_leaves_its_page(tmp_path: Path, weights: Path) -> None:
    runs.make_pictures(tmp_path, contents=1, styles=1)
    file = runs.write_pipeline(tmp_path, weights)
    ended = runs.here("run", file)
    assert ended.code == 0 and f"report: {tmp_path / 'out' / 'report.html'}" in ended.err
    page = (tmp_path / "out" / "report.html").read_text()
    assert "c0__s0.png" in page and '"live":false' in page
    (tmp_path / "out" / "report.html").unlink()
    assert runs.here("run", file).code == 0
    assert not (tmp_path / "out" / "report.html").exists(), "nothing was rendered, so there is nothing new to show"


def test_it_is_made_when_there_is_news_and_says_that_the_run_goes_on(paths: RunPaths) -> None:
    assert not paths.report.exists()
    with entered(paths) as writer, PageKeeper(paths, 2, writer.is_first) as kept:
        kept.tick()
        kept.finished(0, TaskResult("0" * 32, "failed", "a.png"), final=False)
        kept.tick()
        assert kept._maker is None, "nothing has ended for good"
        kept.finished(0, TaskResult("0" * 32, "done", "a.png"), final=True)
        kept.tick()
        assert kept._maker is not None
        kept._maker.wait(timeout=runs.PATIENCE_SECONDS)
        assert '"live":true' in paths.report.read_text()
        kept.tick()
        kept.tick()
        assert kept._maker is None, "once for all the news there was"


def test_of_several_one_makes_it_and_the_last_to_leave_has_the_last_word(paths: RunPaths) -> None:
    with entered(paths) as first, entered(paths) as second:
        names = sorted((first, second), key=lambda writer: writer.name)
        assert [writer.is_first() for writer in names] == [True, False]
        with PageKeeper(paths, 2, names[1].is_first) as kept:
            kept.finished(0, TaskResult("0" * 32, "done", "a.png"), final=True)
            kept.tick()
            assert kept._maker is None
        assert goes_on(paths) and write_last(paths, 2) == "" and not paths.report.exists()
    assert not goes_on(paths) and write_last(paths, 2) == "" and paths.report.exists()


def test_a_page_that_cannot_be_made_is_said_and_no_more(tmp_path: Path, weights: Path) -> None:
    runs.make_pictures(tmp_path, contents=1, styles=1)
    (tmp_path / "out" / "report.html").mkdir(parents=True)
    ended = runs.here("run", runs.write_pipeline(tmp_path, weights))
    assert ended.code == 0 and "no report: " in ended.err and "Traceback" not in ended.err
    assert len(runs.lines(tmp_path / "out")) == 1


def test_the_last_page_of_a_large_run_is_made_by_another_process(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "WHOLE", 1)
    monkeypatch.setattr(keeper, "write_report", None)
    assert write_last(paths, 2) == "" and '"live":false' in paths.report.read_text()
    paths.report.unlink()
    paths.report.mkdir()
    assert "report.html: cannot be written" in write_last(paths, 2)
    monkeypatch.setattr(keeper, "_begin", lambda *_: None)
    assert write_last(paths, 2) == "no process could be started"
