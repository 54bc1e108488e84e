"""Standard streams that are closed, full, or read by nobody any more: no night is lost for a log."""

from __future__ import annotations

import io
import os
import select
import sys
from typing import Any, TextIO

from typing_extensions import override

PATIENCE_SECONDS = 5.0  # for a reader that does not read; then its lines are dropped until it does
_WHOLE = 4096  # bytes that a pipe with any room takes without waiting


def make_safe() -> None:
    """Standard error drops what cannot be written; standard output says of its errors that they are its own. Call it
    once, first of all."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # ``2>&-``: or the next file that is opened gets its number, and what libraries print
            os.open(os.devnull, os.O_RDWR)
    # File names hold what a terminal's encoding may not.
    sys.stdout = _text(_Named(1, "w", closefd=False), sys.stdout, line_buffering=os.isatty(1))
    sys.stderr = _text(_Dropping(2), sys.stderr, line_buffering=True)


def _text(raw: io.FileIO, before: TextIO | None, *, line_buffering: bool) -> io.TextIOWrapper:
    encoding = before.encoding if before is not None else "utf-8"
    errors = "backslashreplace" if before is None or before.errors == "strict" else before.errors
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=line_buffering)


def abandon_stdout() -> None:
    """Print nothing more, and do not fail for it when the program ends."""
    here = os.open(os.devnull, os.O_WRONLY)
    os.dup2(here, 1)
    os.close(here)


class _Named(io.FileIO):
    @override
    def write(self, data: Any, /) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, "standard output") from error


class _Dropping(io.FileIO):
    """A descriptor to which writing never fails, and never waits for long."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._patience = PATIENCE_SECONDS

    @override
    def write(self, data: Any, /) -> int:
        """Write some of it, or drop all."""
        whole = memoryview(data).nbytes
        try:
            if not select.select([], [self], [], self._patience)[1]:
                self._patience = 0.0
                return whole
            self._patience = PATIENCE_SECONDS
            return super().write(memoryview(data)[:_WHOLE]) or whole
        except OSError:  # a disk that is full, a pipe without a reader, a terminal that was closed
            return whole
