"""What has to stand in a process's environment before torch is loaded: its libraries read it then, and never again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
}
"""glibc gives large freed blocks back to the kernel at once, and the next large tensor pays a page fault for each 4 KiB
of it: a third of the time of a closure on a CPU. These keep the blocks."""

OPENMP = {"GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "1"}
"""Threads that have nothing to do go round and round for milliseconds (GNU's OpenMP: 300,000 times, Intel's and LLVM's:
200 ms), which takes the core away from whoever has something to do: other programs, other workers, and the thread that
all of them wait for. A short while is enough to be there when the next loop begins: docs/performance.md."""

_SAME = frozenset(("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY"))


def wanted(values: Mapping[str, str]) -> dict[str, str]:
    """Of these, what the user has not decided otherwise."""
    told = _SAME & os.environ.keys()
    return {name: value for name, value in values.items() if name not in os.environ and not (told and name in _SAME)}


@contextmanager
def applied(values: Mapping[str, str]) -> Iterator[None]:
    """Have them in the environment of what is loaded, and of processes that are started, while this is entered."""
    ours = wanted(values)
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]
