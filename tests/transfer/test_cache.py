"""Tensors kept within a bound."""

from __future__ import annotations

import torch
from torch import Tensor

from nst_batch.transfer.cache import TensorCache


def test_the_least_recently_used_go_first() -> None:
    cache, made = TensorCache(limit=3 * 400), list[str]()

    def get(key: str) -> None:
        def make() -> Tensor:
            made.append(key)
            return torch.zeros(100)

        cache.get(key, make)

    for key in ("a", "b", "c", "a", "d", "a", "b"):
        get(key)
    assert made == ["a", "b", "c", "d", "b"]


def test_what_is_larger_than_the_bound_is_made_but_not_kept() -> None:
    cache = TensorCache(limit=100)
    small = cache.get("small", lambda: torch.zeros(20))
    assert cache.get("large", lambda: {"x": torch.ones(1000)})["x"].sum() == 1000
    assert cache.get("large", lambda: {"x": torch.zeros(1000)})["x"].sum() == 0
    assert cache.get("small", lambda: torch.ones(20)) is small


def test_one_kind_is_forgotten_and_its_room_is_free() -> None:
    cache = TensorCache(limit=1000)
    for key in (("pixels", 1), ("style", 1), "pixels"):
        cache.get(key, lambda: torch.zeros(50))
    cache.forget("pixels")
    assert cache.get(("pixels", 1), lambda: torch.ones(150)).sum() == 150
    assert cache.get(("style", 1), lambda: torch.ones(50)).sum() == 0
    assert cache.get("pixels", lambda: torch.ones(1)).sum() == 0
