"""What memory there is, what this process has, and how it runs out."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nst_batch import memory
from nst_batch.environment import ALLOCATOR
from nst_batch.memory import free, has_run_out, in_words, kills, peak, reset_peak, resident
from tests.runs import REPOSITORY

MB = 1 << 20


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


GIVES_BACK = """
import sys, torch
from nst_batch.memory import keep_freed, resident
def left():
    before = resident()
    x = torch.ones(50 << 18)
    del x
    return (resident() - before) / (50 << 20)
kept = [left()]
keep_freed(keep=False)
kept.append(left())
keep_freed(keep=True)
kept.append(left())
print([each > 0.5 for each in kept])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator, and /proc")
@pytest.mark.parametrize(("started", "expected"), [(True, [True, False, True]), (False, [False, False, False])])
def test_a_worker_gives_memory_back_when_told_to_and_keeps_it_again(started: bool, expected: list[bool]) -> None:
    environment = {**os.environ, **(ALLOCATOR if started else {})}
    found = subprocess.run(
        [sys.executable, "-c", GIVES_BACK], capture_output=True, text=True, env=environment, cwd=REPOSITORY, check=True
    )
    assert found.stdout.strip() == str(expected)


def test_what_is_resident_is_no_more_than_the_peak() -> None:
    assert 0 < resident() <= peak("cpu")
