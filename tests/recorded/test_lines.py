"""A manifest's line as it is read: what is needed of it, all of it, and what is no line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from nst_batch.paths import RunPaths
from nst_batch.recorded.history import read
from nst_batch.recorded.lines import Place, WholeLines, digests, inputs_digest, parse, whole
from nst_batch.recorded.manifest import inputs_of, line
from nst_batch.records import Style
from tests.lines import CONTENT, MASK, START, STYLE, TWO, decision, done, failed, task, write

UNUSUAL: dict[str, dict[str, Any]] = {
    "plain": {},
    "a mask": {"content": dataclasses.replace(CONTENT, mask=MASK)},
    "a style's mask": {"style": dataclasses.replace(STYLE, mask=MASK)},
    "two styles": {"styles": TWO},
    "a region": {"styles": (Style(STYLE, 1.0, "#ff0000"),)},
    "a start": {"start": START, "init": "file"},
    "a name that is no text": {"output": "\udcff.png"},
    "a name in other letters": {"output": "é日.png"},
}


def record(**changes: Any) -> dict[str, Any]:
    """A done line, with other values."""
    found: dict[str, Any] = json.loads(line(task(), done(task())))
    return {**found, **changes}


@pytest.mark.parametrize("kind", UNUSUAL)
def test_what_is_needed_of_a_line_is_what_was_written(kind: str) -> None:
    each = task(**UNUSUAL[kind])
    found = parse(line(each, done(each)))
    assert found is not None
    assert (found.status, found.task, found.output, found.bytes) == ("done", each.id, each.output, 7)
    assert found.made_of == inputs_digest(inputs_of(each))
    assert json.loads(bytes(found.settings))["steps"] == each.settings.steps


@pytest.mark.parametrize("kind", UNUSUAL)
def test_text_that_is_no_ascii_is_read_as_the_same(kind: str) -> None:
    """Whoever copies lines with a tool of their own may write letters as they are."""
    each = task(**UNUSUAL[kind])
    raw = line(each, done(each))
    text = json.dumps(json.loads(raw), ensure_ascii=False).encode(errors="surrogatepass")
    for other in (text, json.dumps(json.loads(raw), indent=1).replace("\n", " ").encode()):
        found, before = parse(other), parse(raw)
        assert found is not None and before is not None
        assert (found.output, found.made_of) == (before.output, before.made_of)


def test_inputs_that_differ_are_told_apart() -> None:
    found = {inputs_digest(inputs_of(task(**changes))) for changes in UNUSUAL.values() if "output" not in changes}
    found.add(inputs_digest(inputs_of(task(styles=(TWO[0], Style(TWO[1].source, 2.0, TWO[1].region))))))
    found.add(inputs_digest(inputs_of(task(content=STYLE, style=CONTENT))))
    assert len(found) == 8


def test_what_is_not_there_and_what_is_null_are_the_same() -> None:
    bare = parse(json.dumps(record()).encode())
    content = {**record()["content"], "mask": None}
    for more in ({"styles": None}, {"start": None}, {"content": content}, {"content": content, "styles": None}):
        found = parse(json.dumps(record(**more)).encode())
        assert found is not None and bare is not None and found.made_of == bare.made_of
        assert digests(record(**more)) == digests(record())


def test_styles_count_though_the_mask_is_null() -> None:
    each = task(styles=TWO)
    raw = json.loads(line(each, done(each)))
    raw["content"]["mask"] = None
    found = parse(json.dumps(raw).encode())
    assert found is not None and found.made_of == inputs_digest(inputs_of(each))


ODD: tuple[dict[str, Any], ...] = (
    {"v": 2}, {"v": "1"}, {"status": "begun"}, {"task": "f" * 31}, {"task": "g" * 32}, {"task": "f" * 31 + " "},
    {"task": "\ud800" * 32}, {"output": "\ud83d.png"}, {"output": None}, {"finished": "\udbff"}, {"finished": 5},
    {"bytes": -1}, {"bytes": 1 << 63}, {"bytes": 10**30}, {"bytes": 1.5}, {"settings": []}, {"settings": None},
    {"styles": 5}, {"styles": [1, 2]}, {"styles": [{}, {}]}, {"start": 5}, {"start": {"path": "x"}},
    {"content": {"digest": "c", "mask": 5}}, {"content": {"digest": "\ud800"}}, {"content": {"digest": 7}},
    {"style": {}}, {"weights": {"digest": "\ud800"}}, {"weights": {"digest": "e", "format": "\ud800"}}, {"error": [1]},
)  # fmt: skip


@pytest.mark.parametrize("changes", ODD, ids=lambda changes: repr(changes)[:40])
@pytest.mark.parametrize("ascii", [True, False])
def test_what_is_no_line_is_skipped(changes: dict[str, Any], ascii: bool, tmp_path: Path) -> None:
    text = json.dumps(record(**changes), ensure_ascii=ascii).encode(errors="surrogatepass")
    assert parse(text) is None
    paths = RunPaths(tmp_path)
    paths.manifest.mkdir()
    (paths.manifest / "a.jsonl").write_bytes(text + b"\n")
    history = read(paths)
    assert (history.lines, history.skipped, dict(history.rendered)) == (0, 1, {})


ABSURD: tuple[object, ...] = (float("inf"), float("-inf"), float("nan"), 10**400, -(10**400), True, "12", [], {}, None)


@pytest.mark.parametrize("value", ABSURD, ids=lambda value: repr(value)[:10])
@pytest.mark.parametrize("key", ["seconds", "width", "height", "peak_memory_bytes"])
def test_an_absurd_number_beside_what_counts_stops_nobody(key: str, value: object, tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    paths.manifest.mkdir()
    (paths.manifest / "a.jsonl").write_text(json.dumps(record(**{key: value})) + "\n")
    history = read(paths)
    assert set(history.rendered) == {"c__s.png"} and history.skipped == 0
    assert [took.output for took in history.highlights.slowest(9)] == ["c__s.png"]
    assert decision(paths, task()).reason == "output missing"


def test_a_failure_that_says_nothing() -> None:
    errors: tuple[object, ...] = (None, {})
    for error in errors:
        found = parse(json.dumps({**record(), "status": "failed", "error": error}).encode())
        assert found is not None and found.failure == {}


def test_a_whole_line_is_read_again_where_it_stands(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    one, two = task("a.png"), task("b\udcff.png", styles=TWO)
    part = write(paths, (one, done(one)), (two, failed(two)))
    second = part.read_bytes().index(b"\n") + 1
    lines = WholeLines(paths.manifest)
    assert [lines.at(Place(part.name, at))["output"] for at in (second, 0)] == [two.output, one.output]
    part.unlink()
    assert lines.at(Place(part.name, 0)) == whole(line(one, done(one)))  # open still: a merged part may go any time
    lines.close()
    with pytest.raises(FileNotFoundError):
        lines.at(Place(part.name, 0))


@pytest.mark.parametrize(
    "data", [b"", b"[]\n", b"null\n", b"{}\n", b'{"v":1,"status":"replaces","parts":{}}\n', b"\xff\n"]
)
def test_another_file_of_the_same_name_is_not_taken_for_the_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.jsonl").write_bytes(data)
    with pytest.raises(ValueError):
        WholeLines(tmp_path).at(Place("a.jsonl", 0))


def test_no_more_than_some_parts_are_open_at_once(tmp_path: Path) -> None:
    raw, lines = line(task(), done(task())), WholeLines(tmp_path)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(200):
        (tmp_path / f"{number}.jsonl").write_bytes(raw)
        assert lines.at(Place(f"{number}.jsonl", 0))["output"] == "c__s.png"
    assert len(list(Path("/proc/self/fd").iterdir())) - before <= 65
    lines.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
