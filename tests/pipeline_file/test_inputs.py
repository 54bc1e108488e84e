"""Pictures are found, digested once, and their headers read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from webdataset import shardlists

from nst_batch.pipeline_file.inputs import NothingFound, find_pictures
from nst_batch.pipeline_file.left_out import Exclusion
from nst_batch.planning.input_cache import InputCache
from tests import runs, tar_files


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
        assert find_pictures(pattern, Path("/nowhere")).paths == (str(tmp_path / "a.png"),)


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


# --- nothing is left out in silence


@pytest.fixture
def crowded(tmp_path: Path) -> Path:
    """A folder as people have them."""
    root = tmp_path / "photos"
    names = (
        *("a.jpg", "b.JPG", "c.heic", "d.JXL", "e.jfif", "e.mask.jpg", "lost.mask.png", "raw.dng", "Thumbs.db"),
        *("x.txt", "y.txt", "._a.jpg", ".h.jpg", "2019/f.png", "2019/in/g.png", "@eaDir/a.jpg/THUMB_M.jpg"),
        *("@eaDir/a.jpg/index.db", ".thumbnails/t.png", "__MACOSX/._a.jpg", ".git/x.png"),
    )
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    runs.save_picture(root / "by-content.png", seed=1)
    (root / "by-content.png").rename(root / "by-content")
    (root / "to-nowhere.jpg").symlink_to("nowhere")
    (root / "around").symlink_to(root)
    return root


SAID = (
    "1 .dng, 2 .txt, 1 Thumbs.db, 1 hidden, 1 in .thumbnails, 1 in @eaDir, 1 in __MACOSX, 1 linked to nothing, "
    "1 masking no picture, 1 of macOS (._*)"
)


def test_a_folder_says_what_it_leaves_out(crowded: Path) -> None:
    found = find_pictures("photos", crowded.parent)
    assert [Path(path).name for path in found] == ["a.jpg", "b.JPG", "by-content", "c.heic", "d.JXL", "e.jfif"]
    assert found.left_out.told() == f"{SAID}, 2 in subfolders (photos/**/*)"
    told = {each["why"]: (each["count"], sorted(each["files"])) for each in found.left_out.facts()}
    assert told[".txt"] == (2, [str(crowded / "x.txt"), str(crowded / "y.txt")])
    assert told["in subfolders (photos/**/*)"] == (2, [])


def test_a_glob_says_so_too_and_goes_round_in_no_circles(crowded: Path) -> None:
    found = find_pictures("photos/**/*", crowded.parent)
    assert [Path(path).name for path in found] == [
        *("f.png", "g.png", "a.jpg", "b.JPG", "by-content", "c.heic", "d.JXL", "e.jfif"),
    ]
    assert found.left_out.told() == SAID


@pytest.mark.parametrize("pattern", ["photos/*.jpg", "photos/*.JPG", "photos/?.jpg", "**/[ab].jpg"])
def test_a_glob_finds_endings_in_either_case(crowded: Path, pattern: str) -> None:
    found = find_pictures(pattern, crowded.parent)
    assert [Path(path).name for path in found] == ["a.jpg", "b.JPG"]


def test_a_folder_of_folders_says_how_to_name_what_is_in_them(tmp_path: Path) -> None:
    for name in ("n01", "n02"):
        (tmp_path / "train" / name).mkdir(parents=True)
        (tmp_path / "train" / name / "a.png").write_bytes(b"x")
    with pytest.raises(
        NothingFound, match=r"no pictures in folder .*train; left out: 2 in subfolders \(train/\*\*/\*\)"
    ):
        find_pictures("train", tmp_path)


def test_what_is_excluded_is_said(crowded: Path) -> None:
    def left(*exclude: Exclusion) -> tuple[list[str], str]:
        found = find_pictures("photos/**/*", crowded.parent, *exclude)
        counted = {each["why"]: each["count"] for each in found.left_out.facts()}
        return [path[len(str(crowded)) + 1 :] for path in found], str(counted.get("by exclude", 0))

    every, _ = left()
    assert left(Exclusion(("2019",))) == ([each for each in every if "2019" not in each], "2")
    assert left(Exclusion(("*.png", "a.*"))) == (["b.JPG", "by-content", "c.heic", "d.JXL", "e.jfif"], "3")
    below = tuple(str(crowded / "*/in").split("/"))
    assert left(Exclusion(paths=(below,))) == ([each for each in every if each != "2019/in/g.png"], "1")
    assert left(Exclusion(("photos",))) == (every, "0"), "names count below the fixed part of the pattern"


def test_where_the_fixed_part_of_a_pattern_ends(crowded: Path) -> None:
    def below(pattern: str) -> list[str]:
        found = find_pictures(pattern, crowded.parent)
        return [path[begin:] for path, begin in zip(found, found.begins, strict=True)]

    assert below("photos/**/*.png") == ["2019/f.png", "2019/in/g.png"]
    assert below("photos/2019/*/*.png") == ["in/g.png"]
    assert below("**/2019/**/*.png") == ["photos/2019/f.png", "photos/2019/in/g.png"]
    assert below("*/2019/f.png") == ["photos/2019/f.png"]
    assert below("photos/2019") == ["f.png"] and below("photos/2019/f.png") == ["f.png"]


def test_variables_stand_for_what_they_hold(crowded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", str(crowded))
    for pattern in ("$DATA/2019", "${DATA}/2019/*.png", "$DATA/2019/f.png"):
        assert [Path(path).name for path in find_pictures(pattern, Path("/"))] == ["f.png"]
    monkeypatch.delenv("DATA")
    with pytest.raises(NothingFound, match=r"the environment variable \$\{DATA\} is not set"):
        find_pictures("${DATA}/2019", Path("/"))
    (crowded / "$DATA.png").write_bytes(b"x")
    assert [Path(path).name for path in find_pictures("$DATA.png", crowded)] == ["$DATA.png"]


@pytest.mark.parametrize("mask", ["dog.mask.png", "dog.mask.PNG", "dog.mask.jpg", "dog.Mask.webp"])
def test_a_mask_is_found_whatever_its_format(tmp_path: Path, mask: str) -> None:
    runs.save_picture(tmp_path / "dog.jpg", seed=1)
    runs.save_picture(tmp_path / "mask.png", seed=2)
    (tmp_path / "mask.png").rename(tmp_path / mask)
    found = find_pictures(str(tmp_path), tmp_path)
    assert [Path(path).name for path in found] == ["dog.jpg"] and not found.left_out.told()
    dog = InputCache(tmp_path / "cache").source(Path(found.paths[0]))
    assert dog.mask is not None and Path(dog.mask.path).name == mask


def test_of_two_masks_the_png_counts(tmp_path: Path) -> None:
    for name in ("dog.jpg", "dog.mask.jpg", "dog.mask.png", "dog.mask.webp"):
        runs.save_picture(tmp_path / name, seed=1)
    dog = InputCache(tmp_path / "cache").source(tmp_path / "dog.jpg")
    assert dog.mask is not None and dog.mask.path.endswith("dog.mask.png")


# --- shards


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    for number in range(4):
        tar_files.save(tmp_path / f"shard-{number:06d}.tar", {f"{number}.png": b"x", "@eaDir/t.png": b"x"})
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "numbers"),
    [
        ("shard-{000000..000003}.tar", "0123"),
        ("shard-{000001..000002}.tar", "12"),
        ("shard-00000{1,3}.tar", "13"),
        ("shard-{000000..000002..2}.tar", "02"),
        ("shard-0000{00..01}.tar/*.png", "01"),
    ],
)
def test_braces_are_those_of_webdataset(shards: Path, pattern: str, numbers: str) -> None:
    found = find_pictures(pattern, shards)
    assert [Path(path).stem for path in found] == list(numbers)
    theirs = [Path(each).name for each in shardlists.expand_urls(pattern.removesuffix("/*.png"))]
    assert [Path(path).parent.name for path in found] == theirs


def test_braces_of_a_name_that_is_there_are_its_own(tmp_path: Path) -> None:
    (tmp_path / "a{1,2}.png").write_bytes(b"x")
    assert [Path(path).name for path in find_pictures("a{1,2}.png", tmp_path)] == ["a{1,2}.png"]
    for name in ("b{1.png", "c{1}.png", "d}{.png"):
        (tmp_path / name).write_bytes(b"x")
        assert [Path(path).name for path in find_pictures(name.replace(".png", ".*"), tmp_path)] == [name]
    base = tmp_path / "of {1,2}"
    (base / "in").mkdir(parents=True)
    (base / "in" / "a.png").write_bytes(b"x")
    for pattern in ("in", "in/*.png", "in/{a,b}.png"):
        assert [Path(path).name for path in find_pictures(pattern, base)] == ["a.png"]
    with pytest.raises(NothingFound, match="more than 1,000,000 names"):
        find_pictures("{0..9999999}.png", tmp_path)


def test_one_bad_shard_of_many_fails_alone_and_one_that_is_not_there_is_said(shards: Path) -> None:
    (shards / "shard-000001.tar").write_bytes(b"<html>")
    (shards / "shard-000002.tar").unlink()
    found = find_pictures("shard-{000000..000003}.tar", shards)
    assert [Path(path).name for path in found] == ["0.png", "shard-000001.tar", "3.png"]
    assert found.left_out.told() == "2 in @eaDir, 1 not there"
    with pytest.raises(NothingFound, match=r"000001.tar: not a tar file.*no such file or folder: .*000002.tar"):
        find_pictures("shard-{000001..000002}.tar", shards)
