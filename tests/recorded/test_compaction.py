"""Parts are merged, and whatever happens meanwhile, every line counts once."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nst_batch.atomic import remove_temporaries
from nst_batch.errors import Interrupted, ManifestError, RunLocked, UsageError
from nst_batch.paths import RunPaths
from nst_batch.planning import disk
from nst_batch.recorded import merging
from nst_batch.recorded.compaction import Sizes, compact
from nst_batch.recorded.history import ManifestReader, read
from nst_batch.recorded.manifest import ManifestWriter, line
from nst_batch.recorded.writers import entered
from tests.histories import grow, known, moment, only, parts, put, small
from tests.lines import done, failed, task, write
from tests.runs import REPOSITORY, files_end_at, temporaries


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "run")


def test_many_parts_become_one_and_say_the_same(paths: RunPaths) -> None:
    small(paths)
    before, lines = known(paths), {raw for data in parts(paths).values() for raw in data.split(b"\n")}
    found = compact(paths)
    assert known(paths) == before
    merged = only(paths.manifest)
    head, *kept, last = merged.read_bytes().split(b"\n")
    assert set(kept) <= lines and last == b"" and json.loads(head)["status"] == "replaces"
    assert (found.before.parts, found.before.lines, found.superseded, found.broken) == (5, 9, 1, 1)
    assert found.after == Sizes(1, 8, merged.stat().st_size) and len(kept) == 8


@pytest.mark.parametrize("seed", range(12))
def test_any_history_stays_what_it_was(paths: RunPaths, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compaction after compaction, with more parts between; in one part, or in several."""
    numbers = random.Random(seed)
    monkeypatch.setattr(merging, "LARGEST", numbers.choice((2 << 30, 20_000, 60_000)))
    for _ in range(4):
        grow(paths, numbers)
        before, would = known(paths), compact(paths, dry_run=True)
        found = compact(paths)
        assert found == would
        assert known(paths) == before and read(paths).skipped == 0
        sizes = [len(data) for data in parts(paths).values()]
        assert found.after == Sizes(len(sizes), read(paths).lines, sum(sizes))
        if numbers.random() < 0.5:
            compact(paths)
            assert known(paths) == before


def test_one_part_with_nothing_superseded_is_left_alone(paths: RunPaths) -> None:
    each = task()
    write(paths, (each, done(each)))
    before = parts(paths)
    found = compact(paths)
    assert not found.changes and parts(paths) == before
    write(paths, (each, done(each, finished=moment(9))))
    assert compact(paths).changes and not compact(paths).changes and len(parts(paths)) == 1


def test_a_dry_run_changes_nothing(paths: RunPaths) -> None:
    small(paths)
    before = sorted(paths.root.rglob("*")), parts(paths)
    assert compact(paths, dry_run=True).changes
    assert (sorted(paths.root.rglob("*")), parts(paths)) == before


def test_lines_of_a_newer_schema_stay_as_they_are(paths: RunPaths) -> None:
    newer = [b'{"v":2,"task":"\xc3\xa4", "new" : [1]}\n', b'{"v":1,"status":"paused"}\n', b'{"v":3,"x":NaN}\n']
    put(paths, {"a.jsonl": newer[0] + b"torn\n" + newer[1], "b.jsonl": newer[2] + b"\0" * 100})
    assert compact(paths).broken == 2
    assert [only(paths.manifest).read_bytes().count(each) for each in newer] == [1, 1, 1]


def test_large_parts_are_copied_only_where_something_goes(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "LARGEST", 4000)
    large = [task(f"{n}.png", steps=n + 1) for n in range(2)]
    for each in large:
        write(paths, (each, done(each, finished=moment(1))), (task("x.png"), done(task("x.png"), finished=moment(2))))
    before = parts(paths)
    assert all(len(data) > 2000 for data in before.values())
    compact(paths)
    after = parts(paths)
    assert len(after) == 2 and len(before.keys() & after.keys()) == 1, "x.png's later line stands in the other one"


def test_a_merged_part_is_not_copied_again_for_a_few_lines(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [task(f"{n}.png", steps=n + 1) for n in range(200)]
    for half in (many[:100], many[100:]):
        write(paths, *((each, done(each, finished=moment(1))) for each in half))
    compact(paths)
    monkeypatch.setattr(merging, "LARGEST", 40_000)
    before = parts(paths)
    for count in (1, 5):
        write(paths, *((each, done(each, finished=moment(2))) for each in many[:count]))
        found = compact(paths)
        assert (found.superseded > 1) == (before.keys().isdisjoint(parts(paths))) == (count == 5)
    assert read(paths).lines == 200


def test_parts_of_those_who_write_are_left_to_them(paths: RunPaths) -> None:
    small(paths)
    a, b = task("live a.png", steps=20), task("live b.png", steps=21)
    with entered(paths) as alive:
        writer = ManifestWriter(paths, alive.name)
        writer.append(a, done(a))
        before = known(paths)
        reader = ManifestReader(paths)
        reader.read()
        reader.follow("", alive.is_alive)

        def meanwhile(done_bytes: int, _: int) -> None:
            writer.append(b, failed(b, "OSError", moment(done_bytes)))
            told.update(reader.more())

        told = set[str]()
        found = compact(paths, tick=meanwhile)
        assert found.alive == 1 and len(parts(paths)) == 2
        writer.append(a, failed(a, "OSError", "2026-02"))
        told |= reader.more()
        writer.close()
    fresh = read(paths)
    assert fresh.rendered == before[0] and fresh.attempts[b.id].failed >= 2
    assert told == {a.output, b.output} and reader.history.attempts == fresh.attempts
    compact(paths)
    assert len(parts(paths)) == 1 and read(paths).attempts == fresh.attempts


def test_a_writer_that_was_thought_dead_loses_nothing(paths: RunPaths) -> None:
    """It writes while its part is merged, and when that has gone, it is told."""
    small(paths)
    a, b, c = (task(f"late {n}.png", steps=30 + n) for n in range(3))
    writer, before, ticks = ManifestWriter(paths, "late"), known(paths), list[int]()
    writer.append(a, failed(a, "OSError", moment(1)))

    def meanwhile(done_bytes: int, total: int) -> None:
        ticks.append(done_bytes)
        if len(ticks) == 3:
            writer.append(b, done(b))

    compact(paths, tick=meanwhile)
    assert len(ticks) >= 3 and set(read(paths).rendered) == {*before[0], b.output}
    writer.append(b, failed(b, "OSError", "2026-02"))
    assert read(paths).attempts[b.id].failed == 1, "its part is there still, since it has more than was merged"
    compact(paths)
    with pytest.raises(ManifestError, match="moved or removed"):
        writer.append(c, done(c))
    writer.append(c, done(c))
    writer.close()
    assert set(read(paths).rendered) == {*before[0], b.output, c.output}
    assert (read(paths).attempts[a.id].failed, read(paths).attempts[b.id].failed) == (1, 1)


def test_one_compaction_at_a_time(paths: RunPaths) -> None:
    small(paths)
    before = parts(paths)
    paths.state.mkdir()
    with paths.compaction.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(RunLocked, match="being compacted"):
            compact(paths)
        assert compact(paths, dry_run=True).changes and parts(paths) == before
    assert compact(paths).changes


def test_where_there_are_no_locks_it_is_done_all_the_same(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    small(paths)
    before = known(paths)
    monkeypatch.setattr(fcntl, "flock", refuse)  # the border to a file system without locks
    compact(paths)
    assert known(paths) == before and only(paths.manifest)


def test_a_run_that_begins_meanwhile_clears_nothing_away(paths: RunPaths) -> None:
    small(paths)
    before, seen = known(paths), list[int]()

    def begins(*_: int) -> None:
        seen.append(len(temporaries(paths.root)))
        assert remove_temporaries(paths.root) == 0

    compact(paths, tick=begins)
    assert 1 in seen and known(paths) == before and only(paths.manifest) and not temporaries(paths.root)


@pytest.mark.parametrize("error", [Interrupted("stop"), KeyboardInterrupt()], ids=["a signal", "a second one"])
def test_what_ends_it_leaves_everything_as_it_was(paths: RunPaths, error: BaseException) -> None:
    small(paths)
    before = parts(paths)
    for count in itertools.count(1):  # of ticks while something is being written
        left = iter(range(count))

        def tick(*_: int, left: Iterator[int] = left, last: int = count - 1) -> None:
            if temporaries(paths.root) and next(left) == last:
                raise error

        try:
            compact(paths, tick=tick)
        except type(error):
            assert parts(paths) == before and not temporaries(paths.root)
        else:
            break
    assert count > 3


def test_a_disk_without_room_is_found_out_before(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    small(paths)
    before = parts(paths)
    monkeypatch.setattr(disk, "free", lambda _: 1000)
    with pytest.raises(ManifestError, match=r"takes 0 MB beside them, and 0 MB are free") as caught:
        compact(paths)
    assert caught.value.out_of_room and parts(paths) == before
    assert compact(paths, dry_run=True).changes


def test_a_disk_that_takes_less_than_it_said_leaves_everything(paths: RunPaths) -> None:
    small(paths)
    before = parts(paths)
    with files_end_at(9000), pytest.raises(ManifestError, match="could not be merged"):
        compact(paths)
    assert parts(paths) == before and not temporaries(paths.root)


def test_what_is_removed_is_on_disk_before_in_its_new_place(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    small(paths)
    order = list[str]()
    for name in ("fsync", "replace", "unlink"):
        monkeypatch.setattr(os, name, _noting(getattr(os, name), name, order))
        if hasattr(Path, "_accessor"):  # Python 3.10 has its own
            monkeypatch.setattr(type(Path._accessor), name, staticmethod(getattr(os, name)), raising=False)
    compact(paths)
    assert order == ["fsync", "replace", "fsync", *5 * ["unlink"], "fsync"]


def _noting(real: Callable[..., Any], name: str, order: list[str]) -> Callable[..., Any]:
    def noted(*arguments: Any, **options: Any) -> Any:
        order.append(name)
        return real(*arguments, **options)

    return noted


def test_a_folder_where_nothing_was_recorded(paths: RunPaths) -> None:
    with pytest.raises(UsageError, match="nothing was recorded"):
        compact(paths)
    paths.manifest.mkdir(parents=True)
    assert not compact(paths).changes


def test_a_copy_of_a_folder_can_be_compacted_and_copied_onto(paths: RunPaths) -> None:
    """As rsync does without --delete: what was merged here is there still."""
    small(paths)
    copy = RunPaths(paths.root.with_name("copy"))
    put(copy, parts(paths))
    before = known(paths)
    compact(paths)
    put(copy, parts(paths))
    assert known(copy) == before
    late = task("late.png", steps=50)
    write(paths, (late, done(late)))
    compact(paths)
    put(copy, parts(paths))
    assert known(copy)[1] == before[1] and set(known(copy)[0]) == {*before[0], "late.png"}
    compact(copy)
    assert len(parts(copy)) == 1 and known(copy)[1] == before[1] and set(known(copy)[0]) == {*before[0], "late.png"}


@pytest.mark.parametrize(("largest", "merged"), [(2 << 30, 1), (10_000, 2)], ids=["one", "several"])
def test_killed_at_any_step_it_loses_nothing_and_counts_nothing_twice(memory: Path, largest: int, merged: int) -> None:
    """Before and after each step, in one part and in several: see ``tests/killed.py``."""
    paths = RunPaths(memory / "run")
    small(paths)
    each = task("a.png", steps=2)
    write(paths, (each, done(each, finished=moment(10))))
    command = [sys.executable, "-m", "tests.killed", str(paths.root), str(memory), str(largest)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    assert ended.returncode == 0, ended.stderr
    steps = json.loads(ended.stdout)
    assert set(steps) == {"open", "write", "fsync", "close", "replace", "unlink", "mkdir"}
    assert steps.count("replace") >= merged and steps.count("unlink") >= 4


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory, where there is one: what a kill leaves is the same there, and no disk is waited for."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Path(folder)


def test_lines_are_in_the_order_in_which_they_were_read(paths: RunPaths) -> None:
    each = [task(f"{n}.png", steps=n + 1) for n in range(4)]
    put(
        paths,
        {
            "b.jsonl": line(each[0], done(each[0])) + line(each[3], done(each[3])),
            "a.jsonl": line(each[1], done(each[1])),
        },
    )
    compact(paths)
    put(paths, {"c.jsonl": line(each[2], done(each[2]))})
    compact(paths)
    found = [json.loads(raw).get("output") for raw in only(paths.manifest).read_bytes().splitlines()]
    assert found == [None, "2.png", "1.png", "0.png", "3.png"], "what was merged before comes last"
