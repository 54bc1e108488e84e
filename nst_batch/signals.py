"""Ctrl-C, SIGTERM and SIGUSR1 (what a cluster sends before the end): the first asks the run to stop, the second ends
it."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any


class StopSignals:
    """Counts SIGINT, SIGTERM and SIGUSR1 while it is entered; the second one raises KeyboardInterrupt where the program
    is."""

    def __init__(self) -> None:
        self.seen = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.seen += 1
        if self.seen > 1:
            raise KeyboardInterrupt
