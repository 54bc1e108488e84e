"""What stands out among many pictures."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from nst_batch.recorded import highlights
from nst_batch.recorded.highlights import Highlights
from nst_batch.recorded.lines import Line, parse
from nst_batch.recorded.manifest import line
from tests.lines import done, task


def made(output: str, seconds: float = 1.0, finished: str = "T1", **more: Any) -> Line:
    """A done line."""
    each = task(output)
    found = json.loads(line(each, done(each, finished=finished)))
    read = parse(json.dumps({**found, "seconds": seconds, **more}).encode())
    assert read is not None
    return read


def test_nothing_stands_out_of_nothing() -> None:
    found = Highlights()
    assert (found.last, found.peak_memory_bytes, found.slowest(5)) == (None, 0, [])
    assert Highlights.of(json.loads(json.dumps(found.values()))) == found


def test_the_last_the_slowest_and_the_most_memory() -> None:
    found = Highlights()
    found.heed(made("a.png", 5, "T3", peak_memory_bytes=7, width=64, height=48))
    found.heed(made("b.png", 9, "T1", peak_memory_bytes=9))
    found.heed(made("c.png", 7, "T2"))
    assert found.last is not None and (found.last.output, found.last.width, found.last.height) == ("a.png", 64, 48)
    assert found.peak_memory_bytes == 9
    assert [took.output for took in found.slowest(2)] == ["b.png", "c.png"]


def test_of_a_picture_the_last_time_counts_in_whatever_order() -> None:
    for order in ((0, 1), (1, 0)):
        found, lines = Highlights(), [made("a.png", 90, "T1"), made("a.png", 2, "T2")]
        for place in order:
            found.heed(lines[place])
        assert [took.seconds for took in found.slowest(5)] == [2]


def test_of_many_only_the_slowest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(highlights, "_FEW", 5)
    monkeypatch.setattr(highlights, "_MANY", 20)
    found, numbers = Highlights(), random.Random(1)
    seconds = [numbers.random() for _ in range(200)]
    for number, each in enumerate(seconds):
        found.heed(made(f"{number}.png", each))
    assert [took.seconds for took in found.slowest(5)] == sorted(seconds, reverse=True)[:5]
    assert len(found.slowest(1000)) <= 20


def test_what_is_kept_comes_back() -> None:
    found = Highlights()
    for number in range(60):
        found.heed(made(f"{number}\udcff.png", number, f"T{number:02}", peak_memory_bytes=number))
    back = Highlights.of(json.loads(json.dumps(found.values())))
    assert back.slowest(50) == found.slowest(50) and back.last == found.last
    assert back.peak_memory_bytes == found.peak_memory_bytes == 59


def test_those_of_stretches_come_to_those_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(highlights, "_FEW", 5)
    monkeypatch.setattr(highlights, "_MANY", 20)
    numbers = random.Random(2)
    lines = [
        made(f"{numbers.randrange(150)}.png", numbers.random(), f"T{n:03}", peak_memory_bytes=numbers.randrange(99))
        for n in range(300)
    ]
    whole, joined = Highlights(), Highlights()
    for each in lines:
        whole.heed(each)
    for first in range(0, 300, 70):
        some = Highlights()
        for each in lines[first : first + 70]:
            some.heed(each)
        joined.join(some)
    latest = {each.output: each.finished for each in lines}
    for found in (whole, joined):
        found.keep(lambda took: latest[took.output] == took.finished)
    assert joined.slowest(3) == whole.slowest(3)
    assert (joined.last, joined.peak_memory_bytes) == (whole.last, whole.peak_memory_bytes)


def test_nothing_joins_nothing() -> None:
    found, some = Highlights(), Highlights()
    some.heed(made("a.png", 5, "T3"))
    found.join(Highlights())
    assert found == Highlights()
    found.join(some)
    found.join(Highlights())
    assert found == some


def test_what_was_rendered_once_more_is_forgotten() -> None:
    """The second time was so fast that it is nowhere among the slowest."""
    found = Highlights()
    for output in ("a.png", "b.png"):
        found.heed(made(output, 90, "T1"))
    found.keep(lambda took: took.output != "a.png")
    assert [took.output for took in found.slowest(9)] == ["b.png"]
    found = Highlights()
    for number in range(1100):
        found.heed(made(f"{number}.png", 200 + number, "T1"))
    found.keep(lambda took: False)
    found.heed(made("new.png", 5, "T0"))
    assert [took.output for took in found.slowest(9)] == ["new.png"]
