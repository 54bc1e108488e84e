"""``nst-batch status --watch``: a run's overview, again and again, until it is over."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nst_batch.cli.cluster import job_report, may_go_on
from nst_batch.cli.console import print_json, say
from nst_batch.cli.figures import show
from nst_batch.cli.overviews import facts, lines, one_line
from nst_batch.cli.screen import Screen, can_draw
from nst_batch.errors import ExitCode
from nst_batch.running.overview import Follower, Overview

if TYPE_CHECKING:
    from nst_batch.paths import RunPaths

LOOK_SECONDS = 2.0
LINE_SECONDS = 10.0  # between two lines where there is no terminal
_SIZE_SECONDS = 0.2  # how late a terminal's new size is noticed
_QUIET_LOOKS = 2  # in a row, that see nobody at work, after which it is over: one run may follow another


def follow(paths: RunPaths, *, as_json: bool) -> int:
    """Show it until it is over, or until Ctrl-C; what is shown last stays.

    Raises:
        UsageError: no run was ever started there.
    """
    from rich.console import Console

    console, begun, follower = Console(), time.monotonic(), Follower(paths)
    with contextlib.suppress(KeyboardInterrupt):
        if can_draw(console) and not as_json:
            with Screen(console) as screen:
                for seen in _looks(follower, paths):
                    _show_for(LOOK_SECONDS, screen, seen)
        else:
            for seen in _looks(follower, paths):
                if not seen.is_over:
                    print_json(facts(seen, [], begun)) if as_json else print(one_line(seen), flush=True)
                time.sleep(LOOK_SECONDS if seen.is_over else LINE_SECONDS)
    seen, jobs = follower.look(), job_report(paths)
    if as_json:
        print_json(facts(seen, jobs, begun))
        return ExitCode.DONE
    show(lambda width: lines(seen, jobs, width))
    if seen.is_over and seen.todo and not may_go_on(jobs):
        say("nobody is at work here; `nst-batch run` or `submit` goes on with what is left")
    return ExitCode.DONE


def _looks(follower: Follower, paths: RunPaths) -> Iterator[Overview]:
    """What is seen, until nobody is at work, nor will be as far as a cluster knows."""
    quiet = 0
    while quiet < _QUIET_LOOKS:
        seen = follower.look()
        quiet = quiet + 1 if seen.is_over and not may_go_on(job_report(paths)) else 0
        if quiet < _QUIET_LOOKS:
            yield seen


def _show_for(seconds: float, screen: Screen, seen: Overview) -> None:
    """Draw it, and again as soon as the terminal has another size."""
    end, drawn = time.monotonic() + seconds, (0, 0)
    while time.monotonic() < end:
        size = screen.width, screen.height
        if size != drawn:
            screen.draw(lines(seen, [], screen.width))
            drawn = size
        time.sleep(_SIZE_SECONDS)
