"""Slurm's commands: there or not, answered or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from nst_batch.doctor import queue


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder that programs are sought in."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def put(folder: Path, name: str, script: str = "exit 0") -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_machines_without_slurm_are_fine(commands: Path) -> None:
    assert queue.slurm().level == "ok"


def test_half_of_it_is_a_warning(commands: Path) -> None:
    put(commands, "squeue")
    assert queue.slurm().level == "warning" and "sbatch, sinfo, scancel" in queue.slurm().text


def test_partitions_are_named(commands: Path) -> None:
    for name in ("sbatch", "squeue", "scancel"):
        put(commands, name)
    put(commands, "sinfo", "echo gpu*; echo cpu; echo gpu*")
    assert queue.slurm().text == "partitions: cpu, gpu*"
    put(commands, "sinfo", "for n in 1 2 3 4 5 6 7 8 9; do echo p$n; done")
    assert queue.slurm().text.endswith("p8 and 1 more")


def test_a_controller_that_is_away_is_quoted(commands: Path) -> None:
    for name in ("sbatch", "squeue", "scancel"):
        put(commands, name)
    put(commands, "sinfo", "echo 'sinfo: error: nobody' >&2; echo 'sinfo: fatal: Unable to contact' >&2; exit 1")
    found = queue.slurm()
    assert found.level == "warning" and found.text == "no controller answers: Unable to contact"
