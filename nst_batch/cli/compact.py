"""The manifest of a long run made short: ``nst-batch compact``."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nst_batch.cli.console import print_json, printable, reports_errors, say
from nst_batch.cli.figures import ahead, bar, count
from nst_batch.cli.options import Json, Place, Sets, run_of
from nst_batch.cli.screen import Screen, can_draw
from nst_batch.errors import ExitCode, Interrupted
from nst_batch.running.signals import StopSignals

if TYPE_CHECKING:
    from nst_batch.recorded.compaction import Compacted, Sizes

LINE_SECONDS = 10.0  # between two lines where there is no terminal
FRAME_SECONDS = 0.25


@reports_errors
def compact(
    place: Place = Path("pipeline.yaml"),
    sets: Sets = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would become of it.")] = False,
    as_json: Json = False,
) -> int:
    """Merge the parts of a run's manifest into few, without lines that were superseded; beside runs that go on, too."""
    begun = time.monotonic()
    from nst_batch.cli.progress import error_console
    from nst_batch.recorded.compaction import compact as merge

    paths, console = run_of(place, sets), error_console()
    with StopSignals() as stop:
        if can_draw(console):
            with Screen(console) as screen:
                found = merge(paths, dry_run=dry_run, tick=Ticks(stop, screen))
        else:
            found = merge(paths, dry_run=dry_run, tick=Ticks(stop))
    if as_json:
        seconds = round(time.monotonic() - begun, 3)
        told = {**dataclasses.asdict(found), "changes": found.changes, "dry_run": dry_run, "seconds": seconds}
        print_json({"name": paths.root.name, **told})
    else:
        print(printable(f"{paths.root.name}: {in_words(found, dry_run=dry_run)}"))
    return ExitCode.DONE


class Ticks:
    """Shows how far it is, and ends it when a signal says so.

    Args:
        stop: signals, entered.
        screen: of a terminal; None: a line now and then.
    """

    def __init__(self, stop: StopSignals, screen: Screen | None = None) -> None:
        self._stop = stop
        self._screen = screen
        self._begun = self._shown = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """So many bytes of so many.

        Raises:
            Interrupted: a signal came.
        """
        if self._stop.seen:
            raise Interrupted("compacting was stopped; no line is lost", hint="the same command goes on")
        now = time.monotonic()
        if now - self._shown < (FRAME_SECONDS if self._screen else LINE_SECONDS):
            return
        self._shown = now
        fraction = done / total if total else 1.0
        left = ahead((now - self._begun) / fraction * (1 - fraction) if fraction else None)
        if self._screen:
            text = f"  {fraction:4.0%}  {left}"
            self._screen.draw([(*bar(fraction, max(8, min(60, self._screen.width - len(text)))), (text, ""))])
        else:
            say(f"compacting: {fraction:.0%}, {left}")


def in_words(found: Compacted, *, dry_run: bool) -> str:
    """What became of it, or would."""
    alive = f"; {count(found.alive, 'part')} left to writers that are at work" if found.alive else ""
    if not found.changes:
        return f"nothing to compact: {_sizes(found.before)}{alive}"
    gone = [count(found.superseded, "superseded line")] if found.superseded else []
    gone += [f"{found.broken:,} broken"] if found.broken else []
    dropped = f"; {'would drop' if dry_run else 'dropped'} {', '.join(gone)}" if gone else ""
    arrow = "would become" if dry_run else "->"
    return f"{_sizes(found.before)} {arrow} {_sizes(found.after)}{dropped}{alive}"


def _sizes(sizes: Sizes) -> str:
    size = sizes.bytes
    shown = f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"
    return f"{count(sizes.parts, 'part')}, {count(sizes.lines, 'line')}, {shown}"
