"""Where things are kept that this machine can make again: built kernels, the untrained weights' values, digests."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache for this program; it may not be there yet, or not be writable."""
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "nst_batch"


def digests_before(run: Path) -> Path | None:
    """Where digests of a run's input files are kept until it has a folder of its own; None: nowhere."""
    try:
        return cache_folder() / "inputs" / f"{hashlib.blake2b(os.fsencode(run), digest_size=10).hexdigest()}.npz"
    except RuntimeError:  # nobody knows a home folder
        return None


def machine() -> str:
    """Tells kinds of machines apart: a cluster's nodes may share a home folder, and differ in their CPUs."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        flags = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        flags = platform.processor()
    return f"{platform.machine()} {flags}"


def key(*parts: object) -> str:
    """For a file's name: another one for other parts, or on another kind of machine."""
    return hashlib.blake2b(repr((parts, machine())).encode(), digest_size=10).hexdigest()
