"""The processes that write into a run's folder: each shows that it is alive, and is missed when it is not.

A writer has a file with its name, which it touches every few seconds and holds a lock on. The kernel drops the lock
when its holder ends, however it ends, so on one machine a death is seen at once. Between machines that share a file
system, locks are not to be relied on: there a writer is dead when its file was not touched for minutes, by the file
server's clock.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nst_batch.atomic import MODE, open_lock
from nst_batch.errors import WRITABLE, RunLocked, UsageError
from nst_batch.paths import RunPaths, new_name

BEAT_SECONDS = 10.0
STALE_SECONDS = 180.0  # network file systems may show a time that is a minute old
ENTRANCE_SECONDS = 60.0  # looking through a large folder takes a while


class Writer:
    """This process, among those that write into a folder. See ``entered``.

    Attributes:
        name: of its manifest part, and in its claims.
    """

    def __init__(self, paths: RunPaths) -> None:
        self.name = new_name()
        self._paths = paths
        self._file = paths.writer(self.name)
        self._machine = _machine()
        self._left = threading.Event()
        self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_EXCL, MODE)
        with contextlib.suppress(OSError):  # a file system without locks: then the time alone tells
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        about = {"pid": os.getpid(), "host": socket.gethostname(), "machine": self._machine}
        os.write(self._descriptor, json.dumps(about).encode())
        self._heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._heart.start()

    def leave(self) -> None:
        """Write here no more."""
        self._left.set()
        self._heart.join()
        self._file.unlink(missing_ok=True)
        os.close(self._descriptor)

    def others(self) -> list[str]:
        """Who else writes here and is alive."""
        try:
            names = [path.name for path in self._paths.writers.iterdir()]
        except OSError:
            return []
        return sorted(name for name in names if name != self.name and self.is_alive(name))

    def is_first(self) -> bool:
        """Whether, of all who write here, it is the one that does what one of them has to do."""
        return not any(other < self.name for other in self.others())

    def is_alive(self, name: str) -> bool:
        """Whether a writer goes on: itself, one of this machine, or of another."""
        if name == self.name:
            return True
        path = self._paths.writer(name)
        try:
            if self._is_of_here(path):
                return _is_locked(path)
            return self.seconds_since(path) < STALE_SECONDS
        except OSError:
            return False  # it has left

    def seconds_since(self, path: Path) -> float:
        """How long ago a file was touched, by the clock of the server that both this writer's file and it are on.

        Raises:
            OSError: it has gone.
        """
        return os.fstat(self._descriptor).st_mtime - path.stat().st_mtime

    def bury_dead(self) -> None:
        """Delete the files of those who ended without leaving. Call it at the entrance."""
        with contextlib.suppress(OSError):
            for path in self._paths.writers.iterdir():
                if not self.is_alive(path.name):
                    path.unlink(missing_ok=True)

    def _is_of_here(self, path: Path) -> bool:
        return _read(path).get("machine") == self._machine and _locks_work(self._descriptor)

    def _beat(self) -> None:
        while not self._left.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):  # a file server that is away for a while
                os.utime(self._descriptor)


class Heartbeats:
    """Which writers of a folder live, for who writes nothing there.

    Args:
        paths: of the run.
    """

    def __init__(self, paths: RunPaths) -> None:
        self._paths = paths
        self._machine = _machine()
        self._ahead = 0.0  # the file server's clock, against this machine's
        self._asked = -math.inf

    def is_alive(self, name: str) -> bool:
        """Whether a writer goes on: by its lock on this machine; else by its heartbeat, on the file server's clock."""
        path = self._paths.writer(name)
        try:
            if _read(path).get("machine") == self._machine:
                with contextlib.suppress(OSError):  # a file system without locks: then the time alone tells
                    return _is_locked(path)
            return self._server_time() - path.stat().st_mtime < STALE_SECONDS
        except OSError:
            return False  # it has left

    def _server_time(self) -> float:
        """Of the file server, by a file that is gone at once; where none can be made, this machine's."""
        if time.monotonic() - self._asked > BEAT_SECONDS:
            self._asked = time.monotonic()
            with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=self._paths.writers) as file:
                self._ahead = os.fstat(file.fileno()).st_mtime - time.time()
        return time.time() + self._ahead


@contextmanager
def entered(paths: RunPaths) -> Iterator[Writer]:
    """Be a writer in a run's folder, for as long as this is entered.

    Raises:
        UsageError: the folder cannot be written.
    """
    try:
        paths.writers.mkdir(parents=True, exist_ok=True)
        writer = Writer(paths)
    except OSError as error:
        raise UsageError(f"output.dir: {error.filename}: cannot be written: {error.strerror}", WRITABLE) from error
    try:
        yield writer
    finally:
        writer.leave()


@contextmanager
def entrance(paths: RunPaths) -> Iterator[None]:
    """Begin: one after another, so that who is alone can rely on it.

    Raises:
        RunLocked: another run has been beginning for a minute.
        UsageError: the folder cannot be written.
    """
    try:
        descriptor = open_lock(paths.entrance)
    except OSError as error:
        raise UsageError(f"output.dir: {error.filename}: cannot be written: {error.strerror}", WRITABLE) from error
    try:
        _wait_for(descriptor, paths)
        yield
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, paths: RunPaths) -> None:
    deadline = time.monotonic() + ENTRANCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise RunLocked(
                    f"{paths.root}: another run has been beginning here for a minute",
                    hint="wait for it, or end it if it hangs; then run again",
                ) from error
            time.sleep(0.05)
        except OSError:
            return  # a file system without locks
        else:
            return


def describe(paths: RunPaths, name: str) -> str:
    """A writer in words: ``process 123 on node7``."""
    about = _read(paths.writer(name))
    return f"process {about['pid']} on {about['host']}" if "pid" in about and "host" in about else name


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_locked(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _locks_work(descriptor: int) -> bool:
    """Whether the file system has locks, asked of one that is held already."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _machine() -> str:
    """The running kernel, under its name in the network."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = ""  # macOS
    return f"{socket.gethostname()} {boot}".strip()
