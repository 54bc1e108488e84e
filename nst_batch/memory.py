"""How much memory a transfer takes, about, how much there is, and what to give up when it is not enough."""

from __future__ import annotations

import contextlib
import errno
import platform
import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from nst_batch.settings import TransferSettings

SHARE = 0.7  # of what is free, to be planned with
LEAST_HISTORY = 4  # pairs; with fewer, L-BFGS is hardly better than gradient descent
STEP = 4  # by which a history is divided when memory has run out
ROWS = 16  # strips of whole multiples of this make whole rows of the deepest features
LEAST_ROWS, MOST_ROWS = 64, 1024
_BYTES_OF_VECTORS = 250  # a pixel: pictures, gradients, and what the content is compared with
_BYTES_A_PAIR = 24  # a pixel, of L-BFGS's history: two times three float32
_BYTES = 3500  # a pixel, of features, their gradients, and all else
_CGROUPS = Path("/sys/fs/cgroup")


def needed(settings: TransferSettings, pixels: int) -> int:
    """Bytes that a transfer to a picture of so many pixels takes, about, beside the network's weights."""
    return pixels * (_BYTES + _BYTES_A_PAIR * min(settings.history, settings.steps))


def rows_that_fit(settings: TransferSettings, width: int, height: int, room: int) -> int | None:
    """How many rows of a picture to compute at a time, in so many bytes; None: all of them fit at once.

    Twice as many rows take twice the memory and hardly less time, so there is no haste to take all there is.
    """
    pixels, room = width * height, int(SHARE * room)
    if needed(settings, pixels) <= room:
        return None
    vectors = pixels * (_BYTES_OF_VECTORS + _BYTES_A_PAIR * min(settings.history, settings.steps))
    rows = (room - vectors) // (width * _BYTES) // ROWS * ROWS
    return max(LEAST_ROWS, min(rows, MOST_ROWS))


def fewer_rows(height: int, rows: int | None) -> int | None:
    """How many rows to compute at a time when so many (None: all) were too many; None: it cannot be fewer."""
    fewer = (height if rows is None else rows) // STEP // ROWS * ROWS
    return fewer if fewer >= LEAST_ROWS else None


def thrifty(settings: TransferSettings) -> TransferSettings | None:
    """Settings that give nearly the same picture with less memory; None where there is nothing left to save."""
    history = min(settings.history, settings.steps)
    if settings.optimizer == "adam" or history <= LEAST_HISTORY:
        return None
    return replace(settings, history=max(LEAST_HISTORY, history // STEP))


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
