"""Pictures are found, digested once, and their headers read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nst_batch.pipeline_file.inputs import NothingFound, find_pictures
from nst_batch.planning.input_cache import InputCache
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
