"""What a person sees while many input files are read for the first time, and how a signal ends that."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from nst_batch.cli.console import say
from nst_batch.cli.figures import ahead
from nst_batch.cli.progress import FRAME_SECONDS, LINE_SECONDS, error_console
from nst_batch.cli.screen import Screen, can_draw
from nst_batch.errors import Interrupted

if TYPE_CHECKING:
    from nst_batch.running.signals import StopSignals

QUIET_SECONDS = 3.0
"""Most commands are over by then."""


class Reading:
    """Says how far it is, if it takes long: to be entered, and called with how many of so many files have been read.

    Args:
        stop: signals, entered, of which the first ends the reading; None: Ctrl-C ends the command anyway.
        as_events: programs read what is said: nothing is drawn.
    """

    def __init__(self, stop: StopSignals | None = None, *, as_events: bool = False) -> None:
        self._stop = stop
        self._as_events = as_events
        self._screen: Screen | None = None
        self._done = self._total = 0
        self._begun = self._next = 0.0

    def __enter__(self) -> Reading:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._screen is not None:
            self._screen.clear()

    def __call__(self, done: int, total: int) -> None:
        """So many files of so many.

        Raises:
            Interrupted: a signal came.
        """
        if self._stop is not None and self._stop.seen:
            raise Interrupted(
                f"stopped while input files were read: {done:,} of {total:,}",
                hint="what was read is remembered: run the same command again to go on",
            )
        now = time.monotonic()
        if total != self._total or done < self._done:  # it begins, or another one
            self._total, self._begun, self._next = total, now, now + QUIET_SECONDS
        elif now >= self._next and done < total:
            left = (now - self._begun) / done * (total - done) if done else None
            self._show(f"reading input files: {done:,} of {total:,}, {ahead(left)}")
            self._next = time.monotonic() + (LINE_SECONDS if self._screen is None else FRAME_SECONDS)
        self._done = done

    def _show(self, text: str) -> None:
        if self._screen is None and not self._as_events and can_draw(console := error_console()):
            self._screen = Screen(console)
        if self._screen is None:
            say(text)
        else:
            self._screen.draw([((text, ""),)])
