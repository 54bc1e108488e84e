"""A clock of the time in which this process could run: pauses do not count (Ctrl-Z, SIGSTOP, Slurm's suspend).

It looks at the time twice a second. Where it comes to look much later, it was not let run, whoever kept it from that.
"""

from __future__ import annotations

import threading
import time

_EVERY_SECONDS = 0.5
_LONGEST_SECONDS = 2.0  # between two looks: machines are busy


class _Clock:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looked = time.monotonic()
        self._keeper: threading.Thread | None = None
        self.paused = 0.0

    def look(self) -> float:
        with self._lock:
            now = time.monotonic()
            if now - self._looked > _LONGEST_SECONDS:
                self.paused += now - self._looked - _EVERY_SECONDS
            self._looked = now
            if self._keeper is None:
                self._keeper = threading.Thread(target=self._keep, name="clock", daemon=True)
                self._keeper.start()
            return now - self.paused

    def _keep(self) -> None:
        while True:
            time.sleep(_EVERY_SECONDS)
            self.look()


_clock = _Clock()


def seconds() -> float:
    """As ``time.monotonic``, without pauses."""
    return _clock.look()


def paused() -> float:
    """Seconds of pauses so far."""
    _clock.look()
    return _clock.paused
