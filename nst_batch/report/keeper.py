"""A run's page, made anew now and then while the run goes on.

By a process of its own: whatever the page costs, and whatever goes wrong with it, the run goes on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

from typing_extensions import override

from nst_batch.paths import RunPaths
from nst_batch.recorded.decisions import Decision
from nst_batch.recorded.writers import Heartbeats
from nst_batch.records import TaskResult
from nst_batch.report.page import MOST_INSIDE, Where, write_report
from nst_batch.report.sample import WHOLE
from nst_batch.running.observers import Observer

EVERY_SECONDS = 60.0
PATIENCE = 20.0  # times as long as the last page took
LEAVE_SECONDS = 10.0


def wanted(choice: str, tasks: int) -> bool:
    """Whether runs keep a page: what ``run.report`` comes to. Of a large run it shows a sample."""
    return choice != "off" and tasks > 0


def place_of_thumbnails(tasks: int) -> Where:
    """Inside the page, as long as it stays of a size that can be opened and sent."""
    return "inside" if tasks <= MOST_INSIDE else "beside"


def goes_on(paths: RunPaths) -> bool:
    """Whether anybody renders there now."""
    beats = Heartbeats(paths)
    try:
        return any(beats.is_alive(path.name) for path in paths.writers.iterdir())
    except OSError:
        return False


class PageKeeper(Observer):
    """An observer that has the page made, while it is entered.

    Args:
        paths: of the run.
        tasks: that the run has.
        is_first: whether, among those who render there, it is this one's business.
    """

    def __init__(self, paths: RunPaths, tasks: int, is_first: Callable[[], bool]) -> None:
        self._paths = paths
        self._where = place_of_thumbnails(tasks)
        self._is_first = is_first
        self._has_news = False
        self._next = time.monotonic() + EVERY_SECONDS
        self._begun = 0.0
        self._maker: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PageKeeper:
        return self

    def __exit__(self, *_: object) -> None:
        if self._maker is None:
            return
        try:
            self._maker.wait(timeout=LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            self._maker.kill()
            self._maker.wait()

    @override
    def finished(self, slot: int, result: TaskResult, final: bool) -> None:
        """There is something new to be shown."""
        self._has_news = self._has_news or final

    @override
    def elsewhere(self, decision: Decision) -> None:
        """Likewise, of another run's."""
        self._has_news = True

    @override
    def tick(self) -> None:
        """Begin to make it, if it is time, and see whether that has ended."""
        now = time.monotonic()
        if self._maker is not None:
            if self._maker.poll() is None:
                return
            self._maker, self._next = None, now + max(EVERY_SECONDS, PATIENCE * (now - self._begun))
        if not self._has_news or now < self._next:
            return
        self._next = now + EVERY_SECONDS
        if self._is_first():
            self._has_news, self._begun = False, now
            self._maker = _begin(self._paths, self._where)


def _begin(paths: RunPaths, where: Where, errors: int = subprocess.DEVNULL) -> subprocess.Popen[bytes] | None:
    """``nst-batch report``, unheard, and out of reach of the terminal's Ctrl-C; None: the machine takes no more."""
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "nst_batch", "report", os.fspath(paths.root), f"--{where}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True,
        )  # fmt: skip
    except OSError:
        return None


def write_last(paths: RunPaths, tasks: int) -> str:
    """The page at the end of a run, by whoever leaves last; why it could not be made, or nothing."""
    if goes_on(paths):
        return ""
    if tasks > WHOLE:  # what is read for it would be read into a process that has much in memory
        return _by_another(paths, place_of_thumbnails(tasks))
    try:
        write_report(paths, where=place_of_thumbnails(tasks))
    except Exception as error:  # noqa: BLE001 - every picture is there and recorded: a page is no reason to fail
        return str(error) or type(error).__name__
    return ""


def _by_another(paths: RunPaths, where: Where) -> str:
    maker = _begin(paths, where, subprocess.PIPE)
    if maker is None:
        return "no process could be started"
    _, said = maker.communicate()
    lines = said.decode(errors="replace").strip().splitlines()
    return "" if maker.returncode == 0 else lines[0] if lines else f"ended with {maker.returncode}"
