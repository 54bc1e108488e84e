"""Commands on a real terminal: nothing wraps, nothing is left behind, whatever its size and whatever ends them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests import runs
from tests.terminal import Terminal, terminal

pytestmark = [
    pytest.mark.terminal,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux"),
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.save_weights(tmp_path_factory.mktemp("weights") / "vgg.pth")


def pipeline(tmp_path: Path, weights: Path, *, steps: int) -> Path:
    """Three contents (one of which is none, one with a long name) and two styles, on two workers."""
    runs.make_pictures(tmp_path, contents=2, size=64)
    (tmp_path / "content" / "c1.png").rename(tmp_path / "content" / f"{'a_rather_long_name_' * 4}.png")
    (tmp_path / "content" / "letter.jpg").write_text("Dear diary")
    return runs.write_pipeline(
        tmp_path, weights, transfer__size=64, transfer__steps=steps, run__devices=["cpu", "cpu"], transfer__stop=None
    )


def nothing_wraps(window: Terminal) -> None:
    """As soon as it was drawn for the size that the window has: a machine with much to do takes its time for that."""
    whole: list[str] = []

    def is_so() -> bool:
        nonlocal whole
        whole = [line.rstrip() for line in window.unwrapped()]
        return whole == window.lines()

    try:
        runs.wait_for(is_so, "a redraw")
    except AssertionError:
        raise AssertionError("\n".join(whole)) from None


def once(window: Terminal, *texts: str) -> None:
    """Each is on the screen once, as soon as it was drawn again: nothing of another size was left behind."""
    seen = ""

    def is_so() -> bool:
        nonlocal seen
        seen = window.text
        return all(seen.count(text) == 1 for text in texts)

    try:
        runs.wait_for(is_so, "a redraw")
    except AssertionError:
        raise AssertionError(f"{texts} in\n{seen}") from None


@pytest.mark.parametrize("width", [80, 160])
def test_a_run_fits_shrinks_grows_and_ends_with_a_summary(tmp_path: Path, weights: Path, width: int) -> None:
    pipeline(tmp_path, weights, steps=150)
    with terminal(tmp_path, width, 24) as window:
        window.nst_batch("run")
        window.wait_for(r"cpu .*\d+/150")
        nothing_wraps(window)
        for size in (60, width + 20):
            window.resize(size, 24)
            once(window, " passed, ", " of 6 ")
            nothing_wraps(window)
        assert window.exit_code() == 1
        assert " passed, " not in window.text, "the view has gone"
        for expected in (r"night: 4 rendered, 0 done before, 2 failed in \d:\d\d", r"pictures/h, .* evaluations/s",
                         r"pictures in ", r"report:\s+/", r"failed: 2 tasks: .*not a picture in any format",
                         r"`nst-batch run --retry-failed` tries them again"):  # fmt: skip
            assert re.search(expected, " ".join(window.text.split())), window.text
        assert window.is_clean()


def test_ctrl_c_leaves_the_terminal_as_it_was(tmp_path: Path, weights: Path) -> None:
    pipeline(tmp_path, weights, steps=3000)
    with terminal(tmp_path) as window:
        window.nst_batch("run")
        window.wait_for(r"cpu .*\d+/3000")
        window.press("C-c")
        assert window.exit_code() == 75
        assert " passed, " not in window.text and "^C" not in window.text
        assert "interrupted; run the same command again to go on" in window.text
        assert window.is_clean()
        window.nst_batch("run")
        window.wait_for(r"cpu .*\d+/3000")
        window.press("C-c")
        window.press("C-c")
        assert window.exit_code() in (75, 130)  # 75: workers were faster
        assert " passed, " not in window.text and window.is_clean()


@pytest.mark.parametrize("width", [80, 160])
def test_watching_fits_and_ends_with_ctrl_c_or_with_the_run(tmp_path: Path, weights: Path, width: int) -> None:
    file = pipeline(tmp_path, weights, steps=3000)
    run = runs.start("run", file)
    with terminal(tmp_path, width, 24) as window:
        runs.wait_for((tmp_path / "out" / "state" / "live").exists, "the live file")
        window.nst_batch("status", "out", "--watch")
        window.wait_for(r"cpu .*\d+/3000")
        nothing_wraps(window)
        assert re.search(r"2 working|1 writer", window.text)
        window.resize(60, 24)
        once(window, "out: 6 tasks", "1 writer")
        window.press("C-c")
        assert window.exit_code() == 0 and window.text.count("out: 6 tasks") == 1 and window.is_clean()
        window.nst_batch("status", "--watch")
        window.wait_for(r"cpu .*\d+/3000")
        run.terminate()
        runs.end_of(run)
        assert window.exit_code() == 0
        assert "nobody is at work here" in window.text and window.text.count("out: 6 tasks") == 1
        assert window.is_clean()


@pytest.mark.parametrize("width", [80, 160])
def test_a_plan_fits(tmp_path: Path, weights: Path, width: int) -> None:
    pipeline(tmp_path, weights, steps=5)
    with terminal(tmp_path, width, 24) as window:
        window.nst_batch("plan")
        assert window.exit_code() == 0
        nothing_wraps(window)
        assert re.search(r"picture +why +time +memory", window.text) and "disk: " in window.text
        assert re.search(r"a_rather_long_n\w*…?\w*s0\.png +new +\d+:\d\d +\d", window.text) or width == 160
        assert window.is_clean()


def test_where_the_terminal_can_do_little_there_are_plain_lines(tmp_path: Path, weights: Path) -> None:
    pipeline(tmp_path, weights, steps=5)
    with terminal(tmp_path) as window:
        window.type("export TERM=dumb")
        window.nst_batch("run")
        assert window.exit_code() == 1 and "4 rendered" in window.text
