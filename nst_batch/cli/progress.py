"""What a person sees while a run goes on: a live view on a terminal, one plain line per interval elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from typing_extensions import override

from nst_batch.cli.console import folded, printable
from nst_batch.cli.figures import (
    Column,
    Line,
    ahead,
    bar,
    clock,
    joined,
    moment,
    per_hour,
    picture,
    pictures,
    short,
    table,
)
from nst_batch.cli.screen import Screen, can_draw
from nst_batch.records import TaskResult
from nst_batch.running.observers import Observer
from nst_batch.running.run_state import RunState, WorkerState
from nst_batch.running.tally import Tally

if TYPE_CHECKING:
    from rich.console import Console

LINE_SECONDS = 10.0  # between two plain lines: an overnight log stays under 1 MB
FRAME_SECONDS = 0.25
MOST_ROWS = 16  # workers that have a row each; more share rows
_BAR = 12  # columns of a worker's bar
_WIDE = 110  # columns of a terminal on which there is room for it

_WORKER = (
    *(Column("cyan"), Column(gives_way=True), Column(right=True), Column("bright_black", right=True, needs=60)),
    *(Column("bright_black", right=True, needs=70), Column(right=True)),
)


class ProgressView(Observer):
    """An observer that shows what a tally knows.

    Args:
        tally: told everything before.
        console: where to show it (standard error).
    """

    def __init__(self, tally: Tally, console: Console) -> None:
        self._tally = tally
        self._console = console
        self._screen: Screen | None = None
        self._last_line = time.monotonic()

    def __enter__(self) -> ProgressView:
        self._screen = Screen(self._console) if can_draw(self._console) else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._screen is not None:
            self._screen.clear()
            self._screen = None

    @override
    def finished(self, slot: int, result: TaskResult, final: bool) -> None:
        """Say what went wrong, at once."""
        if result.given_up:
            self.note(f"{result.output}: memory is short: {', '.join(result.given_up)}")
        if result.error is not None:
            what = "failed" if final else f"failed (attempt {result.attempt}), will be tried again"
            self.note(f"{result.output}: {what}: {result.error.message}")

    @override
    def note(self, text: str) -> None:
        """A line that stays."""
        if self._screen is not None:
            self._screen.say(folded(printable(text), self._screen.width))
            self._draw(self._screen)
        else:
            self._console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    @override
    def tick(self) -> None:
        """Draw, if it is time."""
        wait = FRAME_SECONDS if self._screen is not None else LINE_SECONDS
        if time.monotonic() - self._last_line < wait:
            return
        self._last_line = time.monotonic()
        if self._screen is not None:
            self._draw(self._screen)
        else:
            self.note(line(self._tally.state()))

    def _draw(self, screen: Screen) -> None:
        screen.draw(frame(self._tally.state(), self._tally.last, screen.width, screen.height))


def line(state: RunState) -> str:
    """A run in one line, for logs."""
    failed = f", {state.failed} failed" if state.failed else ""
    failed += f", {state.elsewhere} by another run" if state.elsewhere else ""
    left = "?" if state.seconds_left is None else clock(state.seconds_left)
    at = "" if state.seconds_left is None else f", done at {moment(state.seconds_left)}"
    hourly = "" if state.pictures_per_hour is None else f", {per_hour(state.pictures_per_hour)}"
    working = sum(bool(worker.outputs) for worker in state.workers)
    return (
        f"{state.over} of {state.total} tasks{failed} | {state.fraction:.0%} | "
        f"{clock(state.elapsed)} passed, {left} left{at} | "
        f"{working} working, {state.evaluations_per_second:.1f} evaluations/s{hourly}"
    )


def frame(state: RunState, last: TaskResult | None, width: int, height: int) -> list[Line]:
    """A run as a terminal of that size shows it."""
    lines = [*_head(state, width), *workers_lines(state.workers, width, height - 3)]
    if last is not None:
        loss = f", loss {last.losses.total:.4g}" if last.losses else ""
        took = f" in {clock(last.seconds)}{loss}"
        lines.append(((f"last: {short(picture(last.output), width - 6 - len(took))}{took}", "bright_black"),))
    return lines


def _head(state: RunState, width: int) -> list[Line]:
    counts = f"  {state.over} of {state.total}  {state.fraction:.0%}"
    failed = f"  {state.failed} failed" if state.failed else ""
    failed += f"  {state.elsewhere} by others" if state.elsewhere else ""
    first = (*bar(state.fraction, max(8, width - len(counts) - len(failed))), (counts, "bold"), (failed, "red"))
    rates = [per_hour(state.pictures_per_hour)] if state.pictures_per_hour is not None else []
    rates += [f"{state.evaluations_per_second:.1f} ev/s"] if state.evaluations_per_second else []
    begun = any(worker.outputs or worker.busy for worker in state.workers)
    times = f"{clock(state.elapsed)} passed, " + (ahead(state.seconds_left) if begun else "workers are starting")
    return [first, ((joined([times, *rates], width), ""),)]


def workers_lines(workers: Sequence[WorkerState], width: int, height: int) -> list[Line]:
    """What each worker does; where there are many, several in a row."""
    at_work = [worker for worker in workers if worker.outputs]
    if len(at_work) > min(MOST_ROWS, height):
        return _condensed(at_work, width, height)
    bars = width >= _WIDE
    rows = [_row(worker, width) for worker in at_work]
    found = table(rows, _WORKER, width - (_BAR + 2) * bars)
    if not bars:
        return found
    return [(*bar(worker.done, _BAR), ("  ", ""), *each) for worker, each in zip(at_work, found, strict=True)]


def _row(worker: WorkerState, width: int) -> list[str]:
    numbers = [f"{worker.step}/{worker.steps}", "" if worker.loss is None else f"loss {worker.loss:.4g}"]
    left = "" if worker.left is None else clock(worker.left)
    rates = [f"{worker.rate:.1f} ev/s", left] if worker.steps else ["", left]
    return [printable(worker.device), pictures(worker.outputs, width), *(numbers if worker.steps else ["", ""]), *rates]


def _condensed(workers: Sequence[WorkerState], width: int, height: int) -> list[Line]:
    cells = [f"{printable(worker.device)} {worker.done:4.0%}" for worker in workers]
    each = max(map(len, cells)) + 3
    across = max(1, (width + 3) // each)
    rows = [cells[first : first + across] for first in range(0, len(cells), across)]
    shown = rows if len(rows) <= height else rows[: max(0, height - 1)]
    lines: list[Line] = [(("".join(cell.ljust(each) for cell in row).rstrip(), ""),) for row in shown]
    if len(shown) < len(rows):
        lines.append(((f"… and {len(cells) - across * len(shown)} more workers", "bright_black"),))
    return lines


def error_console() -> Console:
    """Standard error: standard output is for results."""
    from rich.console import Console

    return Console(file=sys.stderr, soft_wrap=not sys.stderr.isatty())
