"""Ctrl-C, SIGTERM, SIGHUP (a terminal was closed) and SIGUSR1 (what a cluster sends before the end): the first asks
the run to stop, the second ends it."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

HEEDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
_MAY_BE_IGNORED = (signal.SIGINT, signal.SIGHUP)
"""By who starts a program that is to outlive them: ``nohup``, and shells for what they begin in the background."""


class StopSignals:
    """Notes signals while it is entered; the second one raises KeyboardInterrupt where the program is.

    SIGHUP is never the second: when a terminal is closed it comes twice, from the kernel and from the shell, and nobody
    is there to be impatient.

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
        for number in HEEDED:
            if number in _MAY_BE_IGNORED and signal.getsignal(number) == signal.SIG_IGN:
                continue
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.reasons.append(signal.Signals(number).name)
        if sum(reason != signal.SIGHUP.name for reason in self.reasons) > 1 and not self.patient:
            raise KeyboardInterrupt
