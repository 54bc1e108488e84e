"""What is read back from lines, whole and damaged ones."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from nst_batch.paths import RunPaths
from nst_batch.recorded.decisions import decide
from nst_batch.recorded.history import Attempts, History, ManifestReader, Records, last_words, read, records
from nst_batch.recorded.lines import Place
from nst_batch.recorded.manifest import ManifestWriter, line
from tests.lines import decision, done, failed, task, write


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "run")


def test_cutting_the_last_line_anywhere_loses_at_most_that_line(paths: RunPaths) -> None:
    part = write(paths, (task("a.png"), done(task("a.png"))), (task("b.png"), done(task("b.png"))))
    data = part.read_bytes()
    start = data.index(b"\n") + 1
    for length in range(start, len(data) + 1):
        part.write_bytes(data[:length])
        history = read(paths)
        assert "a.png" in history.rendered
        whole = length >= len(data) - 1
        assert ("b.png" in history.rendered) == whole
        assert history.skipped == (0 if whole or length == start else 1)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 100,
        b"\xff\xfe",
        b"{}",
        b"[1]",
        b"null",
        b'{"v": 2, "status": "done"}',
        b'{"v":1,"task":',
        b"[" * 99999,
    ],
)
def test_what_is_not_a_line_is_skipped_and_counted(paths: RunPaths, garbage: bytes) -> None:
    part = write(paths, (task(), done(task())))
    part.write_bytes(garbage + b"\n" + part.read_bytes() + garbage)
    history = read(paths)
    assert set(history.rendered) == {"c__s.png"} and history.skipped == 2


def test_every_whole_line_can_be_had_as_it_was_written(paths: RunPaths) -> None:
    write(paths, (task("a.png"), failed(task("a.png"))), (task("a.png"), done(task("a.png"))))
    with write(paths, (task("b.png"), done(task("b.png")))).open("ab") as part:
        part.write(b'{"v":1,"task":')
    lines = sorted((record["output"], record["status"]) for record in records(paths))
    assert lines == [("a.png", "done"), ("a.png", "failed"), ("b.png", "done")]


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_the_later_of_two_parts_wins_whatever_their_names(paths: RunPaths, names: tuple[str, str]) -> None:
    old, new = task(steps=1), task(steps=2)
    for name, each, moment in zip(names, (old, new), ("T1", "T2"), strict=True):
        write(paths, (each, done(each, finished=moment))).rename(paths.manifest / f"{name}.jsonl")
    assert read(paths).rendered["c__s.png"].task == new.id


def test_an_empty_folder_is_an_empty_history(paths: RunPaths) -> None:
    assert read(paths) == History()


@pytest.mark.parametrize("value", [None, 5, "text", [], {}], ids=str)
def test_a_line_whose_fields_have_other_shapes_never_stops_a_reader(paths: RunPaths, value: object) -> None:
    good = task("good.png", steps=9)
    part = write(paths, (good, done(good)), (task(), failed(task())))
    for raw in part.read_bytes().splitlines():
        record = json.loads(raw)
        for key in record:
            odd = json.dumps({**record, "output": "odd.png", key: value}).encode()
            (paths.manifest / "odd.jsonl").write_bytes(odd)
            assert "good.png" in read(paths).rendered
            decision(paths, task("odd.png", steps=7))


def test_damage_anywhere_never_stops_a_reader(paths: RunPaths) -> None:
    """Bit rot, and blocks of zeros as after a power cut."""
    part = write(paths, *((task(f"{n}.png"), done(task(f"{n}.png"))) for n in range(3)), (task(), failed(task())))
    whole, numbers = part.read_bytes(), random.Random(0)
    for _ in range(300):
        data, start = bytearray(whole), numbers.randrange(len(whole))
        length = numbers.choice((1, 7, 512))
        data[start : start + length] = numbers.choice((bytes(length), numbers.randbytes(length)))
        part.write_bytes(data)
        history = read(paths)
        assert history.lines + history.skipped >= 1
        decide([task(f"{n}.png") for n in range(3)], history, paths, retries=2)


def test_another_schema_is_left_alone(paths: RunPaths) -> None:
    part = write(paths, (task(), done(task())))
    part.write_bytes(part.read_bytes().replace(b'{"v":1', b'{"v":2'))
    history = read(paths)
    assert not history.rendered and (history.lines, history.skipped) == (0, 1)


def test_failures_before_a_success_are_forgotten(paths: RunPaths) -> None:
    write(paths, (task(), failed(task(), "OSError", finished="T1")), (task(), done(task(), finished="T2")))
    assert not read(paths).attempts


def test_what_others_add_is_read_as_it_comes(paths: RunPaths) -> None:
    write(paths, (task("old.png"), done(task("old.png"))))
    reader, other, own = ManifestReader(paths), ManifestWriter(paths, "other"), ManifestWriter(paths, "own")
    assert set(reader.read().rendered) == {"old.png"}
    reader.follow("own", lambda name: name == "other")
    assert reader.more() == set()
    own.append(task("mine.png"), done(task("mine.png")))
    other.append(task("a.png"), failed(task("a.png")))
    assert reader.more() == {"a.png"} and reader.history.attempts[task("a.png").id].failed == 1
    other.append(task("a.png"), done(task("a.png"), finished="T2"))
    other.append(task("b.png"), done(task("b.png")))
    assert reader.more() == {"a.png", "b.png"} and not reader.history.attempts
    assert set(reader.history.rendered) == {"old.png", "a.png", "b.png"}
    assert reader.more() == set()


def test_a_line_in_the_middle_of_being_written_is_read_when_it_is_whole(paths: RunPaths) -> None:
    part = write(paths, (task("a.png"), done(task("a.png"))))
    reader, new = ManifestReader(paths), line(task("b.png"), done(task("b.png")))
    reader.read()
    reader.follow("own", lambda _: True)
    for cut in (new[:1], new[1:-1], new[-1:]):
        assert reader.more() == set()
        with part.open("ab") as file:
            file.write(cut)
    assert reader.more() == {"b.png"}
    assert reader.history.skipped == 0


def test_parts_of_those_who_ended_are_not_looked_at_again(paths: RunPaths) -> None:
    part = write(paths, (task("a.png"), done(task("a.png"))))
    reader = ManifestReader(paths)
    reader.read()
    reader.follow("own", lambda _: False)
    with part.open("ab") as file:
        file.write(line(task("b.png"), done(task("b.png"))))
    assert reader.more() == set()


def test_the_last_words_of_a_failure() -> None:
    assert last_words(Attempts(error={"message": "broken", "hint": "mend it"})) == ("broken", "mend it")
    assert last_words(Attempts(error={"message": None})) == ("", "")


def test_lines_are_had_as_they_were_written(paths: RunPaths) -> None:
    a, b = task("a.png"), task("b.png")
    first, second = write(paths, (a, done(a)), (b, done(b))), write(paths, (b, failed(b)))
    history = read(paths)
    records = Records(paths, history)
    places = [history.rendered["b.png"].place, None, history.rendered["a.png"].place]
    assert records.raw(places) == [first.read_bytes().splitlines(True)[1], b"", first.read_bytes().splitlines(True)[0]]
    assert records.raw([Place("gone.jsonl", 0), Place(second.name, 0)]) == [b"", second.read_bytes()]
