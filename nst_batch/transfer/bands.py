"""One picture on several devices: each computes a band of its rows, with as many more around it as those depend on.

What a layer sees of a picture, its receptive field, is some rows high; the gradient of a pixel depends on features that
see it, and those on pixels that they see. So a band needs that many rows of its neighbours, and gets the same numbers
as from all of the picture. Those rows are computed twice: bands pay where they are much higher. Within its band, each
device may go strip by strip (``strips``).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch

from nst_batch.transfer.passes import begins_block, depth_of

ALIGNED = 64  # rows: whole tiles of ``native``, at any layer, so that features are the very same
LEAST = 4  # times as high as what is around them are bands, or they do not pay

T = TypeVar("T")


@dataclass(frozen=True)
class Band:
    """Rows of a picture: those that a device answers for, and those that it computes, [first, end) each."""

    own: tuple[int, int]
    seen: tuple[int, int]

    @property
    def inner(self) -> tuple[int, int]:
        """Its own among those that it sees."""
        return self.own[0] - self.seen[0], self.own[1] - self.seen[0]


def bands_of(height: int, taps: Iterable[str], most: int) -> list[Band]:
    """Bands of a picture, about equally high: as many as there are devices, or fewer where they would be too low."""
    around = margin(taps)
    count = max(1, min(most, height // max(LEAST * around, ALIGNED)))
    ends = [round(height * number / count / ALIGNED) * ALIGNED for number in range(count)] + [height]
    return [
        Band((first, end), (max(first - around, 0), min(end + around, height)))
        for first, end in itertools.pairwise(ends)
    ]


def margin(taps: Iterable[str]) -> int:
    """How many rows around a band the gradient of its pixels depends on, in whole tiles."""
    return -(-receptive_field(taps) // ALIGNED) * ALIGNED


def receptive_field(taps: Iterable[str]) -> int:
    """Of the deepest of these taps: the rows of a picture that one row of its features is made of."""
    size, step = 1, 1
    for index in range(depth_of(taps)):
        if index and begins_block(index):
            size, step = size + step, 2 * step
        size += 2 * step
    return size


def side_by_side(work: Callable[[int], T], count: int) -> list[T]:
    """``work`` of 0, 1, …, each in a thread: kernels run outside Python's lock, and no device waits for another."""

    def without_graphs(number: int) -> T:
        with torch.no_grad():
            return work(number)

    with ThreadPoolExecutor(count, thread_name_prefix="band") as pool:
        return list(pool.map(without_graphs, range(count)))
