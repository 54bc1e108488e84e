"""Looking at many files: one after another where that is fast, by several threads where a disk is far away."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import islice

_FEW, _CHUNK = 16, 64  # files for which no thread is worth while; that a thread looks at in turn
_SOME = 256  # files after which is seen how long they take
_SURE = 2  # times in a row that it takes long: a single time it may be that others had the processor
_FAR_SECONDS = 50e-6  # a look that takes longer waits for a disk; on one that is near, threads take 2.6 times as long
_MOST = 32  # threads
_TICK_SECONDS = 0.2

Look = Callable[[int], None]
Tick = Callable[[int], None]


class Looks:
    """Looks at files of one kind, which takes microseconds where they are near, and may take milliseconds."""

    def __init__(self) -> None:
        self._looks, self._seconds = 0, 0.0  # of the group that is being looked at
        self._slow = 0  # groups in a row that took long

    def each(self, look: Look, rows: Sequence[int], tick: Tick = lambda _: None) -> None:
        """As ``in_threads``, but that threads are begun, and ``tick`` is told, only where it takes so long."""
        done = 0
        while done < len(rows) and self._slow < _SURE:
            some = rows[done : done + _SOME - self._looks]
            begun = time.perf_counter()
            for row in some:
                look(row)
            self._seconds += time.perf_counter() - begun
            self._looks += len(some)
            done += len(some)
            if self._looks == _SOME:
                self._slow = self._slow + 1 if self._seconds > _FAR_SECONDS * _SOME else 0
                self._looks, self._seconds = 0, 0.0
        if done < len(rows):
            in_threads(look, rows[done:], lambda more: tick(done + more), _MOST)


def in_threads(look: Look, rows: Sequence[int], tick: Tick, threads: int = 0) -> None:
    """Look at each, several at once: disks far away are waited for together.

    Args:
        look: called by threads, with one of ``rows``.
        rows: in whatever order.
        tick: called by this thread now and then, with how many were looked at; what it raises ends all.
        threads: how many; 0: as many as looks that compute something are good for.
    """
    if len(rows) <= _FEW:
        for done, row in enumerate(rows, 1):
            look(row)
            tick(done)
        return
    pool = ThreadPoolExecutor(threads or min(_MOST, 2 * (os.cpu_count() or 1) + 2), thread_name_prefix="looks")
    ended, done_by_all = threading.Event(), bytearray()  # of which each has a byte

    def look_at_all(some: Sequence[int]) -> None:
        for row in some:
            if ended.is_set():
                return
            look(row)
            done_by_all.append(1)

    try:
        chunks = (rows[first : first + _CHUNK] for first in range(0, len(rows), _CHUNK))
        under_way = deque(pool.submit(look_at_all, chunk) for chunk in islice(chunks, 64))
        while under_way:
            if wait([under_way[0]], _TICK_SECONDS).done:
                under_way.popleft().result()
                under_way.extend(pool.submit(look_at_all, chunk) for chunk in islice(chunks, 1))
            tick(len(done_by_all))
    finally:
        ended.set()  # whoever has had enough waits for no more than the files in hand
        pool.shutdown(wait=True, cancel_futures=True)
