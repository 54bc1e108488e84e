"""Lines that outlive crashes, and what they say about each task."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from nst_batch import manifest
from nst_batch.errors import ManifestError
from nst_batch.manifest import Decision, ManifestWriter, decide, read
from nst_batch.paths import RunPaths
from nst_batch.plan import task_id
from nst_batch.records import Failure, Losses, Source, Style, Task, TaskResult, Weights
from nst_batch.settings import TransferSettings
from tests.runs import files_end_at

CONTENT, STYLE = Source("photos/c.png", "c" * 64, 10, 64, 48), Source("art/s.png", "d" * 64, 10, 64, 48)
WEIGHTS = Weights("imagenet", "e" * 64, "vgg.pth")
LOSSES = Losses(3.0, 1.0, 2.0, {"content": {"conv2_2": 1.0}, "style": {"conv1_1": 2.0}})


def task(output: str = "c__s.png", **changes: Any) -> Task:
    content, styles = (
        changes.pop("content", CONTENT),
        changes.pop("styles", None) or (Style(changes.pop("style", STYLE)),),
    )
    weights = changes.pop("weights", WEIGHTS)
    start = changes.pop("start", None)
    settings = TransferSettings(**changes)
    identity = task_id(content, styles, settings, weights, start=start)
    return Task(identity, content, styles, settings, weights, output, start=start)


def done(each: Task, data: bytes = b"picture", finished: str = "2026-01-01T00:00:02") -> TaskResult:
    digest = hashlib.sha256(data).hexdigest()
    return TaskResult(each.id, "done", each.output, losses=LOSSES, bytes=len(data), sha256=digest, finished=finished)


def failed(each: Task, kind: str = "ImageError", finished: str = "2026-01-01T00:00:01") -> TaskResult:
    error = Failure(kind, f"{kind} happened", "a hint", transient=kind != "ImageError")
    return TaskResult(each.id, "failed", each.output, error=error, finished=finished)


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "run")


def write(paths: RunPaths, *results: tuple[Task, TaskResult]) -> Path:
    """One new part with these lines."""
    before = set(paths.manifest.glob("*"))
    writer = ManifestWriter(paths)
    for each, result in results:
        writer.append(each, result)
    writer.close()
    (part,) = set(paths.manifest.iterdir()) - before
    return part


def put(paths: RunPaths, each: Task, data: bytes = b"picture") -> None:
    path = paths.output(each.output)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def decision(paths: RunPaths, each: Task, **options: Any) -> Decision:
    (found,) = decide([each], read(paths), paths, retries=options.pop("retries", 2), **options)
    return found


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


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_the_later_of_two_parts_wins_whatever_their_names(paths: RunPaths, names: tuple[str, str]) -> None:
    old, new = task(steps=1), task(steps=2)
    for name, each, moment in zip(names, (old, new), ("T1", "T2"), strict=True):
        write(paths, (each, done(each, finished=moment))).rename(paths.manifest / f"{name}.jsonl")
    assert read(paths).rendered["c__s.png"].task == new.id


def test_done_needs_the_line_and_the_file(paths: RunPaths) -> None:
    assert (decision(paths, task()).state, decision(paths, task()).reason) == ("todo", "new")
    write(paths, (task(), done(task())))
    assert decision(paths, task()).reason == "output missing"
    put(paths, task(), b"other size")
    assert decision(paths, task()).reason == "output altered"
    put(paths, task())
    assert decision(paths, task()).state == "done"
    put(paths, task(), b"PICTURE")
    assert decision(paths, task()).state == "done"
    assert decision(paths, task(), verify=True).reason == "output altered"
    assert decision(paths, task(), force=True).reason == "forced"


@pytest.mark.parametrize(
    ("changes", "reason", "detail"),
    [
        ({"style_weight": 5.0}, "settings changed", "style_weight: 3000000.0 -> 5.0"),
        ({"steps": 9, "size": 99}, "settings changed", "size: 512 -> 99, steps: 150 -> 9"),
        ({"content": dataclasses.replace(CONTENT, digest="9" * 64)}, "input changed", "content c.png"),
        ({"style": dataclasses.replace(STYLE, digest="9" * 64)}, "input changed", "style s.png"),
        ({"weights": Weights("random", "8" * 64)}, "weights changed", "now random"),
    ],
)
def test_what_has_changed_is_named(paths: RunPaths, changes: dict[str, Any], reason: str, detail: str) -> None:
    write(paths, (task(), done(task())))
    put(paths, task())
    found = decision(paths, task(**changes))
    assert (found.state, found.reason, found.detail) == ("todo", reason, detail)


def test_going_back_to_old_settings_renders_again(paths: RunPaths) -> None:
    """The old line is still there, and another picture, of the same size, stands under the name."""
    old, new = task(steps=1), task(steps=2)
    write(paths, (old, done(old, finished="T1")), (new, done(new, finished="T2")))
    put(paths, new)
    assert decision(paths, new).state == "done"
    assert decision(paths, old).reason == "settings changed"


def test_a_failure_that_cannot_pass_is_given_up_until_asked(paths: RunPaths) -> None:
    write(paths, (task(), failed(task())))
    found = decision(paths, task())
    assert (found.state, found.reason) == ("failed", "failed") and "ImageError happened" in found.detail
    assert decision(paths, task(), retry_failed=True).state == "todo"
    assert decision(paths, task(), force=True).reason == "forced"


def test_a_failure_that_may_pass_is_tried_as_often_as_told(paths: RunPaths) -> None:
    for count in (1, 2):
        write(paths, (task(), failed(task(), "OSError")))
        found = decision(paths, task(), retries=2)
        assert (found.state, found.attempts) == ("todo", count) and found.detail.startswith(f"{count} of 3")
    write(paths, (task(), failed(task(), "OSError")))
    assert decision(paths, task(), retries=2).state == "failed"


def test_two_dead_workers_are_a_quarantine(paths: RunPaths) -> None:
    write(paths, (task(), failed(task(), "WorkerDied")))
    assert decision(paths, task(), retries=9).state == "todo"
    write(paths, (task(), failed(task(), "WorkerDied")))
    found = decision(paths, task(), retries=9)
    assert (found.state, found.reason) == ("failed", "quarantined")


def test_failures_before_a_success_are_forgotten(paths: RunPaths) -> None:
    write(paths, (task(), failed(task(), "OSError", finished="T1")), (task(), done(task(), finished="T2")))
    assert decision(paths, task()).reason == "output missing"
    assert not read(paths).attempts


def test_an_empty_folder_is_an_empty_history(paths: RunPaths) -> None:
    assert read(paths) == manifest.History()


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

        def new_part(self) -> Path:
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


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_failures_count_from_the_last_success_whatever_the_order_of_parts(
    paths: RunPaths, order: tuple[int, ...]
) -> None:
    results = [
        failed(task(), "OSError", finished="T1"),
        done(task(), finished="T2"),
        failed(task(), "OSError", finished="T3"),
        failed(task(), "ImageError", finished="T4"),
    ]
    for name, result in zip(order, results, strict=True):
        write(paths, (task(), result)).rename(paths.manifest / f"{name}.jsonl")
    found = decision(paths, task(), retries=5)
    assert (found.state, found.reason, found.attempts) == ("failed", "failed", 2)
    assert found.detail == "ImageError happened"


def test_another_schema_is_left_alone(paths: RunPaths) -> None:
    part = write(paths, (task(), done(task())))
    part.write_bytes(part.read_bytes().replace(b'{"v":1', b'{"v":2'))
    history = read(paths)
    assert not history.rendered and (history.lines, history.skipped) == (0, 1)


def test_a_quarantined_task_is_tried_when_asked(paths: RunPaths) -> None:
    write(paths, *[(task(), failed(task(), "WorkerDied"))] * 2)
    assert decision(paths, task()).detail.startswith("2 workers died with it")
    found = decision(paths, task(), retry_failed=True)
    assert (found.state, found.reason) == ("todo", "quarantined")


def test_retrying_failures_leaves_alone_what_is_done(paths: RunPaths) -> None:
    write(paths, (task(), done(task())))
    put(paths, task())
    assert decision(paths, task(), retry_failed=True).state == "done"
    assert decision(paths, task("b.png"), retry_failed=True).reason == "new"


def test_outputs_in_folders_are_found(paths: RunPaths) -> None:
    each = task("a/b/c.png")
    write(paths, (each, done(each)))
    put(paths, each)
    assert decision(paths, each).state == "done"
    paths.output("a/b/c.png").rename(paths.output("a/c.png"))
    assert decision(paths, each).reason == "output missing"


def test_a_folder_under_the_outputs_name_is_no_output(paths: RunPaths) -> None:
    write(paths, (task(), done(task())))
    paths.output("c__s.png").mkdir(parents=True)
    assert decision(paths, task()).reason == "output missing"


MASK, START = Source("photos/c.mask.png", "1" * 64, 1), Source("before.png", "2" * 64, 1)
TWO = (Style(STYLE, 2.0), Style(Source("art/t.png", "3" * 64, 10), 1.0, "#ff0000"))


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


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"content": dataclasses.replace(CONTENT, mask=dataclasses.replace(MASK, digest="9" * 64))}, "mask of content"),
        ({"content": CONTENT}, "mask of content"),
        ({"styles": (TWO[0], dataclasses.replace(TWO[1], weight=5.0))}, "share of style 2"),
        ({"styles": (TWO[0], dataclasses.replace(TWO[1], region=""))}, "share of style 2"),
        ({"styles": (TWO[1], TWO[0])}, "style t.png"),
        ({"start": dataclasses.replace(START, digest="9" * 64)}, "start"),
        ({"start": None}, "start"),
    ],
)
def test_a_change_of_an_unusual_input_is_named(paths: RunPaths, changes: dict[str, Any], detail: str) -> None:
    content = dataclasses.replace(CONTENT, mask=MASK)
    usual: dict[str, Any] = {"content": content, "styles": TWO, "start": START, "init": "file"}
    before, now = task(**usual), task(**{**usual, **changes})
    put(paths, before)
    write(paths, (before, done(before)))
    found = decision(paths, now)
    assert (found.state, found.reason) == ("todo", "input changed") and detail in found.detail


def test_weights_fed_in_another_way_are_other_weights(paths: RunPaths) -> None:
    before, now = task(), task(weights=dataclasses.replace(WEIGHTS, format="caffe"))
    put(paths, before)
    write(paths, (before, done(before)))
    assert decision(paths, now).reason == "weights changed"
