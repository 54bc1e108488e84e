"""Failures by what they have in common."""

from __future__ import annotations

from nst_batch.alike import Group, groups


def test_failures_that_are_alike_are_told_together() -> None:
    bad = {f"{n}.png": (f"/in/{n}.jpg: not a picture", "remove it") for n in range(5)}
    same = {f"x{n}.png": ("/in/x.jpg: is gone", "") for n in range(2)}
    found = groups({**same, **bad, "big.png": ("memory ran out at 100 x 100 pixels", "smaller")})
    assert found == [
        Group(5, "not a picture", "remove it", ("0.png", "1.png", "2.png")),
        Group(2, "/in/x.jpg: is gone", "", ("x0.png", "x1.png")),
        Group(1, "memory ran out at 100 x 100 pixels", "smaller", ("big.png",)),
    ]
