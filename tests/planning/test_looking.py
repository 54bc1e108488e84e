"""Looking at many files, one after another or by several threads."""

from __future__ import annotations

import random
import threading
import time

import pytest

from nst_batch.planning import looking
from nst_batch.planning.looking import Looks, in_threads


class Seen:
    """What was looked at, and by which threads; each look takes so many seconds."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.rows: list[int] = []
        self.threads: set[int] = set()
        self.seconds = seconds

    def __call__(self, row: int) -> None:
        if self.seconds:
            time.sleep(self.seconds)
        self.rows.append(row)
        self.threads.add(threading.get_ident())


HERE = threading.get_ident()


@pytest.mark.parametrize("count", [0, 1, 16, 17, 64, 500])
def test_threads_look_at_each_once(count: int) -> None:
    seen, told = Seen(), list[int]()
    rows = random.Random(count).sample(range(10**6), count)
    in_threads(seen, rows, told.append)
    assert sorted(seen.rows) == sorted(rows)
    assert told == sorted(told) and (told or [0])[-1] == count
    assert seen.threads <= {HERE} or count > 16


@pytest.mark.parametrize("count", [0, 1, 999, 5000])
def test_near_files_are_looked_at_in_their_order_without_threads(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "_FAR_SECONDS", 10.0)
    seen, told = Seen(), list[int]()
    Looks().each(seen, range(count), told.append)
    assert seen.rows == list(range(count)) and seen.threads <= {HERE} and not told


def test_far_ones_are_waited_for_together_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "_SOME", 20)
    looks, seen, told = Looks(), Seen(0.001), list[int]()
    looks.each(seen, range(500), told.append)
    assert sorted(seen.rows) == list(range(500)) and seen.rows[:40] == list(range(40))
    assert len(seen.threads) > 2 and told == sorted(told) and told[0] >= 40 and told[-1] == 500
    again = Seen(0.001)
    looks.each(again, range(100))
    assert sorted(again.rows) == list(range(100)) and HERE not in again.threads


def test_once_slow_is_not_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process had the processor for a moment."""
    monkeypatch.setattr(looking, "_SOME", 20)
    monkeypatch.setattr(looking, "_FAR_SECONDS", 0.01)
    seen = Seen()

    def look(row: int) -> None:
        seen(row)
        if row in (25, 65):
            time.sleep(0.3)

    Looks().each(look, range(200))
    assert seen.rows == list(range(200)) and seen.threads == {HERE}


def test_what_is_raised_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "_SOME", 20)
    seen = Seen(0.001)

    def tick(done: int) -> None:
        if done >= 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Looks().each(seen, range(20_000), tick)
    count = len(seen.rows)
    time.sleep(0.05)
    assert 60 <= len(seen.rows) == count < 20_000

    def broken(row: int) -> None:
        seen(row)
        if row == 100:
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        Looks().each(broken, range(20_000))


def test_a_few_looks_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many folders with a few files each, they are counted together."""
    monkeypatch.setattr(looking, "_SOME", 20)
    looks, slow = Looks(), Seen(0.001)
    for _ in range(39):
        looks.each(slow, range(1))
    assert slow.threads == {HERE}
    looks.each(slow, range(1))
    looks.each(far := Seen(), range(100))
    assert sorted(far.rows) == list(range(100)) and HERE not in far.threads
