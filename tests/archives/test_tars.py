"""Paths into tar files."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from nst_batch.archives import tars
from nst_batch.archives.tar_headers import ArchiveError
from nst_batch.pipeline_file.file_kinds import IMAGE_SUFFIXES
from tests import tar_files

PICTURES = (".jpg", ".png")


def test_a_path_says_what_is_the_archive_and_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "folder.tar").mkdir()
    one = tar_files.save(tmp_path / "folder.tar" / "one.tar", {"x.tar/a.jpg": b"a"})
    assert tars.split(f"{one}/x.tar/a.jpg") == (str(one), "x.tar/a.jpg")
    assert tars.split(f"{one}/") == (str(one), "")
    for path in (
        str(one),
        f"{tmp_path}/folder.tar/a.jpg",
        f"{tmp_path}/none.tar/a.jpg",
        "a.jpg",
        "",
        ".tar/a",
        "n\0.tar/a",
    ):
        assert tars.split(path) is None
    assert tars.read(f"{one}/x.tar/a.jpg") == tars.read(f"{one}/./x.tar//a.jpg") == b"a"


def test_other_paths_cost_no_look_at_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "stat")
    assert tars.split("/data/tar/x.target/a.tar.jpg") is None


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar.zst", "a.txz"])
def test_paths_into_compressed_archives_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x1f\x8b")
    for ask in (tars.split, tars.read, tars.stat):
        with pytest.raises(ArchiveError, match=f"{name}: compressed"):
            ask(f"{tmp_path}/{name}/a.jpg")
    with pytest.raises(ArchiveError, match=f"{name}: compressed"):
        tars.is_archive(f"{tmp_path}/{name}")
    assert not tars.exists(f"{tmp_path}/{name}/a.jpg")


def test_many_paths_cost_a_look_for_each_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = tar_files.save(tmp_path / "one.tar", {"a.jpg": b"a"})
    split = tars.splitter()
    paths = [f"{one}/a.jpg", f"{one}//b/c.tar/d", str(one), f"{tmp_path}/none.tar/a", f"{tmp_path}/a.jpg"]
    assert [split(path) for path in paths] == [tars.split(path) for path in paths]
    monkeypatch.setattr(tars, "split", None)
    assert split(f"{one}/n/b.jpg") == (str(one), "n/b.jpg")
    (tmp_path / "a.tgz").touch()
    monkeypatch.undo()
    with pytest.raises(ArchiveError):
        split(f"{tmp_path}/a.tgz/a.jpg")


def test_which_files_are_archives(tmp_path: Path) -> None:
    (tmp_path / "folder.tar").mkdir()
    (tmp_path / "a.tar").touch()
    found = [
        name for name in ("a.tar", "folder.tar", "none.tar", "a.tar.x", "") if tars.is_archive(f"{tmp_path}/{name}")
    ]
    assert found == ["a.tar"]


def test_what_is_not_there_is_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tar_files.save(tmp_path / "a.tar", {"a.jpg": b"a"})
    with pytest.raises(FileNotFoundError, match=r"no such member.*a\.tar/b\.jpg"):
        tars.read(f"{path}/b.jpg")
    with pytest.raises(FileNotFoundError):
        tars.stat(f"{tmp_path}/none.tar/a.jpg")
    assert tars.exists(f"{path}/a.jpg") and not tars.exists(f"{path}/b.jpg") and not tars.exists("a.jpg")
    path.write_bytes(path.read_bytes()[:1024])
    with pytest.raises(FileNotFoundError, match="no such member; the archive has no mark at its end"):
        tars.read(f"{path}/b.jpg")


def test_an_archive_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tar")
    with pytest.raises(ArchiveError, match="not a tar file, but a pipe"):
        tars.index(f"{tmp_path}/a.tar")


def test_headers_are_read_again_when_the_archive_has_changed(tmp_path: Path) -> None:
    path = tar_files.save(tmp_path / "a.tar", {"a.jpg": b"old"})
    first = tars.index(str(path))
    assert tars.index(str(path)) is first
    before = tars.stat(f"{path}/a.jpg")
    tar_files.save(tmp_path / "b.tar", {"a.jpg": b"new"}).replace(path)
    assert tars.index(str(path)) is not first and tars.read(f"{path}/a.jpg") == b"new"
    assert (before.size, tars.stat(f"{path}/a.jpg").size) == (3, 3)
    os.utime(path, ns=(1, 1))
    assert tars.stat(f"{path}/a.jpg").stamp != before.stamp and tars.stat(f"{path}/a.jpg").mtime_ns == 1
    assert 0 <= before.stamp < 1 << 63


def test_what_is_kept_of_archives_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tars, "_KEPT_MEMBERS", 5)
    paths = [tar_files.save(tmp_path / f"{n}.tar", {f"{m}.jpg": b"x" for m in range(2)}) for n in range(4)]
    tars.forget()
    first = [tars.index(str(path)) for path in paths]
    again = [tars.index(str(path)) for path in reversed(paths)]
    assert [one is other for one, other in zip(again, reversed(first), strict=True)] == [True, True, False, False]
    large = tar_files.save(tmp_path / "large.tar", {f"{m}.jpg": b"x" for m in range(9)})
    assert tars.index(str(large)) is tars.index(str(large))


def test_several_threads_may_ask_at_once(tmp_path: Path) -> None:
    path = tar_files.save(tmp_path / "a.tar", {f"{n}.jpg": bytes([n]) for n in range(50)})
    tars.forget()
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.extend(tars.read(f"{path}/{n}.jpg") for n in range(50))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted([bytes([n]) for n in range(50)] * 4)


def test_members_of_a_folder_are_all_below_it(tmp_path: Path) -> None:
    path = tar_files.save(tmp_path / "a.tar", {"n/b.jpg": b"", "n/m/a.jpg": b"", "na.jpg": b""})
    assert tars.members(str(path)) == ["n/b.jpg", "n/m/a.jpg", "na.jpg"]
    assert tars.members(str(path), "n") == tars.members(str(path), "./n/") == ["n/b.jpg", "n/m/a.jpg"]


def test_labels_beside_a_picture(tmp_path: Path) -> None:
    members = {
        "n/a.jpg": b"1", "n/a.cls": b"7", "n/a.seg.npy": b"s", "n/a.mask.png": b"m", "n/ab.cls": b"8", "a.cls": b"9",
        "n/.x": b"", "n/b.v1.jpg": b"2", "n/b.json": b"{}",
    }  # fmt: skip
    path = tar_files.save(tmp_path / "s.tar", members)
    assert tars.sidecars(f"{path}/n/a.jpg", PICTURES) == {"cls": b"7", "seg.npy": b"s"}
    assert tars.sidecars(f"{path}/n/b.v1.jpg", PICTURES) == {"json": b"{}"}
    assert tars.sidecars(f"{path}/n/.x", PICTURES) == {}
    assert tars.sidecars(f"{tmp_path}/plain.jpg", PICTURES) == {}
    with pytest.raises(FileNotFoundError):
        tars.sidecars(f"{path}/none.jpg", PICTURES)


def test_pictures_whose_names_have_dots_keep_their_own_labels(tmp_path: Path) -> None:
    """WebDataset's key ends at the first dot: all of them are one sample."""
    members = {f"shot010.{n:04d}.{each}": b"%d" % n for n in range(12) for each in ("jpg", "json", "seg.npy")}
    path = tar_files.save(tmp_path / "s.tar", {**members, "shot010.txt": b"all"})
    for number in range(12):
        expected = {"json": b"%d" % number, "seg.npy": b"%d" % number, "txt": b"all"}
        assert tars.sidecars(f"{path}/shot010.{number:04d}.jpg", IMAGE_SUFFIXES) == expected


def test_a_picture_of_any_format_is_no_label(tmp_path: Path) -> None:
    members = {f"k0.{each}": b"" for each in ("png", "avif", "heic", "JXL", "jfif", "seg.png", "mask.png", "cls")}
    path = tar_files.save(tmp_path / "s.tar", members)
    assert set(tars.sidecars(f"{path}/k0.png", IMAGE_SUFFIXES)) == {"cls"}


@pytest.mark.parametrize(
    ("output", "made"),
    [
        ("s.tar/a.v1__b__steps=0.5.png", "s.tar/a_v1__b__steps=0_5.png"),
        ("s.tar/x.y/a.b.png", "s.tar/x.y/a_b.png"),
        ("s.tar/a.png", "s.tar/a.png"),
        ("plain/a.b.png", "plain/a.b.png"),
    ],
)
def test_outputs_have_one_dot_in_archives(output: str, made: str) -> None:
    assert tars.keyed(output) == made
