"""A worker inside a Ray actor: the same conversation as over a process's pipe, fetched and brought by calls.

Ray's calls may be lost, or made twice, when a connection breaks: both sides number what they say, and say it again
until they know that it was heard.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from nst_batch.running.links import Pipe
from nst_batch.running.messages import WorkerOptions

Numbered = tuple[int, object]


class Said(NamedTuple):
    """What an actor answers: its messages, and whether it has ended."""

    messages: list[Numbered]
    over: bool


class Actor:
    """What Ray makes an actor of: a device, or several, of a machine of its cluster.

    Args:
        options: of the run.
        device: as torch names it, among those that Ray shows to this actor.
    """

    def __init__(self, options: WorkerOptions, device: str) -> None:
        self._pipe, there = multiprocessing.Pipe()
        self._told = 0  # the number of the last message that came in
        self._said = list[Numbered]()  # what may not have been heard yet
        self._count = 0
        self._over = False
        threading.Thread(target=self._converse, args=(there, options, device), name="worker", daemon=True).start()

    def where(self) -> tuple[str, int]:
        """The machine and the process."""
        return socket.gethostname(), os.getpid()

    def exchange(self, told: Sequence[Numbered], heard: int, patience: float) -> Said:
        """Take messages, and give those that came after the ``heard``-th; waits for one so long, if there is none."""
        for number, message in told:
            if number > self._told:
                self._told = number
                self._pass_on(message)
        self._said = [each for each in self._said if each[0] > heard]
        deadline = time.monotonic() + patience
        while not self._over and self._pipe.poll(max(0.0, deadline - time.monotonic()) if not self._said else 0):
            try:
                message = self._pipe.recv()
            except (EOFError, OSError):
                self._over = True
            else:
                self._count += 1
                self._said.append((self._count, message))
        return Said(self._said, self._over)

    def _pass_on(self, message: object) -> None:
        try:
            self._pipe.send(message)
        except OSError:
            self._over = True

    @staticmethod
    def _converse(there: Pipe, options: WorkerOptions, device: str) -> None:
        from nst_batch.running.worker import converse  # torch: only where it is used

        try:
            converse(there, options, device)
        finally:
            there.close()
