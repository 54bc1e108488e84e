"""Pictures are found, digested once, and their headers read."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nst_batch import input_cache
from nst_batch.input_cache import InputCache
from nst_batch.inputs import NothingFound, find_pictures
from nst_batch.records import Limits
from tests import runs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    (root / "sub").mkdir(parents=True)
    for name in ("b.JPG", "a.png", "sub/c.webp", "sub/d.txt", "notes.txt", ".hidden.png", "._a.png"):
        (root / name).write_bytes(b"x")
    (root / "folder.jpg").mkdir()
    (root / "broken.png").symlink_to(root / "nowhere")
    os.mkfifo(root / "pipe.png")
    return root


def names(pattern: str, base: Path) -> list[str]:
    return [str(Path(path).relative_to(base)) for path in find_pictures(pattern, base)]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("photos", ["photos/a.png", "photos/b.JPG"]),
        ("photos/", ["photos/a.png", "photos/b.JPG"]),
        ("photos/*", ["photos/a.png", "photos/b.JPG"]),
        ("photos/**", ["photos/a.png", "photos/b.JPG", "photos/sub/c.webp"]),
        ("photos/**/*.webp", ["photos/sub/c.webp"]),
        ("photos/notes.txt", ["photos/notes.txt"]),
    ],
)
def test_folders_globs_and_files(folder: Path, pattern: str, expected: list[str]) -> None:
    assert names(pattern, folder.parent) == expected


@pytest.mark.parametrize("pattern", ["nowhere", "photos/sub/*.png", "nowhere/*.png"])
def test_nothing_found_says_where_it_looked(folder: Path, pattern: str) -> None:
    with pytest.raises(NothingFound, match=r"photos/sub|nowhere"):
        find_pictures(pattern, folder.parent)


def test_names_with_glob_characters_are_taken_literally_first(tmp_path: Path) -> None:
    (tmp_path / "[1]").mkdir()
    (tmp_path / "[1]" / "a.png").write_bytes(b"x")
    assert names("[1]", tmp_path) == ["[1]/a.png"]
    assert names("[1]/a.png", tmp_path) == ["[1]/a.png"]


def test_a_source_is_digest_size_and_upright_header(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png", exif=exif)
    source = InputCache(tmp_path / "cache").source(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    assert source.digest == hashlib.sha256(data).hexdigest() and source.bytes == len(data)
    assert (source.width, source.height) == (20, 40)


def test_a_file_that_is_no_picture_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("Dear diary")
    source = InputCache(tmp_path / "cache").source(tmp_path / "a.png")
    assert (source.width, source.height, source.bytes) == (0, 0, 10)


def old(path: Path) -> None:
    """As if it had been written an hour ago."""
    then = time.time() - 3600
    os.utime(path, (then, then))


def test_digests_are_remembered_between_runs_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    real = input_cache._seen

    def counted(path: str, *more: Any) -> Any:
        read.append(path)
        return real(path, *more)

    monkeypatch.setattr(input_cache, "_seen", counted)
    picture, file = tmp_path / "a.png", tmp_path / "cache.json"
    picture.write_bytes(b"one")
    old(picture)
    for _ in range(2):
        cache = InputCache(file)
        first = cache.digest(picture)
        cache.save()
    assert len(read) == 1
    picture.write_bytes(b"two")
    assert InputCache(file).digest(picture) != first


def test_a_file_that_was_just_written_is_not_remembered(tmp_path: Path) -> None:
    """Within one tick of the clock it could change again without a trace."""
    picture, cache = tmp_path / "a.png", InputCache(tmp_path / "cache.json")
    picture.write_bytes(b"one")
    before = cache.digest(picture)
    status = picture.stat()
    picture.write_bytes(b"two")
    os.utime(picture, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert cache.digest(picture) != before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": [1]}', b"\xff\xfe"])
def test_a_damaged_cache_is_an_empty_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cache.json").write_bytes(content)
    (tmp_path / "a.png").write_bytes(b"one")
    assert InputCache(tmp_path / "cache.json").digest(tmp_path / "a.png") == hashlib.sha256(b"one").hexdigest()


@pytest.mark.parametrize("pattern", ["c/*.png", "**/*.png", "./c/a.*"])
def test_glob_characters_of_the_files_own_folder_are_literal(tmp_path: Path, pattern: str) -> None:
    base = tmp_path / "photos [2024] *"
    (base / "c").mkdir(parents=True)
    (base / "c" / "a.png").write_bytes(b"x")
    assert [Path(path).name for path in find_pictures(pattern, base)] == ["a.png"]


def test_a_glob_may_start_at_the_root_or_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.png").write_bytes(b"x")
    for pattern in (f"{tmp_path}/*.png", "~/*.png", "~/a.png", "~"):
        assert find_pictures(pattern, Path("/nowhere")) == (str(tmp_path / "a.png"),)


def test_nobodys_home_is_nothing_found() -> None:
    with pytest.raises(NothingFound, match="~no-such-user"):
        find_pictures("~no-such-user/photos", Path("/"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_upright_for_every_orientation(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    source = InputCache(tmp_path / "cache").source(tmp_path / "a.jpg")
    assert (source.width, source.height) == ((20, 40) if orientation >= 5 else (40, 20))


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"one")
    old(picture)
    (tmp_path / "cache.json").mkdir()
    cache = InputCache(tmp_path / "cache.json")
    assert cache.digest(picture) == hashlib.sha256(b"one").hexdigest()
    cache.save()


def test_planning_makes_no_folder_for_the_cache(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"one")
    old(picture)
    cache = InputCache(tmp_path / "run" / "state" / "digests.npz")
    cache.digest(picture)
    cache.save()
    assert not (tmp_path / "run").exists()


def test_a_mask_beside_a_picture_is_part_of_it_and_no_picture(tmp_path: Path) -> None:
    for name in ("dog.jpg", "cat.png", "cat.mask.png"):
        runs.save_picture(tmp_path / name, seed=1)
    cache = InputCache(tmp_path / "cache")
    found = find_pictures(str(tmp_path), tmp_path)
    assert [Path(path).name for path in found] == ["cat.png", "dog.jpg"]
    cat, dog = (cache.source(Path(path)) for path in found)
    assert dog.mask is None and cat.mask is not None
    assert cat.mask.path.endswith("cat.mask.png") and cat.mask.digest == cat.digest
    assert cache.source(tmp_path / "cat.mask.png").mask is None  # asked for by name, it is a picture


def test_what_is_no_file_is_said_to_be_none(folder: Path) -> None:
    with pytest.raises(NothingFound, match=r"pipe\.png is a pipe, a device or a socket"):
        find_pictures("pipe.png", folder)
    with pytest.raises(NothingFound, match="null is a pipe, a device or a socket"):
        find_pictures("/dev/null", folder)


def test_a_file_with_more_bytes_than_it_may_have_is_not_read(tmp_path: Path) -> None:
    """Its task says why; reading it could take hours."""
    runs.save_picture(tmp_path / "small.png", seed=1)
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(1 << 40)
    cache = InputCache(tmp_path / "cache", Limits(bytes=1_000_000))
    large = cache.source(tmp_path / "large.png")
    assert (large.bytes, large.width, large.height) == (1 << 40, 0, 0) and len(large.digest) == 64
    assert cache.source(tmp_path / "small.png").width == 32


def test_a_mask_whose_name_would_be_too_long_is_none(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".png")
    runs.save_picture(path, seed=1)
    assert InputCache(tmp_path / "cache").source(path).mask is None
