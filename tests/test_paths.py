"""File names of a run."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from nst_batch.paths import PART_SUFFIX, RunPaths, archive_of, new_name

PATHS = RunPaths(Path("/runs/night"))


@pytest.mark.parametrize("name", ["plan", "entrance", "claims", "digests", "compaction"])
def test_every_file_is_below_the_root_and_explained(name: str) -> None:
    inside = getattr(PATHS, name).relative_to(PATHS.root)
    assert str(inside) in (RunPaths.__doc__ or "")


def test_files_are_all_different() -> None:
    files = {PATHS.plan, PATHS.entrance, PATHS.digests, PATHS.manifest, PATHS.state}
    files |= {PATHS.part("w"), PATHS.writers, PATHS.writer("w"), PATHS.claims, PATHS.claim("a"), PATHS.claim("b")}
    files |= {PATHS.compaction, PATHS.merged_part("w")}
    assert len(files) == 13


def test_pictures_lie_below_the_root() -> None:
    assert PATHS.output("a/b.png") == Path("/runs/night/a/b.png")


@pytest.mark.parametrize("host", ["node-7", "a/b\n../c", "ホスト", "x" * 300, ""])
def test_parts_have_names_of_their_own_on_any_host(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    parts = {PATHS.part(new_name()) for _ in range(50)}
    assert len(parts) == 50
    for part in parts:
        assert part.parent == PATHS.manifest and part.suffix == PART_SUFFIX
        assert len(part.name.encode()) < 255 and part.name.isprintable()


def test_any_output_name_can_be_claimed() -> None:
    claim = PATHS.claim("x" * 5000 + "/\udcff")
    assert claim.parent == PATHS.claims and len(claim.name) < 100 and claim.name.isalnum()


@pytest.mark.parametrize(
    ("output", "written"),
    [
        ("a.png", "a.png"),
        ("sub/a.tar.png", "sub/a.tar.png"),
        ("s.tar/a.png", "s.tar.loose/a.png"),
        ("sub/s.tar/n/t.tar/a.png", "sub/s.tar.loose/n/t.tar/a.png"),
        (".tar/a.png", ".tar/a.png"),
    ],
)
def test_what_goes_into_an_archive_is_loose_first(output: str, written: str) -> None:
    assert PATHS.written(output) == PATHS.root / written
    assert (archive_of(output) is None) == (output == written)


def test_every_archive_has_a_lock_of_its_own() -> None:
    assert PATHS.packing("a.tar") != PATHS.packing("b.tar") and PATHS.packing("a.tar").parent.parent == PATHS.state
