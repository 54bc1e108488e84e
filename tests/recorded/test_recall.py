"""What was read of a large manifest, remembered as long as it holds."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nst_batch import columns
from nst_batch.paths import RunPaths
from nst_batch.recorded import gatherers, gathering, parts, recall
from nst_batch.recorded.compaction import compact
from nst_batch.recorded.history import History, ManifestReader, read
from nst_batch.recorded.manifest import line
from tests import histories
from tests.histories import grow, moment
from tests.lines import done, failed, task, write
from tests.test_columns import HOSTILE


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunPaths:
    """A run's folder where however little is worth while to be remembered."""
    monkeypatch.setattr(recall, "WORTH_BYTES", 0)
    paths = RunPaths(tmp_path / "run")
    paths.state.mkdir(parents=True)
    return paths


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every line that is read from a part."""
    found: list[bytes] = []
    real = gathering.gather

    def gather(folder: Path, stretch: parts.Stretch) -> gathering.Gathered | None:
        with (folder / stretch.part).open("rb") as file:
            file.seek(stretch.begin)
            found.extend(file)
        return real(folder, stretch)

    monkeypatch.setattr(gatherers, "gather", gather)
    return found


def facts(history: History) -> Any:
    """All that commands look at."""
    rendered = {output: (each, each.place) for output, each in history.rendered.items()}
    attempts = {each: (tried, tried.place) for each, tried in history.attempts.items()}
    shown = history.highlights.slowest(9), history.highlights.last, history.highlights.peak_memory_bytes
    return rendered, attempts, history.parts, history.lines, history.skipped, shown


def afresh(paths: RunPaths) -> Any:
    """As it is read by who remembers nothing."""
    kept = paths.recall.read_bytes() if paths.recall.exists() else None
    paths.recall.unlink(missing_ok=True)
    found = facts(read(paths))
    paths.recall.unlink(missing_ok=True)
    if kept is not None:
        paths.recall.write_bytes(kept)
    return found


def some(paths: RunPaths, name: str = "a", count: int = 5) -> Path:
    """A part."""
    results = [(task(f"{name}{n}.png"), done(task(f"{name}{n}.png"), finished=moment(n))) for n in range(count)]
    return write(paths, *results, (task("f.png"), failed(task("f.png"), "OSError", moment(100 + ord(name[0])))))


def test_nothing_is_read_twice(paths: RunPaths, seen: list[bytes]) -> None:
    part = some(paths)
    first = facts(read(paths))
    assert len(seen) == 6 and paths.recall.exists()
    assert facts(read(paths)) == first and len(seen) == 6
    each = task("new.png")
    with part.open("ab") as file:
        file.write(line(each, done(each, finished=moment(20))))
    some(paths, "b", 2)
    assert facts(read(paths)) == afresh(paths)
    assert len(seen) == 6 + 1 + 3 + 10  # what is new, and all of it by who begins afresh


def test_little_is_not_remembered(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    part = some(paths)
    monkeypatch.setattr(recall, "WORTH_BYTES", part.stat().st_size + 1)
    read(paths)
    assert not paths.recall.exists()
    monkeypatch.setattr(recall, "WORTH_BYTES", part.stat().st_size)
    read(paths)
    assert paths.recall.exists()


def test_nothing_is_remembered_where_there_is_no_folder_for_it(paths: RunPaths) -> None:
    some(paths)
    paths.state.rmdir()
    read(paths)
    assert not paths.state.exists()
    paths.state.mkdir()
    paths.recall.mkdir()  # it cannot be written
    assert facts(read(paths))[3] == 6


def shorten(part: Path) -> None:
    part.write_bytes(part.read_bytes()[:-700])


def edit(place: float) -> Callable[[Path], None]:
    """Another digit in place of one, which leaves the line whole."""

    def change(part: Path) -> None:
        data = bytearray(part.read_bytes())
        at = data.index(b'"bytes":7', int(len(data) * place))
        data[at + 8 : at + 9] = b"8"
        with part.open("r+b") as file:  # the same file
            file.write(data)
        status = part.stat()
        os.utime(part, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))  # clocks may be slow

    return change


def edit_and_grow(place: float) -> Callable[[Path], None]:
    def change(part: Path) -> None:
        edit(place)(part)
        each = task("grown.png")
        with part.open("ab") as file:
            file.write(line(each, done(each, finished=moment(50))))

    return change


def replace(part: Path) -> None:
    other = task("other.png")
    part.unlink()
    part.write_bytes(line(other, done(other)) * 9)


CHANGES: dict[str, Callable[[Path], object]] = {
    "shortened": shorten,
    "emptied": lambda part: part.write_bytes(b""),
    "removed": lambda part: part.unlink(),
    "replaced": replace,
    "edited at its beginning": edit(0),
    "edited in its middle": edit(0.5),
    "edited at its end": edit(0.8),
    "edited at its beginning, and longer": edit_and_grow(0),
    "edited at its end, and longer": edit_and_grow(0.93),
    "a line less": lambda part: part.write_bytes(part.read_bytes().split(b"\n", 1)[1]),
    "twice as long": lambda part: part.write_bytes(part.read_bytes() + part.read_bytes()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_does_not_hold_any_more_is_not_believed(paths: RunPaths, change: str) -> None:
    part = some(paths, count=20)
    some(paths, "b", 2)
    before = facts(read(paths))
    CHANGES[change](part)
    after = afresh(paths)
    assert after != before
    assert facts(read(paths)) == after
    assert facts(read(paths)) == after  # and that is remembered


def test_a_part_that_comes_back_is_read(paths: RunPaths) -> None:
    part = some(paths)
    data = part.read_bytes()
    part.unlink()
    some(paths, "b", 2)
    read(paths)
    part.write_bytes(data)
    assert facts(read(paths)) == afresh(paths) and "a0.png" in read(paths).rendered


@pytest.mark.parametrize("removed", [True, False])
def test_a_merged_part_is_read_where_it_stands(paths: RunPaths, removed: bool) -> None:
    """What it replaces may still be there, longer than it was, since the compaction was killed."""
    first, second = some(paths), some(paths, "b", 3)
    read(paths)
    with first.open("ab") as file:
        file.write(line(task("f.png"), failed(task("f.png"), "OSError", moment(70))))
    kept = {part.name: part.read_bytes() for part in (first, second)}
    compact(paths)
    for name, data in {} if removed else kept.items():
        (paths.manifest / name).write_bytes(data)
    found = facts(read(paths))
    assert found == afresh(paths) and found[1][task("f.png").id][0].failed == 3
    assert all(place.part.endswith(".merged.jsonl") == removed or not removed for _, place in found[0].values())
    assert facts(read(paths)) == found


@pytest.mark.parametrize("cut", [1, 5, 300])
def test_a_line_without_an_end_is_heeded_and_counted_once(paths: RunPaths, cut: int) -> None:
    """One byte less: all but the newline."""
    for what in ("done", "failed"):
        part, each = some(paths, what), task(f"{what}.png", steps=77)
        result = done(each, finished=moment(30)) if what == "done" else failed(each, "OSError", moment(31))
        whole = line(each, result)
        for data in (whole[:-cut], whole[-cut:]):
            for _ in range(2):
                assert facts(read(paths)) == afresh(paths)
            with part.open("ab") as file:
                file.write(data)
        for _ in range(2):
            assert facts(read(paths)) == afresh(paths)
    assert read(paths).skipped == 0 and read(paths).attempts[each.id].failed == 1


def test_who_goes_on_reading_counts_a_line_once_that_had_no_end(paths: RunPaths) -> None:
    part, each = some(paths), task("z.png", steps=77)
    whole = line(each, failed(each, "OSError", moment(30)))
    with part.open("ab") as file:
        file.write(whole[:-1])
    reader = ManifestReader(paths)
    assert reader.read().attempts[each.id].failed == 1
    with part.open("ab") as file:
        file.write(b"\n")
    assert reader.more() == set() and reader.history.attempts[each.id].failed == 1
    assert facts(reader.history) == afresh(paths)


def test_a_failure_that_is_met_late_is_forgotten_though_its_success_was_replaced(paths: RunPaths) -> None:
    one, other = task("a.png", steps=1), task("a.png", steps=2)
    write(paths, (one, done(one, finished=moment(5))), (other, done(other, finished=moment(6))))
    read(paths)
    write(paths, (one, failed(one, "OSError", moment(4))))  # copied from a machine without a common disk
    assert facts(read(paths)) == afresh(paths) and not read(paths).attempts


@pytest.mark.parametrize("seed", range(25))
def test_with_and_without_it_the_same_is_known(paths: RunPaths, seed: int) -> None:
    numbers = random.Random(seed)
    for _ in range(6):
        grow(paths, numbers)
        step = numbers.random()
        there = sorted(paths.manifest.glob("*.jsonl"))
        if step < 0.2:
            compact(paths)
        elif step < 0.3:
            numbers.choice(there).unlink()
        elif step < 0.4:
            part = numbers.choice(there)
            part.write_bytes(part.read_bytes()[: -numbers.randrange(1, 900)])
        elif step < 0.6:
            each = task("0.png", steps=1)
            with numbers.choice([part for part in there if ".merged" not in part.name] or there).open("ab") as file:
                file.write(line(each, failed(each, "OSError", moment(numbers.randrange(10**6)))))
        assert facts(read(paths)) == afresh(paths)
        assert facts(read(paths)) == afresh(paths)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_damaged_one_is_none(paths: RunPaths, kind: str) -> None:
    some(paths)
    found = facts(read(paths))
    paths.recall.write_bytes(HOSTILE[kind])
    assert facts(read(paths)) == found and recall.load(paths) is not None  # written anew


HEADERS: dict[str, Callable[[dict[str, Any]], object]] = {
    "another version": lambda header: header.update(format=99),
    "no version": lambda header: header.pop("format"),
    "no parts": lambda header: header.update(read=5),
    "odd parts": lambda header: header.update(read={"a.jsonl": 5}),
    "no failures": lambda header: header.update(failed=None),
    "odd failures": lambda header: header.update(failed=[["T", "x", 5, 6]]),
    "no highlights": lambda header: header.pop("highlights"),
    "odd highlights": lambda header: header.update(highlights={"slowest": [{}], "last": None, "peak_memory_bytes": 0}),
    "no names of parts": lambda header: header["rendered"].update(parts=[]),
    "no settings": lambda header: header["rendered"].update(settings=[]),
    "lines that are none": lambda header: header.update(lines="many"),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_one_of_something_else_is_none(paths: RunPaths, kind: str) -> None:
    some(paths)
    found = facts(read(paths))
    header, arrays = columns.load(paths.recall)
    HEADERS[kind](header)
    columns.save(paths.recall, header, arrays)
    assert recall.load(paths) is None and facts(read(paths)) == found


def test_torn_anywhere_it_is_none(paths: RunPaths) -> None:
    some(paths)
    found = facts(read(paths))
    data, numbers = paths.recall.read_bytes(), random.Random(1)
    for _ in range(30):
        paths.recall.write_bytes(data[: numbers.randrange(len(data))])
        assert recall.load(paths) is None
    assert facts(read(paths)) == found


def test_of_several_who_remember_at_once_one_wins_and_it_is_whole(paths: RunPaths) -> None:
    some(paths)
    found, all_found = afresh(paths), list[Any]()
    readers = [threading.Thread(target=lambda: all_found.append(facts(read(paths)))) for _ in range(6)]
    for each in readers:
        each.start()
    for each in readers:
        each.join()
    assert all_found == [found] * 6 and recall.load(paths) is not None
    assert [path.name for path in paths.state.iterdir()] == ["recall.npz"] and histories.parts(paths)
