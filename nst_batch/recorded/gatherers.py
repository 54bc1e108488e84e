"""Processes that read a large manifest together: a million lines are many seconds of one processor.

They are begun only where much is to be read, know nothing of torch nor of the program that began them (which may be
anybody's script), and end when it does, however it ends. Where none can be begun, or one dies, the caller does
its work.
"""

from __future__ import annotations

import contextlib
import pickle
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from nst_batch.planning.measured import cores
from nst_batch.recorded.gathering import Gathered, gather
from nst_batch.recorded.parts import Stretch

WORTH_BYTES = 256 << 20  # for each process: less is read before one more has begun
_MOST = 8  # what they send is put together by one, who would keep no more of them busy
_AHEAD_BYTES = 128 << 20  # that a process keeps: half a million lines, if most of them are done
_PROGRAM = """
import sys
sys.path[:] = sys.argv[2:]  # before anything else is imported, which else might be a file of the folder we are in
from nst_batch.recorded.gatherers import serve
serve(int(sys.argv[1]))
"""


class Gatherers:
    """Processes that gather stretches while their caller does something else, if there is enough for several.

    Each takes every so many of them, and keeps what it found until it is asked, or has too much in hand.

    Args:
        folder: of the parts.
        stretches: what is to be read.
    """

    def __init__(self, folder: Path, stretches: Sequence[Stretch]) -> None:
        self.stretches = stretches
        self._folder = folder
        self._processes: list[tuple[Connection, subprocess.Popen[bytes]]] = []
        wanted = sum(each.end - each.begin for each in stretches)
        count = min(cores(), _MOST, len(stretches), wanted // max(1, WORTH_BYTES))
        if count > 1 and sys.executable:
            try:
                for number in range(count):
                    self._begin(list(stretches[number::count]))
            except OSError:  # no more processes, or no more files
                self.close()
            except BaseException:
                self.close()
                raise

    def _begin(self, share: list[Stretch]) -> None:
        here, there = socket.socketpair()
        with here, there:  # which the process alone has then, so that the pipe ends when it does
            command = [sys.executable, "-c", _PROGRAM, str(there.fileno()), *map(str, sys.path)]
            process = subprocess.Popen(
                command, pass_fds=[there.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, start_new_session=True,  # Ctrl-C is for the caller, who ends this
            )  # fmt: skip
            pipe = Connection(here.detach())
        self._processes.append((pipe, process))
        pipe.send((self._folder, share))

    def each(self) -> Iterator[Gathered | None]:
        """What ``gather`` gives of each, in their order. To be asked once.

        Raises:
            OSError: one of them cannot be read.
        """
        for number, stretch in enumerate(self.stretches):
            found = self._sent(number) if self._processes else _tried(self._folder, stretch)
            if isinstance(found, OSError):
                raise found
            yield found

    def _sent(self, number: int) -> Gathered | OSError | None:
        pipe, _ = self._processes[number % len(self._processes)]
        try:
            found: Gathered | OSError | None = pipe.recv()
        except (EOFError, OSError):  # it died
            pipe.close()
            found = _tried(self._folder, self.stretches[number])
        return found

    def close(self) -> None:
        """End them."""
        while self._processes:
            pipe, process = self._processes.pop()
            pipe.close()
            process.kill()  # it reads only
            process.wait()


def serve(descriptor: int) -> None:
    """Gather what is asked for, and tell it."""
    with contextlib.suppress(EOFError, OSError), Connection(descriptor) as pipe:
        folder, share = pipe.recv()
        found = deque[bytes]()
        for stretch in share:
            if pipe.poll():  # nothing more is asked for: it has ended
                return
            found.append(pickle.dumps(_tried(folder, stretch), pickle.HIGHEST_PROTOCOL))
            while sum(map(len, found)) > _AHEAD_BYTES:
                pipe.send_bytes(found.popleft())
        for each in found:
            pipe.send_bytes(each)


def _tried(folder: Path, stretch: Stretch) -> Gathered | OSError | None:
    try:
        return gather(folder, stretch)
    except OSError as error:
        return error
