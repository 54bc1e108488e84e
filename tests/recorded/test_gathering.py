"""What stretches of parts come to."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import numpy as np
import pytest

from nst_batch.columns import NONE, Strings
from nst_batch.paths import RunPaths
from nst_batch.recorded import gathering, parts
from nst_batch.recorded.compaction import compact
from nst_batch.recorded.gathering import Gathered, Rows, gather
from nst_batch.recorded.history import ManifestReader, read
from nst_batch.recorded.lines import Line, parse
from nst_batch.recorded.manifest import line
from nst_batch.recorded.parts import Stretch
from tests.histories import grow, moment, only, small
from tests.lines import done, failed, task, write
from tests.recorded.test_recall import facts


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "run")


def whole(part: Path) -> Gathered:
    found = gather(part.parent, Stretch(part.name, 0, part.stat().st_size, is_last=True))
    assert found is not None
    return found


def outputs(rows: Rows) -> list[str]:
    columns = rows.columns()
    return list(Strings(columns["outputs"], columns["output_ends"]))


def test_done_lines_are_columns_and_failed_ones_stay_as_they_are(paths: RunPaths) -> None:
    a, b, c = task("a.png"), task("b/é\udcff.png", steps=3), task("c.png")
    part = write(paths, (a, done(a, b"12", moment(5))), (c, failed(c)), (b, done(b, b"123", moment(9))))
    raws = part.read_bytes().splitlines(keepends=True)
    found, columns = whole(part), whole(part).done.columns()
    assert outputs(found.done) == ["a.png", "b/é\udcff.png"] and len(found.done) == 2
    assert columns["sizes"].tolist() == [2, 3]
    assert columns["offsets"].tolist() == [0, len(raws[0]) + len(raws[1])]
    assert columns["tasks"].tobytes().hex() == a.id + b.id
    assert columns["finished"].tolist() == [moment(5).encode(), moment(9).encode()]
    assert columns["settings"].tolist() == [0, 1] and columns["weights"].tolist() == [0, 0]
    assert [bytes(parse(raw).settings) for raw in (raws[0], raws[2])] == [  # type: ignore[union-attr]
        each.encode() for each in found.done.settings_kinds.values
    ]
    assert found.failed == [(len(raws[0]), raws[1])]
    assert (found.cut, found.skipped, found.end) == (None, 0, part.stat().st_size)
    assert found.highlights.last is not None and found.highlights.last.output == "b/é\udcff.png"


def test_kinds_come_back_after_others(paths: RunPaths) -> None:
    found = Rows("p")
    for steps in (1, 2, 2, 1, 3, 1):
        made = parse(line(task(steps=steps), done(task(steps=steps))))
        assert made is not None
        found.add(made, 0)
    assert found.columns()["settings"].tolist() == [0, 1, 1, 0, 2, 0]


def test_no_lines_are_no_rows(paths: RunPaths) -> None:
    columns = Rows("p").columns()
    assert {name: len(column) for name, column in columns.items()} == dict.fromkeys(columns, 0)
    assert columns["finished"].dtype == "S32" and columns["tasks"].shape == (0, 16)


def test_what_is_no_line_is_counted_and_a_cut_line_is_kept(paths: RunPaths) -> None:
    part = write(paths, (task(), done(task())))
    raw = part.read_bytes()
    part.write_bytes(b"nothing\n" + raw + b'{"v":9}\n' + raw[:-30])
    found = whole(part)
    begin = 8 + len(raw) + 8
    assert (len(found.done), found.skipped, found.cut, found.end) == (1, 2, (begin, raw[:-30]), begin)


def test_the_head_of_a_merged_part_is_no_line_and_none_that_is_broken(paths: RunPaths) -> None:
    small(paths)
    compact(paths)
    found = whole(only(paths.manifest))
    assert found.skipped == 1, "that of a newer schema, which is kept"
    assert len(found.done) and found.done.columns()["offsets"].min() > 0


def test_a_part_that_has_gone_is_nothing_and_one_that_cannot_be_read_an_error(paths: RunPaths) -> None:
    paths.manifest.mkdir(parents=True)
    (paths.manifest / "folder.jsonl").mkdir()
    assert gather(paths.manifest, Stretch("gone.jsonl", 0, 5)) is None
    with pytest.raises(IsADirectoryError):
        gather(paths.manifest, Stretch("folder.jsonl", 0, 5))


def test_wherever_a_part_is_divided_each_line_is_in_one_stretch(paths: RunPaths) -> None:
    results = [(task(f"{n}.png"), done(task(f"{n}.png")) if n % 3 else failed(task(f"{n}.png"))) for n in range(6)]
    part = write(paths, *results)
    raw = part.read_bytes()
    for data in (raw, raw + b"broken\n", raw[:-9]):
        part.write_bytes(data)
        all_of_it, size = whole(part), len(data)
        for place in range(0, size, 41):
            first, last = (
                gather(part.parent, Stretch(part.name, *each)) for each in ((0, place, False), (place, size, True))
            )
            assert first is not None and last is not None
            assert outputs(first.done) + outputs(last.done) == outputs(all_of_it.done)
            assert [*first.done.columns()["offsets"], *last.done.columns()["offsets"]] == [
                *all_of_it.done.columns()["offsets"]
            ]
            assert first.failed + last.failed == all_of_it.failed
            assert first.skipped + last.skipped == all_of_it.skipped
            assert [each for each in (first.cut, last.cut) if each] == ([all_of_it.cut] if all_of_it.cut else [])
            assert max(first.end, last.end) == all_of_it.end


@pytest.mark.parametrize("seed", range(8))
def test_a_history_is_the_same_by_whatever_stretches(
    paths: RunPaths, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of parts that are torn, merged, half merged and merged twice."""
    numbers = random.Random(seed)
    for _ in range(3):
        grow(paths, numbers)
        kept = {path.name: path.read_bytes() for path in paths.manifest.iterdir()}
        if numbers.random() < 0.5:
            compact(paths)
            some = numbers.sample(sorted(kept), numbers.randrange(len(kept)))
            for name in some:
                (paths.manifest / name).write_bytes(kept[name])
        wanted = facts(read(paths))
        for size in (97, 611, 5000):
            with monkeypatch.context() as patch:
                patch.setattr(parts, "STRETCH_BYTES", size)
                assert facts(read(paths)) == wanted, size


def test_what_is_written_behind_a_cut_line_meanwhile_is_read_next_time(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line is seen half written in one stretch; when the next one is read, it is whole, and others follow."""
    names = [f"{n}.png" for n in range(4)]
    part = write(paths, *((task(name), done(task(name))) for name in names))
    raw = part.read_bytes()
    lines = raw.splitlines(keepends=True)
    begins = len(lines[0]) + len(lines[1])
    part.write_bytes(raw[: begins + 50])
    monkeypatch.setattr(parts, "STRETCH_BYTES", begins + 10)
    real = gathering.gather

    def gather_and_write(folder: Path, stretch: Stretch) -> Gathered | None:
        found = real(folder, stretch)
        part.write_bytes(raw)
        return found

    monkeypatch.setattr("nst_batch.recorded.gatherers.gather", gather_and_write)
    reader = ManifestReader(paths)
    assert set(reader.read().rendered) == set(names[:2]) and reader.history.skipped == 1
    assert reader.more() == set(names[2:])
    assert set(reader.history.rendered) == set(names) and reader.history.skipped == 0 and reader.history.lines == 4


def test_what_was_gathered_can_be_sent(paths: RunPaths) -> None:
    a = task("a\udcff.png")
    part = write(paths, (a, done(a)), (a, failed(a)))
    found = whole(part)
    sent = pickle.loads(pickle.dumps(found))
    ours, theirs = found.done.columns(), sent.done.columns()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert (sent.failed, sent.highlights, sent.end) == (found.failed, found.highlights, found.end)
    assert sent.done.settings_kinds.values == found.done.settings_kinds.values


def test_a_line_of_too_many_kinds_has_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "_MOST_KINDS", 1)
    rows, kinds = Rows("p"), list[Line]()
    for steps in (1, 2):
        made = parse(line(task(steps=steps), done(task(steps=steps))))
        assert made is not None
        kinds.append(made)
    for each in (kinds[0], kinds[1], kinds[0]):
        rows.add(each, 0)
    assert rows.columns()["settings"].tolist() == [0, NONE, 0]
