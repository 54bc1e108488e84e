"""Processes that read a large manifest together: a million lines are many seconds of one processor.

They are begun only where much is to be read, know nothing of torch nor of the program that began them (which may be
anybody's script), and end when it does, however it ends. Where none can be begun, or one dies, the others and the
caller do its work.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path

from nst_batch.planning.measured import cores
from nst_batch.recorded.gathering import Gathered, gather
from nst_batch.recorded.parts import Stretch

WORTH_BYTES = 256 << 20  # for each process: less is read before one more has begun
_MOST = 8  # what they send is put together by one, who would keep no more of them busy
_PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from nst_batch.recorded.gatherers import serve
serve(int(sys.argv[2]))
"""


def gathered(folder: Path, stretches: Sequence[Stretch]) -> Iterator[Gathered | None]:
    """What ``gather`` gives of each, in their order.

    Raises:
        OSError: one of them cannot be read.
    """
    wanted = sum(each.end - each.begin for each in stretches)
    processes = min(cores(), _MOST, len(stretches), wanted // max(1, WORTH_BYTES))
    if processes < 2:
        yield from (gather(folder, each) for each in stretches)
    else:
        with contextlib.closing(_Gatherers(folder, stretches, processes)) as gatherers:
            yield from gatherers.each()


class _Gatherers:
    """Several processes, each with a stretch in hand."""

    def __init__(self, folder: Path, stretches: Sequence[Stretch], processes: int) -> None:
        self._folder, self._stretches = folder, stretches
        self._left = deque(range(len(stretches)))
        self._found: dict[int, Gathered | OSError | None] = {}
        self._in_hand: dict[Connection, int] = {}
        self._processes: dict[Connection, subprocess.Popen[bytes]] = {}
        with contextlib.suppress(OSError):  # no more processes, or no more files
            for _ in range(processes):
                self._begin()

    def _begin(self) -> None:
        here, there = socket.socketpair()
        with here, there:  # which the process alone has then, so that the pipe ends when it does
            command = [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), str(there.fileno())]
            process = subprocess.Popen(
                command, pass_fds=[there.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, start_new_session=True,  # Ctrl-C is for the caller, who ends this
            )  # fmt: skip
            pipe = Connection(here.detach())
        self._processes[pipe] = process
        self._give(pipe)

    def each(self) -> Iterator[Gathered | None]:
        """In their order."""
        for number in range(len(self._stretches)):
            while number not in self._found:
                if self._in_hand:
                    for pipe in wait(list(self._in_hand)):
                        self._take(pipe)  # type: ignore[arg-type]
                else:  # none is left
                    self._left.remove(number)
                    self._found[number] = gather(self._folder, self._stretches[number])
            found = self._found.pop(number)
            if isinstance(found, OSError):
                raise found
            yield found

    def _give(self, pipe: Connection) -> None:
        if self._left:
            number = self._in_hand[pipe] = self._left.popleft()
            with contextlib.suppress(OSError):  # it died: ``_take`` will see
                pipe.send((self._folder, self._stretches[number]))

    def _take(self, pipe: Connection) -> None:
        number = self._in_hand.pop(pipe)
        try:
            self._found[number] = pipe.recv()
        except (EOFError, OSError):  # it died
            self._left.appendleft(number)
        else:
            self._give(pipe)

    def close(self) -> None:
        """End them."""
        for pipe, process in self._processes.items():
            pipe.close()
            process.kill()  # it reads only
            process.wait()


def serve(descriptor: int) -> None:
    """Gather what is asked for, until nobody asks any more."""
    with contextlib.suppress(EOFError, OSError), Connection(descriptor) as pipe:
        while True:
            folder, stretch = pipe.recv()
            try:
                found: Gathered | OSError | None = gather(folder, stretch)
            except OSError as error:
                found = error
            pipe.send(found)
