"""Failures by what they have in common."""

from __future__ import annotations

import pytest

from nst_batch.recorded.alike import Group, groups


def test_failures_that_are_alike_are_told_together() -> None:
    bad = {f"{n}.png": (f"/in/{n}.jpg: not a picture", "remove it") for n in range(5)}
    same = {f"x{n}.png": ("/in/x.jpg: is gone", "") for n in range(2)}
    found = groups({**same, **bad, "big.png": ("memory ran out at 100 x 100 pixels", "smaller")})
    assert found == [
        Group(5, "not a picture", "remove it", ("0.png", "1.png", "2.png")),
        Group(2, "/in/x.jpg: is gone", "", ("x0.png", "x1.png")),
        Group(1, "memory ran out at 100 x 100 pixels", "smaller", ("big.png",)),
    ]


def test_of_thousands_of_kinds_the_later_ones_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nst_batch.recorded.alike._MOST", 3)
    words = ("ash", "bay", "fir", "oak", "yew")
    found = groups({f"{n}.png": (f"{words[n % 5]} happened", "") for n in range(10)})
    assert [(each.count, each.message) for each in found] == [
        (4, "something else"), (2, "ash happened"), (2, "bay happened"), (2, "fir happened"),
    ]  # fmt: skip


def test_a_few_are_named_in_order() -> None:
    (found,) = groups({f"{n}.png": ("broken", "") for n in (5, 9, 1, 7, 3)})
    assert (found.count, found.outputs) == (5, ("1.png", "3.png", "5.png"))
