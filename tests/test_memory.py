"""What transfers take, what there is, and what is given up."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nst_batch import memory
from nst_batch.memory import (
    fewer_rows,
    free,
    has_run_out,
    in_words,
    kills,
    needed,
    peak,
    reset_peak,
    rows_that_fit,
    thrifty,
)
from nst_batch.settings import TransferSettings
from tests.runs import REPOSITORY

MB = 1 << 20


def test_a_history_is_counted_as_far_as_it_is_used() -> None:
    short, long = TransferSettings(history=10, steps=500), TransferSettings(history=100, steps=500)
    assert needed(long, 1000) - needed(short, 1000) == 90 * 24 * 1000
    assert needed(TransferSettings(history=100, steps=10), 1000) == needed(short, 1000)


def test_strips_are_as_high_as_memory_allows_where_all_is_too_much() -> None:
    settings = TransferSettings(history=10)
    assert rows_that_fit(settings, 1000, 1000, 10**10) is None
    rows = [rows_that_fit(settings, 4000, 3000, room * 10**9) for room in (1, 12, 16, 24, 90)]
    assert rows[0] == 64 and rows[-1] is None
    assert [each for each in rows if each] == sorted(each for each in rows if each) and rows[1] != rows[2]
    assert all(each % 16 == 0 and 64 <= each <= 1024 for each in rows if each)
    assert [fewer_rows(height, None) for height in (4000, 256, 255)] == [992, 64, None]
    assert fewer_rows(4000, 992) == 240 and fewer_rows(4000, 240) is None


def test_what_is_given_up_is_history_down_to_where_it_would_matter() -> None:
    settings, seen = TransferSettings(history=100, steps=500, size=64), list[int]()
    while (less := thrifty(settings)) is not None:
        assert needed(less, 1000) < needed(settings, 1000) and less.size == 64
        settings = less
        seen.append(settings.history)
    assert seen == [25, 6, 4]
    assert thrifty(TransferSettings(history=100, steps=500, optimizer="adam")) is None
    assert thrifty(TransferSettings(history=1000, steps=40)) == TransferSettings(history=10, steps=40)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("std::bad_alloc"), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (RuntimeError("shape mismatch"), False),
        (ValueError("out of memory"), False),
    ],
    ids=repr,
)
def test_errors_that_say_that_memory_has_run_out(error: BaseException, expected: bool) -> None:
    assert has_run_out(error) is expected


def test_a_real_failure_to_allocate_is_known_as_one() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert has_run_out(caught.value)


def test_sizes_are_said_as_people_say_them() -> None:
    assert [in_words(size) for size in (0, 20_000_000, 999_000_000, 12_345_678_901)] == [
        "0 MB", "20 MB", "999 MB", "12.3 GB"
    ]  # fmt: skip


def test_what_is_free_is_what_the_tightest_limit_leaves() -> None:
    total = int(Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0]) * 1024
    assert 0 < free() <= total
    program = f"""
import resource
from nst_batch.memory import free
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + {100 * MB}, size + {100 * MB}))
print(free())
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert 90 * MB < int(said.stdout) <= 100 * MB


@pytest.mark.parametrize("version", [1, 2])
def test_limits_of_control_groups_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    """The border to the kernel: its files, as it writes them."""
    files = {
        1: {"memory.limit_in_bytes": "50000000", "memory.usage_in_bytes": "20000000",
            "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"},
        2: {"memory.max": "50000000", "memory.current": "20000000",
            "memory.events": "low 0\nhigh 9\nmax 5\noom 4\noom_kill 3\noom_group_kill 7\n"},
    }[version]  # fmt: skip
    group = tmp_path / ("memory/job" if version == 1 else "job")
    group.mkdir(parents=True)
    for name, text in files.items():
        (group / name).write_text(text)
    line = "4:cpu,memory:/job\n" if version == 1 else "0::/job\n"
    real = Path.read_text

    def read_text(self: Path) -> str:
        return line if str(self) == "/proc/self/cgroup" else real(self)

    monkeypatch.setattr(memory, "_CGROUPS", tmp_path)
    monkeypatch.setattr(Path, "read_text", read_text)
    assert free() == 30_000_000 and kills() == 3
    (group / ("memory.limit_in_bytes" if version == 1 else "memory.max")).write_text("max\n")
    assert free() > 30_000_000


def test_where_nothing_is_known_nothing_is_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> str:
        raise OSError(errno.ENOENT, "No such file or directory", str(self))

    monkeypatch.setattr(Path, "read_text", refuse)
    assert free() == 0 and kills() == 0


def test_the_peak_is_of_what_came_since_the_reset() -> None:
    reset_peak("cpu")
    before = peak("cpu")
    assert before > 10 * MB
    block = bytearray(os.urandom(1) * (64 * MB))
    assert peak("cpu") - before > 50 * MB
    del block
    reset_peak("cpu")
    assert peak("cpu") < before + 50 * MB
