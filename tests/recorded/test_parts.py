"""Which parts of a manifest count, and that readers see each line once."""

from __future__ import annotations

import itertools
import random
import shutil
from pathlib import Path

import pytest

from nst_batch.paths import RunPaths
from nst_batch.recorded.compaction import compact
from nst_batch.recorded.history import ManifestReader, read
from nst_batch.recorded.manifest import ManifestWriter, line
from nst_batch.recorded.parts import (
    Parts,
    Replaced,
    Stretch,
    done_before,
    end_of,
    head_line,
    is_head,
    is_merged,
    is_same,
    read_head,
    writer_of,
)
from tests.histories import grow, known, moment, only, parts, put, small
from tests.lines import done, failed, task, write


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "run")


def test_names_say_whose_a_part_is_and_whether_it_replaces_others(paths: RunPaths) -> None:
    for name in (paths.part("w"), paths.part("w.2"), paths.merged_part("w")):
        assert writer_of(name.name) == "w"
    assert is_merged(paths.merged_part("w").name) and not is_merged(paths.part("w.2").name)


def test_the_first_line_of_a_merged_part_says_all_that_it_has_to(tmp_path: Path) -> None:
    replaced = {"a.jsonl": Replaced(10, 4, 1, "ab"), "b\udcff.jsonl": Replaced(7, 0, 0, "cd")}
    path, head = tmp_path / "x.merged.jsonl", head_line(replaced, 4)
    path.write_bytes(head + b"xyz\n")
    found = read_head(path)
    assert (
        found is not None and found.is_whole and dict(found.parts) == replaced and list(found.parts) == list(replaced)
    )
    assert (found.start, found.size) == (len(head), len(head) + 4) and is_head(head)
    for cut in range(len(head), found.size):
        path.write_bytes((head + b"xyz\n")[:cut])
        shorter = read_head(path)
        assert shorter is not None and not shorter.is_whole
    path.write_bytes(head + b"xyz\0")
    zeros = read_head(path)
    assert zeros is not None and not zeros.is_whole, "as a power cut leaves it on some file systems"


@pytest.mark.parametrize(
    "raw", [b"", b"{}\n", b"[1]\n", b"\0" * 99, b'{"follows":1,"parts":{"a":{}}}\n', b'{"parts":3}\n']
)
def test_what_is_no_first_line_says_nothing(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "x").write_bytes(raw)
    assert read_head(tmp_path / "x") is None and read_head(tmp_path / "gone") is None


def test_a_part_is_known_again_by_its_end_though_it_has_grown(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 9000 + b"end")
    replaced = Replaced(9003, 1, 1, end_of(path, 9003))
    assert is_same(path, replaced)
    path.write_bytes(b"x" * 9000 + b"end and more")
    assert is_same(path, replaced)
    for other in (b"x" * 9000 + b"END", b"x" * 9000, b""):
        path.write_bytes(other)
        assert not is_same(path, replaced)
    path.unlink()
    assert not is_same(path, replaced)


def test_parts_that_were_merged_and_are_there_still_are_not_read(paths: RunPaths) -> None:
    small(paths)
    before, old = known(paths), parts(paths)
    compact(paths)
    put(paths, old)  # as when a folder is copied onto an older copy of it
    assert known(paths) == before
    assert read(paths).lines == 7


def test_what_a_merged_part_has_got_since_counts(paths: RunPaths) -> None:
    small(paths)
    old = parts(paths)
    compact(paths)
    late = task("late.png", steps=9)
    name, data = next(each for each in old.items() if each[1].endswith(b"\n"))
    put(paths, {name: data + line(late, done(late))})
    assert "late.png" in read(paths).rendered
    compact(paths)
    assert "late.png" in read(paths).rendered and list(parts(paths)) == [only(paths.manifest).name]


def test_another_part_of_a_merged_ones_name_counts(paths: RunPaths) -> None:
    each = task("a.png")
    names = [write(paths, (each, failed(each, finished=moment(1)))).name for _ in range(2)]
    compact(paths)
    other = task("other.png", steps=2)
    put(paths, {names[0]: 3 * line(other, failed(other, finished=moment(2)))})
    assert read(paths).attempts[other.id].failed == 3 and read(paths).attempts[each.id].failed == 2


def test_a_merged_part_that_is_cut_is_not_needed_while_all_it_replaces_is_there(paths: RunPaths) -> None:
    small(paths)
    before, old = known(paths), parts(paths)
    compact(paths)
    whole = only(paths.manifest).read_bytes()
    for cut in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        only(paths.manifest).write_bytes(whole[:cut])
        put(paths, old)
        assert known(paths) == before, cut


def test_a_merged_part_that_is_cut_is_read_where_others_have_gone(paths: RunPaths) -> None:
    small(paths)
    before, old = known(paths), parts(paths)
    compact(paths)
    merged = only(paths.manifest)
    merged.write_bytes(merged.read_bytes()[:-200])
    assert read(paths).lines in (6, 7), "only the last line is lost"
    put(paths, dict(itertools.islice(old.items(), 1, None)))
    found = read(paths)
    assert found.rendered == before[0]
    assert {each: attempts.failed for each, attempts in found.attempts.items()} == {
        each: attempts.failed for each, attempts in before[1].items()
    }, "what is in both counts once"


def test_who_has_read_all_hears_nothing_of_a_compaction(paths: RunPaths) -> None:
    small(paths)
    reader = ManifestReader(paths)
    reader.read()
    reader.follow("", lambda _: True)
    before = read(paths)
    compact(paths)
    lines, new = reader.history.lines, task("new.png", steps=9)
    assert reader.more() == set() and reader.history.lines == lines
    write(paths, (new, done(new)))
    assert reader.more() == {"new.png"}
    assert reader.history.attempts == before.attempts
    compact(paths)
    assert reader.more() == set() and set(reader.history.rendered) == {*before.rendered, "new.png"}


def test_who_has_read_some_hears_the_rest_once(paths: RunPaths) -> None:
    """A writer goes on, and a new one comes and goes, before two compactions, between two looks."""
    a, b, c = task("a.png"), task("b.png", steps=2), task("c.png", steps=3)
    writer = ManifestWriter(paths, "first")
    writer.append(a, failed(a, "OSError", moment(1)))
    old = task("old.png", steps=7)
    write(paths, (old, done(old)))
    reader = ManifestReader(paths)
    reader.read()
    reader.follow("", lambda name: name == "first")
    writer.append(a, failed(a, "OSError", moment(2)))
    writer.append(b, done(b, finished=moment(3)))
    writer.close()
    compact(paths)
    write(paths, (c, failed(c, "OSError", moment(4))))
    compact(paths)
    assert {"b.png", "c.png"} <= reader.more()
    fresh = read(paths)
    assert (reader.history.rendered, reader.history.attempts) == (fresh.rendered, fresh.attempts)
    assert reader.history.attempts[a.id].failed == 2 and reader.history.attempts[c.id].failed == 1
    assert reader.more() == set()


@pytest.mark.parametrize("seed", range(5))
def test_parts_may_be_merged_and_removed_while_they_are_read(paths: RunPaths, seed: int) -> None:
    numbers = random.Random(seed)
    grow(paths, numbers, parts=9)
    before = {raw for _, _, raw in Parts(paths.manifest).lines()}
    kept = {raw.rstrip(b"\n") for raw in before}
    for stop in range(0, len(before), 3):
        run = RunPaths(paths.root.with_name(f"run{stop}"))
        shutil.copytree(paths.root, run.root)
        wanted = known(run)
        reader = Parts(run.manifest)
        lines = reader.lines()
        seen = [raw for _, _, raw in itertools.islice(lines, stop)]
        compact(run)
        seen += [raw for _, _, raw in lines]
        assert {raw.rstrip(b"\n") for raw in seen} <= kept
        assert list(reader.lines()) == []
        other = RunPaths(run.root.with_name(f"seen{stop}"))
        put(other, {"all.jsonl": b"".join(raw if raw.endswith(b"\n") else raw + b"\n" for raw in seen)})
        assert known(other) == wanted


def test_two_compactions_at_once_count_nothing_twice(paths: RunPaths) -> None:
    """Where the file system has no locks; one of them has seen more than the other."""
    small(paths)
    other = RunPaths(paths.root.with_name("other"))
    shutil.copytree(paths.root, other.root)
    more = task("more.png", steps=9)
    for run in (paths, other):
        put(run, {"more.jsonl": line(more, failed(more, finished=moment(20)))})
    (other.manifest / "more.jsonl").rename(other.root / "aside")
    before = known(paths)
    compact(other)
    compact(paths)
    put(paths, parts(other))
    assert len(parts(paths)) == 2 and known(paths) == before and read(paths).lines == 8
    compact(paths)
    assert len(parts(paths)) == 1 and known(paths) == before


def test_two_compactions_of_other_parts_count_nothing_twice(paths: RunPaths) -> None:
    """Neither has all that the other one has."""
    small(paths)
    before, old = known(paths), parts(paths)
    runs = []
    for name, missing in (("one", 1), ("two", 4)):
        run = RunPaths(paths.root.with_name(name))
        put(run, {part: data for place, (part, data) in enumerate(old.items()) if place != missing})
        compact(run)
        runs.append(run)
    shutil.rmtree(paths.manifest)
    for run in runs:
        put(paths, parts(run))
    assert known(paths) == before
    compact(paths)
    assert len(parts(paths)) == 1 and known(paths) == before


def test_how_much_merged_parts_had_is_known(paths: RunPaths) -> None:
    each = task("a.png")
    names = [write(paths, (each, done(each, finished=moment(n))), (each, failed(each))).name for n in range(2)]
    assert done_before(paths.manifest) == {}
    old = parts(paths)
    for _ in range(2):
        compact(paths)
        assert done_before(paths.manifest) == dict.fromkeys(names, 1)
        names.append(write(paths, (each, done(each, finished=moment(9)))).name)
    del names[-1]
    put(paths, {names[0]: old[names[0]]})
    assert names[0] not in done_before(paths.manifest), "whoever counts it can see it"
    assert done_before(paths.root / "gone") == {}


def test_stretches_are_what_was_not_read(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nst_batch.recorded.parts.STRETCH_BYTES", 3)
    put(paths, {"a.jsonl": b"12345678", "b.jsonl": b"", "c.jsonl": b"123"})
    reader, found = Parts(paths.manifest), list[Stretch]()
    reader.go_on({"a.jsonl": 2, "c.jsonl": 3})
    for some in reader.stretches():
        found += some
        reader.has_read("a.jsonl", 8)
        if not (paths.manifest / "d.jsonl").exists():
            put(paths, {"d.jsonl": b"1"})
    assert found == [
        Stretch("a.jsonl", 2, 5), Stretch("a.jsonl", 5, 8, is_last=True), Stretch("d.jsonl", 0, 1, is_last=True),
    ]  # fmt: skip
    assert reader.read == {"a.jsonl": 8, "b.jsonl": 0, "c.jsonl": 3} and reader.count == 4
