"""What a person sees: plain lines off a terminal, a live view on one."""

from __future__ import annotations

import dataclasses
import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from nst_batch.cli.figures import plain
from nst_batch.cli.progress import ProgressView, frame, line
from nst_batch.running.tally import Tally
from tests.watched import Clock, decision, done, failed, progress, tally

A, B = decision("a", 30), decision("b", 10)


def view(
    state: Tally, *, terminal: bool, environment: dict[str, str] | None = None
) -> tuple[ProgressView, io.StringIO]:
    output = io.StringIO()
    environ = {"TERM": "xterm", **(environment or {})}
    console = Console(file=output, force_terminal=terminal, width=100, height=20, _environ=environ)
    return ProgressView(state, console), output


def test_a_run_in_one_line() -> None:
    clock = Clock()
    state = tally(A, B, clock=clock)
    assert line(state.state()) == "0 of 2 tasks | 0% | 0:00 passed, ? left | 0 working, 0.0 evaluations/s"
    state.started(0, "cpu", [A])
    clock.now += 36
    state.progressed(0, progress("a", step=50))
    assert line(state.state()).startswith("0 of 2 tasks | 38% | 0:36 passed, ? left")
    state.finished(0, failed("a"), final=True)
    state.elsewhere(dataclasses.replace(B, state="done"))
    assert line(state.state()).startswith("2 of 2 tasks, 1 failed, 1 by another run | 100% |")
    again = tally(A, B, clock=clock)
    again.started(0, "cpu", [A])
    clock.now += 36
    again.finished(0, done("a"), final=True)
    text = line(again.state())
    assert re.search(r"1 of 2 tasks \| 75% \| 0:36 passed, 0:12 left, done at .*, 100 pictures/h$", text)


@pytest.mark.parametrize("environment", [{}, {"TERM": "dumb"}], ids=["no terminal", "a dumb one"])
def test_where_nothing_can_be_drawn_there_is_a_plain_line_per_interval(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("nst_batch.cli.progress.time.monotonic", lambda: now[0])
    shown, output = view(tally(A, B), terminal=bool(environment), environment=environment)
    with shown:
        for _ in range(35):
            now[0] += 1
            shown.tick()
    assert len(output.getvalue().splitlines()) == 3
    assert "\x1b" not in output.getvalue()


def test_failures_are_told_at_once_and_in_full() -> None:
    shown, output = view(tally(A, B), terminal=False)
    shown.finished(0, failed("a"), final=False)
    shown.finished(0, failed("a", attempt=2), final=True)
    shown.finished(0, done("b", given_up=("history 100 -> 25",)), final=True)
    first, second, third = output.getvalue().splitlines()
    assert first == "a.png: failed (attempt 1), will be tried again: not a picture [really]"
    assert second == "a.png: failed: not a picture [really]"
    assert third == "b.png: memory is short: history 100 -> 25"


def test_notes_stay_above_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nst_batch.cli.progress.FRAME_SECONDS", 0.0)
    shown, output = view(tally(A, B), terminal=True)
    with shown:
        shown.tick()
        shown.note("worker 0 [on cpu] was killed\x1b")
        assert "worker 0 [on cpu] was killed\\x1b\n" in output.getvalue()
        assert output.getvalue().index("was killed") < output.getvalue().rindex("0 of 2")


def busy(workers: int) -> Tally:
    """Each in the middle of a picture with a long name."""
    clock = Clock()
    tasks = [decision(f"a_photograph_with_a_rather_long_name_{n}__a_painting_{n}", 10) for n in range(workers + 5)]
    state = tally(*tasks, workers=workers, clock=clock)
    for slot in range(workers):
        state.started(slot, f"cuda:{slot}", [tasks[slot]])
        clock.now += 1
        state.progressed(slot, progress(tasks[slot].task.id, step=1))
        clock.now += 1
        state.progressed(slot, progress(tasks[slot].task.id, step=7 + slot, loss=12.3456, rate=4.25))
    state.finished(0, done(tasks[0].task.id, seconds=12.0), final=True)
    return state


@pytest.mark.parametrize("workers", [1, 2, 16, 17, 64])
@pytest.mark.parametrize(("width", "height"), [(159, 39), (79, 23), (59, 15), (30, 8)])
def test_whatever_there_is_fits_the_terminal(workers: int, width: int, height: int) -> None:
    state = busy(workers)
    lines = [plain(each) for each in frame(state.state(), state.last, width, height)]
    assert len(lines) <= height
    if width > 30:
        assert max(map(cell_len, lines)) <= width
        assert f"1 of {workers + 5}" in lines[0] and "passed" in lines[1]


def test_each_worker_has_a_row_and_what_is_narrow_leaves_out_what_matters_less() -> None:
    state = busy(3)
    wide = "\n".join(plain(each) for each in frame(state.state(), state.last, 159, 40))
    narrow = "\n".join(plain(each) for each in frame(state.state(), state.last, 59, 40))
    for expected in ("cuda:1", "cuda:2", "8/100", "a_photograph_with_a_rather_long_name_1__a_painting_1"):
        assert expected in wide
    assert "loss 12.35" in wide and "4.2 ev/s" in wide and "loss 12.35" not in narrow and "cuda:2" in narrow
    assert re.search(r"cuda:1 +a_photo\w+…\w+painting_1 +8/100", narrow)
    assert "last: a_photograph_with_a_rather_long_name_0__a_painting_0 in 0:12, loss 3" in wide


def test_many_workers_share_rows() -> None:
    state = busy(40)
    lines = [plain(each) for each in frame(state.state(), state.last, 79, 40)]
    assert len(lines) < 15 and "cuda:1   8%" in "\n".join(lines) and "cuda:39  46%" in "\n".join(lines)
    few = [plain(each) for each in frame(state.state(), state.last, 79, 8)]
    assert re.search(r"… and \d+ more workers", "\n".join(few))


def test_before_the_first_task_it_says_what_is_waited_for() -> None:
    assert "workers are starting" in plain(frame(tally(A).state(), None, 79, 20)[1])
