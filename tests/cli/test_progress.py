"""What a person sees: numbers that add up, plain lines off a terminal, a live view on one."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from nst_batch.cli.progress import ProgressView, Row, Tally, clock
from nst_batch.decisions import Decision
from nst_batch.messages import Progress
from nst_batch.records import Failure, Source, Style, Task, TaskResult, Weights
from nst_batch.settings import TransferSettings

PICTURE = Source("a.png", "0" * 64, 1, 10, 10)


def decision(name: str, cost: float) -> Decision:
    task = Task(name, PICTURE, (Style(PICTURE),), TransferSettings(), Weights("w", "0"), f"{name}.png", cost=cost)
    return Decision(task, "todo", "new")


def done(name: str) -> TaskResult:
    return TaskResult(name, "done", f"{name}.png")


def failed(name: str, attempt: int = 1) -> TaskResult:
    error = Failure("ImageError", "not a picture [really]")
    return TaskResult(name, "failed", f"{name}.png", attempt=attempt, error=error)


def view(terminal: bool, *, width: int = 100) -> tuple[ProgressView, io.StringIO]:
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=width, height=20, _environ={"TERM": "xterm"})
    return ProgressView([decision("a", 30), decision("b", 10)], 5, console), output


def test_time_left_goes_by_the_cost_of_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("nst_batch.cli.progress.time.monotonic", lambda: now[0])
    tally = Tally([decision("a", 30), decision("b", 10)], skipped=0)
    now[0] += 60  # loading
    assert tally.fraction() == 0 and tally.seconds_left() is None
    tally.start(0, Row("cpu", ["a.png"]))
    now[0] += 30
    tally.finish("a", "done")
    assert tally.fraction() == pytest.approx(0.75)
    assert tally.elapsed == 90 and tally.seconds_left() == pytest.approx(10)
    tally.finish("b", "failed")
    assert (tally.fraction(), tally.rendered, tally.failed) == (1, 1, 1)


def test_what_another_run_did_counts_as_progress() -> None:
    shown, _ = view(terminal=False)
    shown.elsewhere(dataclasses.replace(decision("a", 30), state="done"))
    assert "1 of 2 tasks, 1 by another run | 75% |" in shown.line()
    shown.elsewhere(dataclasses.replace(decision("b", 10), state="failed"))
    assert "2 of 2 tasks, 1 failed, 2 by another run | 100% |" in shown.line()


def test_steps_of_tasks_in_hand_count() -> None:
    shown, _ = view(terminal=False)
    shown.started(0, "cpu", [decision("a", 30)])
    shown.progressed(0, Progress(("a",), step=50, steps=100, loss=1.5, rate=4.0))
    assert "0 of 2 tasks | 38% |" in shown.line() and "1 working, 4.0 evaluations/s" in shown.line()


def test_a_worker_with_several_tasks_keeps_its_row_until_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nst_batch.cli.progress.FRAME_SECONDS", 0.0)
    shown, output = view(terminal=True)
    with shown:
        shown.started(0, "cuda:0", [decision("a", 30), decision("b", 10)])
        shown.progressed(0, Progress(("a", "b"), step=50, steps=100, loss=1.5, rate=4.0))
        shown.tick()
        assert "a and 1 more" in output.getvalue()
        assert "| 50% |" in shown.line()
        shown.finished(0, done("a"), final=True)
        assert "1 working" in shown.line()
        shown.finished(0, done("b"), final=True)
        assert "2 of 2 tasks | 100% |" in shown.line() and "0 working" in shown.line()


def test_a_late_result_leaves_what_the_worker_does_now() -> None:
    """Files are written while the next task is rendered."""
    shown, _ = view(terminal=False)
    shown.started(0, "cpu", [decision("a", 30)])
    shown.started(0, "cpu", [decision("b", 10)])
    shown.finished(0, done("a"), final=True)
    assert "1 of 2 tasks | 75% |" in shown.line() and "1 working" in shown.line()


def test_tasks_of_unknown_cost_do_not_divide_by_zero() -> None:
    tally = Tally([decision("a", 0)], skipped=0)
    tally.finish("a", "done")
    assert tally.fraction() == 1
    assert Tally([], skipped=3).fraction() == 1


def test_off_a_terminal_there_is_a_plain_line_per_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("nst_batch.cli.progress.time.monotonic", lambda: now[0])
    shown, output = view(terminal=False)
    with shown:
        for _ in range(35):
            now[0] += 1
            shown.tick()
    assert len(output.getvalue().splitlines()) == 3
    assert "\x1b" not in output.getvalue()


def test_failures_are_told_at_once_and_in_full() -> None:
    shown, output = view(terminal=False)
    shown.finished(0, failed("a"), final=False)
    shown.finished(0, failed("a", attempt=2), final=True)
    first, second = output.getvalue().splitlines()
    assert first == "a.png: failed (attempt 1), will be tried again: not a picture [really]"
    assert second == "a.png: failed: not a picture [really]"


@pytest.mark.parametrize("width", [80, 160])
def test_on_a_terminal_each_worker_has_a_row(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nst_batch.cli.progress.FRAME_SECONDS", 0.0)
    shown, output = view(terminal=True, width=width)
    with shown:
        shown.started(0, "cuda:0", [decision("a", 30)])
        shown.started(1, "cuda:1", [decision("b", 10)])
        shown.progressed(1, Progress(("b",), step=7, steps=100, loss=12.3456, rate=4.25))
        shown.tick()
    text = output.getvalue()
    for expected in ("cuda:0", "cuda:1", "7/100", "loss 12.35", "4.2 ev/s", "of 2", "passed"):
        assert expected in text
    assert max(len(line) for line in Console(file=io.StringIO()).render_str(text).plain.splitlines()) < 4 * width


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3723, "1:02:03")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
