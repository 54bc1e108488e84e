"""Whole files or none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nst_batch.atomic import (
    TEMPORARY_SUFFIX,
    is_temporary,
    keep,
    remove_temporaries,
    takes,
    write_all,
    write_atomic,
    write_in_parts,
    written,
)
from tests.runs import REPOSITORY, files_end_at


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
    theirs += [tmp_path / f".notes{TEMPORARY_SUFFIX}", tmp_path / f".a.png.0123456789AB{TEMPORARY_SUFFIX}"]
    for path in (*ours, *theirs):
        path.write_bytes(b"x")
    assert remove_temporaries(tmp_path) == 2
    assert all(path.exists() for path in theirs) and not any(path.exists() for path in ours)


def test_what_is_kept_is_no_leftover(tmp_path: Path) -> None:
    with written(tmp_path / "a") as descriptor:
        keep(descriptor)
        write_all(descriptor, b"some")
        assert remove_temporaries(tmp_path) == 0
        write_all(descriptor, b"thing")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"something"}
    with pytest.raises(FileNotFoundError), written(tmp_path / "b"):
        assert remove_temporaries(tmp_path) == 1, "of somebody who was thought dead"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_the_disk_cannot_hold_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_atomic(path, b"old")
    with files_end_at(1000), pytest.raises(OSError, match="too large"):
        write_atomic(path, b"new" * 1000)
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_killed_writer_leaves_the_old_file_and_a_temporary_that_is_known(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_atomic(path, b"old")
    program = (
        "import os, pathlib, signal\nfrom nst_batch.atomic import write_atomic\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"write_atomic(pathlib.Path({str(path)!r}), b'new')"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY).returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 2
    assert remove_temporaries(tmp_path) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_folder_in_the_way_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomic(tmp_path / "a.png", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    "name",
    ["x" * 255, "🌊" * 63, "ä" * 127, "-rf", "a\nb", "'\"$(x)", "\udcff\udce9.png"],
    ids=["255 bytes", "emoji", "accents", "dash", "newline", "quotes", "not UTF-8"],
)
def test_any_name_works_and_its_temporary_is_known(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomic(tmp_path / name, b"old")

    def dies(*_: object, **__: object) -> None:
        raise OSError("here")

    with monkeypatch.context() as patch:  # as in a kill: nothing tidies up
        patch.setattr(os, "fsync", dies)
        patch.setattr(Path, "unlink", dies)
        with pytest.raises(OSError, match="here"):
            write_atomic(tmp_path / name, b"new")
    assert remove_temporaries(tmp_path) == 1
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {name: b"old"}


def test_links_and_folders_that_look_like_ours_stay(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    name = f".a.png.0123456789ab{TEMPORARY_SUFFIX}"
    (root / name).mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / name).write_bytes(b"x")
    (root / "link").symlink_to(elsewhere)
    (root / f".b.png.0123456789ab{TEMPORARY_SUFFIX}").symlink_to(elsewhere / name)
    assert remove_temporaries(root) == 0
    assert (elsewhere / name).exists() and len(list(root.iterdir())) == 3


def test_whether_there_is_room_is_tried_and_leaves_nothing(tmp_path: Path) -> None:
    assert takes(tmp_path, 100_000)
    with files_end_at(50_000):
        assert takes(tmp_path, 40_000) and not takes(tmp_path, 60_000)
    assert not takes(tmp_path / "gone", 1) and not list(tmp_path.iterdir())


def test_what_need_not_last_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise AssertionError("nobody waits for a disk")

    monkeypatch.setattr("nst_batch.atomic.os.fsync", refuse)
    write_atomic(tmp_path / "a" / "b", b"data", durable=False)
    assert (tmp_path / "a" / "b").read_bytes() == b"data" and len(list((tmp_path / "a").iterdir())) == 1
    with pytest.raises(AssertionError):
        write_atomic(tmp_path / "a" / "c", b"data")


def test_parts_make_one_file_and_what_objects_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    write_in_parts(path, (bytes([n]) for n in range(3)))
    assert path.read_bytes() == b"\0\1\2"

    def object_to_it() -> None:
        assert path.read_bytes() == b"\0\1\2" and len(list(tmp_path.iterdir())) == 2
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_in_parts(path, [b"new"], before_replacing=object_to_it)
    with pytest.raises(ZeroDivisionError):
        write_in_parts(path, (bytes([1 // n]) for n in (1, 0)))
    assert path.read_bytes() == b"\0\1\2" and len(list(tmp_path.iterdir())) == 1


def test_temporaries_are_known_by_their_names() -> None:
    assert is_temporary(f".a.png.0123456789ab{TEMPORARY_SUFFIX}") and not is_temporary(".a.png")


def test_a_folder_that_is_removed_just_then_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mkdir, removed = os.mkdir, list[str]()

    def remove_twice(path: str, mode: int = 0o777) -> None:
        mkdir(path, mode)
        if len(removed) < 2:
            removed.append(path)
            Path(path).rmdir()

    monkeypatch.setattr(os, "mkdir", remove_twice)
    write_atomic(tmp_path / "new" / "a.png", b"x")
    assert len(removed) == 2 and (tmp_path / "new" / "a.png").read_bytes() == b"x"
