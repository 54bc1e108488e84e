"""Cores, memory and limits."""

from __future__ import annotations

import math
import resource
from pathlib import Path

import pytest

from nst_batch.doctor import machine
from tests import runs


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((64, 64, math.inf, ""), "64"),
        ((8, 64, math.inf, "8"), "8 of 64, those that Slurm gave to this job"),
        ((3, 64, 2.5, ""), "3 of 64, by the control group's limit"),
        ((4, 64, math.inf, ""), "4 of 64, by this process's affinity"),
    ],
)
def test_cores_and_why_not_all(given: tuple[int, int, float, str], text: str) -> None:
    assert machine.cores(*given).text == text


def test_cores_of_this_machine() -> None:
    assert machine.cores().level == "ok"


@pytest.mark.parametrize(("available", "level"), [(5 * 10**8, "problem"), (2 * 10**9, "warning"), (10**10, "ok")])
def test_memory(available: int, level: str) -> None:
    found = machine.memory(available, 2 * 10**10)
    assert found.level == level and "of 20.0 GB" in found.text and bool(found.remedy) == (level != "ok")


def test_memory_that_a_shell_limits() -> None:
    """Measured, not told: the rest of what ``ulimit -v`` leaves."""
    before = machine.memory().text
    own = int(Path("/proc/self/status").read_text().split("VmSize:")[1].split()[0]) * 1024
    with runs.address_space_ends_at(own + 5 * 10**8):
        found = machine.memory()
    assert found.level == "problem", before


def test_limits() -> None:
    calm = dict.fromkeys(("files", "processes", "space", "file size", "cpu"), math.inf)
    assert machine.limits(calm).level == "ok"
    for name, value, told, command in (
        ("files", 64, "64 open files", "ulimit -n 4096"),
        ("processes", 30, "30 processes", "ulimit -u 4096"),
        ("space", 8e9, "8.0 GB of address space", "ulimit -v unlimited"),
        ("file size", 10**8, "files of 100 MB", "ulimit -f unlimited"),
        ("cpu", 3600, "3600 s of computing", "ulimit -t unlimited"),
    ):
        found = machine.limits({**calm, name: value})
        assert (found.level, found.remedy) == ("warning", command) and told in found.text
    assert len(machine.limits({**calm, "files": 64, "cpu": 9}).remedy.splitlines()) == 2


def test_limits_are_those_of_this_process() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, before[1]))
    try:
        assert machine.soft_limits()["files"] == 128
        assert "128 open files" in machine.limits().text
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
