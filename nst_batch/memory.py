"""How much memory there is, how much this process has, and how it shows that there is no more.

What a transfer takes is counted in ``demands``.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import resource
from collections.abc import Iterator
from pathlib import Path

SHARE = 0.85  # of what is free, to be planned with
_MMAP_THRESHOLD, _TRIM_THRESHOLD, _TOP_PAD = -3, -1, -2  # of glibc's mallopt
_NEVER, _LARGE = 1 << 30, 1 << 20  # bytes
_KEPT = "MALLOC_TRIM_THRESHOLD_"
_CGROUPS = Path("/sys/fs/cgroup")


def has_run_out(error: BaseException) -> bool:
    """Whether an error says so: Python's, torch's on CPU and GPU, cuDNN's, the system's."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    told = ("allocate memory", "out of memory", "bad_alloc", "ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(words in str(error) for words in told)


def in_words(size: int) -> str:
    """Bytes for people."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def free() -> int:
    """Bytes that this process may still take of the machine's memory: by what is there, by its control group's limit,
    and by its own (``ulimit -v``)."""
    return max(0, min(_limits(), default=0))


def _limits() -> Iterator[int]:
    with contextlib.suppress(OSError, ValueError, IndexError):
        yield _field(Path("/proc/meminfo"), "MemAvailable:") * 1024
    with contextlib.suppress(OSError, ValueError, IndexError):
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            yield limit - _field(Path("/proc/self/status"), "VmSize:") * 1024
    for folder, limit_file, used_file in _groups():
        with contextlib.suppress(OSError, ValueError):  # "max" is no number: no limit
            yield int((folder / limit_file).read_text()) - int((folder / used_file).read_text())


def keep_freed(*, keep: bool) -> None:
    """Whether a worker keeps large blocks of memory that it frees, for its next ones (as it is started: see
    ``processes``), or gives them back at once: where memory is short, what is kept is in pieces that nothing fits into.

    Of glibc alone; others are left alone, and so are processes that were started otherwise, when all shall be kept.
    """
    if keep and _KEPT not in os.environ:
        return
    size = _NEVER if keep else _LARGE
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        for what, value in ((_MMAP_THRESHOLD, size), (_TRIM_THRESHOLD, size), (_TOP_PAD, size // 4)):
            library.mallopt(what, value)
        if not keep:
            library.malloc_trim(0)


def kills() -> int:
    """How many processes of this control group were killed since its memory ran out."""
    total = 0
    for folder, _, _ in _groups():
        for name in ("memory.events", "memory.oom_control"):  # version 2 and version 1
            with contextlib.suppress(OSError, ValueError, IndexError):
                total += _field(folder / name, "oom_kill ")
    return total


def _groups() -> Iterator[tuple[Path, str, str]]:
    """The control groups for memory that this process is in: folder, and the files of limit and use."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                yield _CGROUPS / path.lstrip("/"), "memory.max", "memory.current"
            elif "memory" in controllers.split(","):
                folder = _CGROUPS / "memory" / path.lstrip("/")
                yield folder, "memory.limit_in_bytes", "memory.usage_in_bytes"


def _field(file: Path, name: str) -> int:
    """The number behind ``name`` in a file with one in each line."""
    return int(file.read_text().split(name, 1)[1].split()[0])


def resident() -> int:
    """Bytes of memory that this process has now; 0 where the system does not say."""
    try:
        return _field(Path("/proc/self/status"), "VmRSS:") * 1024
    except (OSError, IndexError, ValueError):
        return 0


def reset_peak(device: str) -> None:
    """Forget what ``peak`` was."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the high-water mark of resident memory


def peak(device: str) -> int:
    """Bytes at most, since the last reset: of the GPU's allocator, or resident in this process."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    try:
        return _field(Path("/proc/self/status"), "VmHWM:") * 1024
    except (OSError, IndexError, ValueError):
        scale = 1 if platform.system() == "Darwin" else 1024  # macOS counts bytes, others KiB
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
