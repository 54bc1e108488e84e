"""Ctrl-C, SIGTERM and SIGUSR1 (what a cluster sends before the end): the first asks the run to stop, the second ends
it."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any


class StopSignals:
    """Notes SIGINT, SIGTERM and SIGUSR1 while it is entered; the second one raises KeyboardInterrupt where the program
    is.

    Args:
        patient: further ones change nothing: clusters send several, seconds apart, and end what does not go.

    Attributes:
        reasons: why the run is to stop: names of signals, or what ``stop`` was told.
    """

    def __init__(self, *, patient: bool = False) -> None:
        self.reasons: list[str] = []
        self.patient = patient
        self._before: dict[int, Any] = {}

    @property
    def seen(self) -> bool:
        """Whether the run is to stop."""
        return bool(self.reasons)

    def stop(self, reason: str) -> None:
        """Stop without a signal."""
        self.reasons.append(reason)

    def __enter__(self) -> StopSignals:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        again = self.seen
        self.reasons.append(signal.Signals(number).name)
        if again and not self.patient:
            raise KeyboardInterrupt
