"""One run at a time in an output folder; the kernel drops the lock when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from nst_batch.errors import RunLocked, UsageError
from nst_batch.paths import RunPaths


@contextmanager
def run_lock(paths: RunPaths) -> Iterator[None]:
    """Hold the run's lock.

    Raises:
        RunLocked: another process holds it; the message says which.
        UsageError: the folder cannot be written.
    """
    try:
        paths.state.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(paths.lock, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UsageError(f"output.dir: {error.filename}: cannot be written: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunLocked(
                f"{paths.root}: another run is writing here ({_holder(descriptor)})",
                hint="wait for it, or stop it; both can render if they have different output.dir",
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {holder['pid']} on {holder['host']}"
    except (ValueError, KeyError, TypeError):
        return "process unknown"
