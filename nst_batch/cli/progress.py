"""What a person sees while a run goes on: a live view on a terminal, one plain line per interval elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from nst_batch.cli.console import printable
from nst_batch.decisions import Decision
from nst_batch.messages import Progress
from nst_batch.records import TaskResult

if TYPE_CHECKING:
    from rich.console import Console
    from rich.constrain import Constrain
    from rich.live import Live
    from rich.table import Table

LINE_SECONDS = 10.0  # between two plain lines: an overnight log stays under 1 MB
FRAME_SECONDS = 0.25


@dataclass
class Row:
    """What one worker is doing; ``outputs`` are the pictures that it has in hand."""

    device: str
    outputs: list[str] = field(default_factory=list)
    progress: Progress | None = None


class Tally:
    """Counts of a run, and the time that is left, from the cost of tasks."""

    def __init__(self, todo: list[Decision], skipped: int) -> None:
        self.total = len(todo)
        self.skipped = skipped
        self.rendered = self.failed = self.elsewhere = 0
        self.rows: dict[int, Row] = {}
        self._begun = time.monotonic()
        self._working_since: float | None = None  # the first hand-out: loading torch and weights is no measure
        self._cost = {d.task.id: max(d.task.cost, 1.0) for d in todo}
        self._work = sum(max(d.task.cost, 1.0) for d in todo)
        self._finished_work = 0.0

    def start(self, slot: int, row: Row) -> None:
        """A worker has a task."""
        self.rows[slot] = row
        if self._working_since is None:
            self._working_since = time.monotonic()

    def drop(self, slot: int, output: str) -> None:
        """A worker has no longer this picture in hand; it may have others already."""
        row = self.rows.get(slot)
        if row is not None and output in row.outputs:
            row.outputs.remove(output)
            if not row.outputs:
                del self.rows[slot]

    def finish(self, task: str, status: str, *, elsewhere: bool = False) -> None:
        """Count a task (by id) that is over, brought to its end by this run or by another."""
        self._finished_work += self._cost[task]
        self.rendered += status == "done"
        self.failed += status == "failed"
        self.elsewhere += elsewhere

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._begun

    def fraction(self) -> float:
        """Work done so far, 0 to 1, steps of unfinished tasks included."""
        running = sum(
            self._cost.get(task, 0.0) * row.progress.step / row.progress.steps
            for row in self.rows.values()
            if row.progress
            for task in row.progress.tasks
        )
        return min(1.0, (self._finished_work + running) / self._work) if self._work else 1.0

    def seconds_left(self) -> float | None:
        """By the rate since the first hand-out; None until there is one."""
        fraction = self.fraction()
        if self._working_since is None or fraction < 0.005:
            return None
        return (time.monotonic() - self._working_since) * (1 - fraction) / fraction


class ProgressView:
    """An Observer of the scheduler that shows what it is told.

    Args:
        todo: what will be rendered.
        skipped: how many tasks were done before.
        console: where to show it (standard error).
    """

    def __init__(self, todo: list[Decision], skipped: int, console: Console) -> None:
        self._tally = Tally(todo, skipped)
        self._console = console
        self._live: Live | None = None
        self._last_line = time.monotonic()

    def __enter__(self) -> ProgressView:
        if self._console.is_terminal:
            from rich.live import Live

            self._live = Live(console=self._console, get_renderable=self._frame, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def started(self, slot: int, device: str, decisions: Sequence[Decision]) -> None:
        """A worker got tasks."""
        self._tally.start(slot, Row(device, [decision.task.output for decision in decisions]))

    def progressed(self, slot: int, progress: Progress) -> None:
        """A worker is so far."""
        if slot in self._tally.rows:
            self._tally.rows[slot].progress = progress

    def finished(self, slot: int, result: TaskResult, final: bool) -> None:
        """A task ended, or will be tried again."""
        self._tally.drop(slot, result.output)
        if final:
            self._tally.finish(result.task, result.status)
        if result.given_up:
            self.note(f"{result.output}: memory is short: {', '.join(result.given_up)}")
        if result.error is not None:
            what = "failed" if final else f"failed (attempt {result.attempt}), will be tried again"
            self.note(f"{result.output}: {what}: {result.error.message}")

    def elsewhere(self, decision: Decision) -> None:
        """Another run has brought a task to its end."""
        self._tally.finish(decision.task.id, decision.state, elsewhere=True)

    def note(self, text: str) -> None:
        """A line that stays."""
        self._console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    def tick(self) -> None:
        """Draw, if it is time."""
        wait = FRAME_SECONDS if self._live is not None else LINE_SECONDS
        if time.monotonic() - self._last_line < wait:
            return
        self._last_line = time.monotonic()
        if self._live is not None:
            self._live.refresh()
        else:
            self.note(self.line())

    def line(self) -> str:
        """The run in one line, for logs."""
        tally = self._tally
        rates = sum(row.progress.rate for row in tally.rows.values() if row.progress)
        left = tally.seconds_left()
        failed = f", {tally.failed} failed" if tally.failed else ""
        failed += f", {tally.elsewhere} by another run" if tally.elsewhere else ""
        return (
            f"{tally.rendered + tally.failed} of {tally.total} tasks{failed} | {tally.fraction():.0%} | "
            f"{clock(tally.elapsed)} passed, {clock(left) if left is not None else '?'} left | "
            f"{len(tally.rows)} working, {rates:.1f} evaluations/s"
        )

    def _frame(self) -> Constrain:
        from rich.console import Group
        from rich.constrain import Constrain
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        tally = self._tally
        head = Table.grid(padding=(0, 1), expand=True)
        head.add_column(ratio=1)
        head.add_column(no_wrap=True)
        left = tally.seconds_left()
        failed = f"  [red]{tally.failed} failed[/]" if tally.failed else ""
        head.add_row(
            ProgressBar(total=1.0, completed=tally.fraction()),
            f"[bold]{tally.rendered + tally.failed}[/] of {tally.total}{failed}  "
            f"{clock(tally.elapsed)} passed, {clock(left) if left is not None else '…'} left",
        )
        # Room for the terminal's echo of ^C: a line that it made wrap would stay behind.
        return Constrain(Group(head, self._workers()), self._console.width - 3)

    def _workers(self) -> Table:
        """One row a worker: device, task, step, loss, evaluations a second."""
        from rich.markup import escape
        from rich.table import Table

        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(no_wrap=True, style="cyan")
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for _ in range(3):
            table.add_column(no_wrap=True, justify="right")
        for _, row in sorted(self._tally.rows.items()):
            p = row.progress
            numbers = (f"{p.step}/{p.steps}", f"loss {p.loss:.4g}", f"{p.rate:.1f} ev/s") if p else ("", "", "")
            table.add_row(row.device, escape(_name(row.outputs)), *numbers)
        return table


def clock(seconds: float) -> str:
    """``1:02:03``, or ``2:03`` under an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def error_console() -> Console:
    """Standard error: standard output is for results."""
    from rich.console import Console

    return Console(file=sys.stderr, soft_wrap=not sys.stderr.isatty())


def _name(outputs: Sequence[str]) -> str:
    """Of what a worker has in hand, in one line."""
    more = f" and {len(outputs) - 1} more" if len(outputs) > 1 else ""
    return _short(outputs[0]) + more


def _short(output: str) -> str:
    """A picture's name without its ending."""
    return printable(str(Path(output).with_suffix(""))).replace("\n", "?")
