"""Outputs that are loose, and outputs that are packed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from nst_batch.archives import tar_outputs
from nst_batch.paths import RunPaths
from nst_batch.running import packing
from tests import tar_files


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    paths = RunPaths(tmp_path)
    tar_files.put_loose(paths, "s.tar", {"a.png": tar_files.png(1), "n/b.png": tar_files.png(2)})
    packing.pack(paths, "s.tar")
    return paths


def test_archives_of_outputs() -> None:
    outputs = ["a.png", "s.tar/a.png", "s.tar/n/x.tar/b.png", "sub/t.tar/c.png", "s.tar.png", ".tar/d.png"]
    assert tar_outputs.archives(outputs) == {"s.tar": 2, "sub/t.tar": 1}


def test_sizes_are_of_both_and_the_loose_one_counts(paths: RunPaths) -> None:
    tar_files.put_loose(paths, "s.tar", {"a.png": b"newer", "n/c.png": b"new", "m/d.png": b""})
    found = tar_outputs.sizes(paths, "s.tar")
    assert found == {"a.png": 5, "n/b.png": len(tar_files.png(2)), "n/c.png": 3, "m/d.png": 0}
    assert tar_outputs.sizes(paths, "none.tar") == {}
    data = (paths.root / "s.tar").read_bytes()
    (paths.root / "s.tar").write_bytes(data[: len(tar_files.png(1)) + 1500])
    assert "n/b.png" not in tar_outputs.sizes(paths, "s.tar")


def test_outputs_are_read_wherever_they_are(paths: RunPaths) -> None:
    tar_files.put_loose(paths, "s.tar", {"a.png": b"newer"})
    (paths.root / "plain.png").write_bytes(b"plain")
    assert tar_outputs.read(paths, "s.tar/a.png") == b"newer"
    assert tar_outputs.read(paths, "s.tar/n/b.png") == tar_files.png(2)
    assert tar_outputs.read(paths, "plain.png") == b"plain"
    assert tar_outputs.sha256(paths, "s.tar/n/b.png") == hashlib.sha256(tar_files.png(2)).hexdigest()
    for missing in ("s.tar/none.png", "none.png", "none.tar/a.png"):
        with pytest.raises(FileNotFoundError):
            tar_outputs.read(paths, missing)
    where = {name: tar_outputs.place(paths, name) for name in ("s.tar/a.png", "s.tar/n/b.png", "plain.png")}
    assert [str(path.relative_to(paths.root)) for path in where.values()] == [
        "s.tar.loose/a.png",
        "s.tar/n/b.png",
        "plain.png",
    ]


def test_archives_that_are_not_ours_to_change(paths: RunPaths, tmp_path: Path) -> None:
    tar_files.save(tmp_path / "theirs.tar", {"a.png": tar_files.png(1)})
    (tmp_path / "folder.tar").mkdir()
    (tmp_path / "text.tar").write_text("text")
    (tmp_path / "nowhere.tar").symlink_to("none")
    (tmp_path / "cut.tar").write_bytes((tmp_path / "s.tar").read_bytes()[:600])
    said = {
        "s.tar": "", "none.tar": "", "theirs.tar": "nst_batch did not make all of it ('a.png')",
        "cut.tar": "it is cut off in the middle of a member",
    }  # fmt: skip
    assert {name: tar_outputs.objection(paths, name) for name in said} == said
    assert "not a tar file" in tar_outputs.objection(paths, "text.tar")
    assert "not a tar file" in tar_outputs.objection(paths, "folder.tar")
    assert tar_outputs.objection(paths, "nowhere.tar")
