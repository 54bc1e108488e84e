"""Whole files or none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nst_batch.atomic import TEMPORARY_SUFFIX, remove_temporaries, write_atomic


def test_writes_and_replaces_and_makes_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.png"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["c.png"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    write_atomic(path, b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync", full) if failing == "fsync" else (Path, "replace", full)))
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_the_new_file_is_durable_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(descriptor: int) -> None:
        order.append("fsync")
        fsync(descriptor)

    def noted_replace(self: Path, target: Path) -> Path:
        order.append("replace")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    write_atomic(tmp_path / "a.png", b"x")
    assert order == ["fsync", "replace", "fsync"]  # the file, its name, the folder


def test_the_longest_names_work(tmp_path: Path) -> None:
    name = "ä" * 125 + ".png"  # 254 bytes
    write_atomic(tmp_path / name, b"x")
    assert (tmp_path / name).read_bytes() == b"x"


def test_only_our_temporaries_are_removed(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    ours = [
        tmp_path / f".a.png.0123456789ab{TEMPORARY_SUFFIX}",
        tmp_path / "sub" / f".b.png.ba9876543210{TEMPORARY_SUFFIX}",
    ]
    theirs = [tmp_path / "a.png", tmp_path / ".hidden", tmp_path / f"visible{TEMPORARY_SUFFIX}", tmp_path / "x.tmp"]
    for path in (*ours, *theirs):
        path.write_bytes(b"x")
    assert remove_temporaries(tmp_path) == 2
    assert all(path.exists() for path in theirs) and not any(path.exists() for path in ours)
