"""Lines that outlive crashes."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections import deque
from pathlib import Path

import pytest

from nst_batch.errors import ManifestError
from nst_batch.paths import RunPaths
from nst_batch.recorded import manifest
from nst_batch.recorded.history import read
from nst_batch.recorded.manifest import ManifestWriter
from nst_batch.settings import TransferSettings
from tests.lines import CONTENT, MASK, START, STYLE, TWO, done, failed, task, write
from tests.runs import files_end_at


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "run")


def test_a_line_has_every_promised_field(paths: RunPaths) -> None:
    record = json.loads(write(paths, (task(), done(task()))).read_bytes())
    promised = (
        "v task status content style settings weights output bytes sha256 losses curve evaluations seconds "
        "peak_memory_bytes device host attempt started finished versions"
    )
    assert set(promised.split()) <= set(record) and "error" not in record
    assert record["content"] == {"path": "photos/c.png", "digest": "c" * 64}
    assert set(record["settings"]) == {field.name for field in dataclasses.fields(TransferSettings)}
    failure = json.loads(write(paths, (task(), failed(task()))).read_bytes())
    assert {"type", "message", "hint"} <= set(failure["error"])


def test_each_line_is_one_write_to_a_part_of_its_own(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[bytes] = []
    real = os.write

    def counted(descriptor: int, data: bytes) -> int:
        writes.append(data)
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", counted)
    first = write(paths, (task(), done(task())), (task("b.png"), done(task("b.png"))))
    assert len(writes) == 2 and all(data.endswith(b"\n") and data.count(b"\n") == 1 for data in writes)
    assert write(paths, (task(), done(task()))) != first


def test_no_part_is_made_before_the_first_line(paths: RunPaths) -> None:
    ManifestWriter(paths).close()
    assert not paths.manifest.exists()


def test_a_full_disk_closes_the_part_and_the_next_line_goes_to_another(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, writer = os.write, ManifestWriter(paths)
    writer.append(task("a.png"), done(task("a.png")))
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:50]))
    with pytest.raises(ManifestError, match="only 50 of"):
        writer.append(task("b.png"), done(task("b.png")))
    monkeypatch.setattr(os, "write", real)
    writer.append(task("c.png"), done(task("c.png")))
    writer.close()
    history = read(paths)
    assert set(history.rendered) == {"a.png", "c.png"}
    assert (history.parts, history.lines, history.skipped) == (2, 2, 1)


@pytest.mark.parametrize("room", [0, 1, 100], ids=["nothing fits", "a byte fits", "a part fits"])
def test_a_line_that_the_disk_cuts_is_lost_alone(paths: RunPaths, room: int) -> None:
    writer = ManifestWriter(paths)
    writer.append(task("a.png"), done(task("a.png")))
    (first,) = paths.manifest.iterdir()
    before = first.read_bytes()
    with files_end_at(len(before) + room), pytest.raises(ManifestError, match="could not be recorded"):
        writer.append(task("b.png"), done(task("b.png")))
    writer.append(task("c.png"), done(task("c.png")))
    writer.close()
    assert len(list(paths.manifest.iterdir())) == 2 and first.read_bytes()[: len(before)] == before
    history = read(paths)
    assert set(history.rendered) == {"a.png", "c.png"} and history.skipped == bool(room)


def test_a_part_of_another_is_never_opened(paths: RunPaths) -> None:
    class OneName(RunPaths):
        """Every writer comes to the same name."""

        def part(self, writer: str) -> Path:
            return self.manifest / "part.jsonl"

    same = OneName(paths.root)
    before = write(same, (task(), done(task()))).read_bytes()
    with pytest.raises(ManifestError, match="exists"):
        write(same, (task(), done(task())))
    assert (same.manifest / "part.jsonl").read_bytes() == before


def test_a_line_is_on_disk_when_append_returns(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fdatasync

    def noted(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", noted)
    part = write(paths, (task(), done(task())), (task("b.png"), done(task("b.png"))))
    first = part.read_bytes().index(b"\n") + 1
    assert synced == [first, part.stat().st_size]


def test_unusual_inputs_are_recorded(paths: RunPaths) -> None:
    each = task(content=dataclasses.replace(CONTENT, mask=MASK), styles=TWO, start=START, init="file")
    record = json.loads(write(paths, (each, done(each))).read_bytes())
    assert record["content"]["mask"] == {"path": MASK.path, "digest": MASK.digest}
    assert record["style"] == {"path": STYLE.path, "digest": STYLE.digest}
    assert [(style["path"], style["weight"], style["region"]) for style in record["styles"]] == [
        ("art/s.png", 2.0, ""), ("art/t.png", 1.0, "#ff0000")
    ]  # fmt: skip
    assert record["start"]["digest"] == START.digest
    plain = json.loads(manifest.line(task(), done(task())))
    assert "styles" not in plain and "start" not in plain and "mask" not in plain["content"]


@pytest.mark.parametrize("removed", [True, False], ids=["removed", "moved"])
def test_lines_of_a_folder_that_has_gone_are_not_lost_in_silence(paths: RunPaths, removed: bool) -> None:
    writer = ManifestWriter(paths, "night")
    writer.append(task("a.png"), done(task("a.png")))
    if removed:
        shutil.rmtree(paths.root)
    else:
        paths.root.rename(paths.root.with_name("elsewhere"))
    with pytest.raises(ManifestError, match="moved or removed"):
        writer.append(task("b.png"), done(task("b.png")))
    writer.append(task("c.png"), done(task("c.png")))
    writer.close()
    assert set(read(paths).rendered) == {"c.png"}
    assert paths.part("night.2").is_file()


def test_lines_that_came_in_together_are_flushed_once(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    flushes: list[int] = []
    real = os.fdatasync

    def noted(descriptor: int) -> None:
        flushes.append(os.fstat(descriptor).st_size)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", noted)
    each = [task(f"{letter}.png") for letter in "abc"]
    lines, writer = deque(manifest.line(one, done(one)) for one in each), ManifestWriter(paths, "night")
    writer.extend(lines)
    writer.close()
    assert flushes == [paths.part("night").stat().st_size] and not lines
    assert list(read(paths).rendered) == ["a.png", "b.png", "c.png"]


def test_of_lines_that_a_disk_cuts_those_before_stand_and_the_others_are_left(paths: RunPaths) -> None:
    each = [task(f"{letter}.png") for letter in "abcd"]
    lines, writer = deque(manifest.line(one, done(one)) for one in each), ManifestWriter(paths, "night")
    with files_end_at(len(lines[0]) + len(lines[1]) + 10), pytest.raises(ManifestError, match="10 of"):
        writer.extend(lines)
    assert len(lines) == 2
    writer.extend(lines)
    writer.close()
    history = read(paths)
    assert set(history.rendered) == {"a.png", "b.png", "c.png", "d.png"}
    assert (history.parts, history.lines, history.skipped) == (2, 4, 1) and not lines
