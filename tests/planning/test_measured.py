"""What tasks took is kept, and read again."""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path

import pytest

from nst_batch.planning import measured
from nst_batch.planning.measured import KEPT, Measurement, cpu_name, device_name, here, note, read


def measurement(number: int = 1) -> Measurement:
    return Measurement("cpu x", number, 2.5, 2.0, 10**9, 9 * 10**8)


def test_what_is_noted_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "measured.jsonl"
    assert read(file) == []
    note(measurement(1), file)
    note(measurement(2), file)
    assert read(file) == [measurement(1), measurement(2)]


@pytest.mark.parametrize(
    "line",
    ["", "{", "[]", "7", "{}", '{"device": "cpu"}', "\x00", '{"device": "a", "pixels": "many", "seconds": 1}',
     '{"device": "a", "pixels": 0, "seconds": 1, "expected_seconds": 1, "bytes": 1, "expected_bytes": 1}'],
)  # fmt: skip
def test_broken_lines_are_passed_over(tmp_path: Path, line: str) -> None:
    file = tmp_path / "measured.jsonl"
    note(measurement(1), file)
    with file.open("a") as out:
        out.write(line + "\n")
    note(measurement(2), file)
    assert read(file) == [measurement(1), measurement(2)]


def test_only_the_last_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "measured.jsonl"
    for number in range(1, 3 * KEPT):
        note(measurement(number), file)
    found = read(file)
    assert KEPT <= len(found) < 2.5 * KEPT and found[-1] == measurement(3 * KEPT - 1)
    assert [each.pixels for each in found] == list(range(found[0].pixels, 3 * KEPT))


def test_what_cannot_be_written_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    note(measurement(), tmp_path / "file" / "measured.jsonl")
    assert read(tmp_path / "file" / "measured.jsonl") == []


def test_devices_are_known_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The border to NVIDIA's driver: the folder that it keeps for each GPU."""
    monkeypatch.setattr(measured, "_NVIDIA", tmp_path)
    assert here((), 3) == measured.Here(cpu_name(3), True, 1, 3)
    assert here(("cpu", "cpu"), 2).workers == 2
    for number in range(2):
        (tmp_path / f"0000:0{number}").mkdir()
        (tmp_path / f"0000:0{number}" / "information").write_text("Model: \t\t NVIDIA H200\nIRQ: 7\n")
    assert here((), None).name == "NVIDIA H200" and here((), None).workers == 2
    assert here(("cuda:0",), None).workers == 1 and here(("cpu",), 1).is_cpu
    assert device_name("cuda:0 (NVIDIA H200)", 1) == "NVIDIA H200" and device_name("cpu", 2) == cpu_name(2)


def quota_of(root: Path, line: str, files: dict[str, str]) -> float:
    """Of a process in that group, where these files are below the mount point."""
    root = Path(tempfile.mkdtemp(dir=root))
    (root / "groups").write_text(f"9:name=systemd:/\n4:memory:/box\n{line}\n")
    for name, text in files.items():
        path = root / "mount" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return measured.quota(root / "groups", root / "mount")


@pytest.mark.parametrize(
    ("line", "files", "expected"),
    [
        ("0::/a/b", {}, math.inf),
        ("0::/a/b", {"a/b/cpu.max": "max 100000"}, math.inf),
        ("0::/a/b", {"a/b/cpu.max": "250000 100000", "a/cpu.max": "max 100000"}, 2.5),
        ("0::/a/b", {"a/b/cpu.max": "9 3", "a/cpu.max": "150000 100000"}, 1.5),
        ("0::/", {"cpu.max": "200000 100000"}, 2.0),
        ("3:cpu,cpuacct:/box", {"cpu/box/cpu.cfs_quota_us": "400000", "cpu/box/cpu.cfs_period_us": "100000"}, 4.0),
        ("3:cpu,cpuacct:/box", {"cpu/box/cpu.cfs_quota_us": "-1", "cpu/box/cpu.cfs_period_us": "100000"}, math.inf),
        ("3:cpuset:/box", {"cpu.max": "200000 100000"}, math.inf),
    ],
)
def test_control_groups_limit_cores(tmp_path: Path, line: str, files: dict[str, str], expected: float) -> None:
    assert quota_of(tmp_path, line, files) == expected


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert measured.quota(tmp_path / "none") == math.inf


@pytest.mark.parametrize(
    ("quota", "slurm", "expected"),
    [(math.inf, "", 64), (2.5, "", 3), (0.2, "", 1), (99.0, "8", 8), (4.0, "8", 4), (math.inf, "x", 64)],
)
def test_cores_are_those_that_may_be_used(
    monkeypatch: pytest.MonkeyPatch, quota: float, slurm: str, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(measured, "quota", lambda: quota)
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", slurm)
    assert measured.cores() == expected
