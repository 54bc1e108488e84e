"""Pictures that are named in tar files."""

from __future__ import annotations

from pathlib import Path

import pytest

from nst_batch.archives.tar_finding import by_archive, find
from nst_batch.archives.tar_headers import ArchiveError
from tests import tar_files

MEMBERS = {
    "n2/b.jpg": b"b",
    "n1/a.jpg": b"a",
    "n1/a.cls": b"1",
    "n1/deep/c.jpg": b"c",
    "top.jpg": b"t",
    "[x].jpg": b"x",
}


def wanted(name: str) -> bool:
    return name.endswith(".jpg")


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    for number in range(2):
        tar_files.save(tmp_path / f"shard-{number}.tar", MEMBERS)
    return tmp_path


def found(shards: Path, pattern: str) -> list[str] | None:
    paths = find(f"{shards}/{pattern}", wanted)
    return None if paths is None else [path.removeprefix(f"{shards}/") for path in paths]


def test_an_archive_is_all_of_its_pictures(shards: Path) -> None:
    every = ["[x].jpg", "n1/a.jpg", "n1/deep/c.jpg", "n2/b.jpg", "top.jpg"]
    assert found(shards, "shard-0.tar") == found(shards, "shard-0.tar/") == [f"shard-0.tar/{name}" for name in every]
    both = [f"shard-{number}.tar/{name}" for number in range(2) for name in every]
    assert found(shards, "shard-*.tar") == found(shards, "") == both


def test_folders_members_and_patterns_inside(shards: Path) -> None:
    assert found(shards, "shard-1.tar/n1") == ["shard-1.tar/n1/a.jpg", "shard-1.tar/n1/deep/c.jpg"]
    assert found(shards, "shard-1.tar/n1/*.jpg") == ["shard-1.tar/n1/a.jpg"]
    assert found(shards, "shard-*.tar/n[12]/*") == [f"shard-{n}.tar/n{m}" for n in "01" for m in ("1/a.jpg", "2/b.jpg")]
    assert found(shards, "shard-1.tar/**/[ab].jpg") == ["shard-1.tar/n1/a.jpg", "shard-1.tar/n2/b.jpg"]
    assert found(shards, "shard-1.tar/n1/**") == ["shard-1.tar/n1/a.jpg", "shard-1.tar/n1/deep/c.jpg"]
    assert found(shards, "shard-1.tar/[x].jpg") == ["shard-1.tar/[x].jpg"]
    assert found(shards, "shard-1.tar/n1/a.cls") == ["shard-1.tar/n1/a.cls"]  # named itself
    assert found(shards, "shard-1.tar/none*.jpg") == found(shards, "shard-1.tar/none") == []


def test_where_no_archive_is_named_others_look(shards: Path) -> None:
    (shards / "own.jpg").touch()
    for pattern in ("", "own.jpg", "*.jpg", "none", "none*", "none.tar", "none.tar/a.jpg"):
        assert found(shards, pattern) is None, pattern


def test_what_is_no_archive_is_said(shards: Path) -> None:
    (shards / "shard-1.tar").write_bytes(b"none")
    with pytest.raises(ArchiveError, match="not a tar file"):
        found(shards, "shard-1.tar")


def test_of_several_archives_a_bad_one_stands_for_itself(shards: Path) -> None:
    every = found(shards, "shard-0.tar") or []
    (shards / "shard-1.tar").write_bytes(b"")
    (shards / "shard-2.tar").write_bytes(b"<html>not found</html>")
    (shards / "shard-3.tar.gz").write_bytes(b"\x1f\x8b")
    bad = ["shard-1.tar", "shard-2.tar", "shard-3.tar.gz"]
    assert found(shards, "shard-*") == found(shards, "") == [*every, *bad]
    (shards / "shard-0.tar").unlink()
    with pytest.raises(
        ArchiveError, match=r"shard-1.tar: an empty file.*shard-2.tar: not a tar.*shard-3.tar.gz: compr"
    ):
        found(shards, "shard-*")


def test_paths_by_their_archives(shards: Path) -> None:
    (shards / "c.tar.gz").touch()
    (shards / "folder.tar").mkdir()
    names = (
        "shard-1.tar/a",
        "a.jpg",
        "shard-0.tar/b.tar/c",
        "c.tar.gz/a",
        "shard-1.tar//b",
        "folder.tar/a",
        "no.tar/a",
    )
    places = by_archive(f"{shards}/{name}" for name in names)
    assert {Path(archive).name: list(each) for archive, each in places.items()} == {
        "shard-1.tar": [0, 4],
        "shard-0.tar": [2],
    }
