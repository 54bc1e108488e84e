"""What is remembered of archives, in memory and between runs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from nst_batch import columns
from nst_batch.archives import tars
from nst_batch.archives.tar_headers import Index
from nst_batch.archives.tar_memory import PackedIndex, TarMemory
from tests import tar_files

LONG_AGO = 10**18


def saved(path: Path, members: dict[str, bytes], mtime_ns: int = LONG_AGO) -> Path:
    tar_files.save(path, members)
    os.utime(path, ns=(mtime_ns, mtime_ns))
    return path


@pytest.fixture
def archives(tmp_path: Path) -> list[Path]:
    found = [saved(tmp_path / f"{n}.tar", {f"n/{m}.jpg": bytes(m) for m in range(n)}) for n in range(3)]
    odd = saved(tmp_path / os.fsdecode(b"\xff.tar"), {os.fsdecode(b"\xe9\xff.jpg"): b"odd", "../up": b"", "a": b"1"})
    cut = saved(tmp_path / "cut.tar", {"a.jpg": b"a", "b.jpg": b"b"})
    cut.write_bytes(cut.read_bytes()[:2048])
    os.utime(cut, ns=(LONG_AGO, LONG_AGO))
    return [*found, odd, cut]


def remembered(file: Path, archives: list[Path]) -> dict[Path, Index]:
    """What is read of them, and written to a file."""
    tars.forget()
    with tars.remembering() as memory:
        found = {path: tars.index(str(path)) for path in archives}
        memory.save(file)
    return found


def asked(file: Path, path: Path) -> PackedIndex | None:
    memory = TarMemory()
    memory.read(file)
    return memory.find(str(path), path.stat())


def test_what_is_remembered_is_what_was_read(tmp_path: Path, archives: list[Path]) -> None:
    read = remembered(tmp_path / "known.npz", archives)
    for path, index in read.items():
        found = asked(tmp_path / "known.npz", path)
        assert found is not None and found.index() == index and list(found.index().members) == list(index.members)
    assert read[archives[-1]].damage and read[archives[-2]].others == 1 and read[archives[-2]].foreign


def test_damage_is_told_of_what_was_asked_for(tmp_path: Path, archives: list[Path]) -> None:
    file, cut = tmp_path / "known.npz", archives[-1]
    remembered(file, archives)
    memory = TarMemory()
    memory.read(file)
    memory.find(str(archives[0]), archives[0].stat())
    assert memory.damaged() == {}
    memory.find(str(cut), cut.stat())
    assert memory.damaged() == {str(cut): "has no mark at its end: is it whole?"}
    tars.forget()
    with tars.remembering() as reading:
        tars.index(str(cut))
        assert reading.damaged() == memory.damaged()
        saved(cut, {"a.jpg": b"a"})
        tars.index(str(cut))
        assert reading.damaged() == {}


def test_headers_are_not_looked_at_again(tmp_path: Path, archives: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    before = remembered(tmp_path / "known.npz", archives)
    tars.forget()
    monkeypatch.setattr(tars, "read_headers", None)
    with tars.remembering() as outer:
        outer.read(tmp_path / "known.npz")
        with tars.remembering() as inner:
            assert inner is outer
        assert {path: tars.index(str(path)) for path in archives} == before
        assert tars.read(f"{archives[2]}/n/1.jpg") == bytes(1)
    tars.forget()
    with pytest.raises(TypeError):
        tars.index(str(archives[2]))  # once it is over


def test_another_archive_is_another(tmp_path: Path, archives: list[Path]) -> None:
    file, path = tmp_path / "known.npz", archives[2]
    remembered(file, archives)
    saved(path, {"n/x.jpg": b"", "n/1.jpg": b"1"}, LONG_AGO + 1)
    assert asked(file, path) is None
    with tars.remembering() as memory:
        memory.read(file)
        assert "n/x.jpg" in tars.index(str(path)).members
        replaced = saved(tmp_path / "new.tar", {"n/y.jpg": b"", "n/1.jpg": b"1"}, LONG_AGO + 1).replace(path)
        assert "n/y.jpg" in tars.index(str(replaced)).members  # of the same size and time
        archives[1].unlink()
        memory.save(file)
    assert asked(file, path) is not None
    assert [row[0] for row in columns.load(file)[0]["archives"]] == [str(each) for each in archives if each.exists()]


def test_what_has_just_changed_is_not_kept(tmp_path: Path) -> None:
    fresh = tar_files.save(tmp_path / "a.tar", {"a.jpg": b"a"})
    remembered(tmp_path / "known.npz", [fresh])
    assert not (tmp_path / "known.npz").exists()


def test_nothing_is_written_where_nothing_is_new(tmp_path: Path, archives: list[Path]) -> None:
    file = tmp_path / "known.npz"
    remembered(tmp_path / "none" / "known.npz", archives)
    assert not (tmp_path / "none").exists()
    remembered(file, archives)
    file.chmod(0o444)
    before = file.stat().st_ino
    tars.forget()
    with tars.remembering() as memory:
        memory.read(file)
        tars.index(str(archives[2]))
        memory.save(file)
    assert file.stat().st_ino == before


@pytest.mark.parametrize("damage", ["cut", "text", "format", "short", "missing"])
def test_a_damaged_file_is_an_empty_one(tmp_path: Path, archives: list[Path], damage: str) -> None:
    file = tmp_path / "known.npz"
    remembered(file, archives)
    header, arrays = columns.load(file)
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "text":
        file.write_text("text")
    elif damage == "missing":
        file.unlink()
    elif damage == "format":
        columns.save(file, {**header, "format": 0}, arrays)
    else:
        columns.save(file, header, {**arrays, "sizes": np.zeros(1, np.int64)})
    assert asked(file, archives[2]) is None
