"""How many pictures at once keep a device busy: measured, since it differs from device to device and size to size."""

from __future__ import annotations

import time
from collections.abc import Collection

import torch
from torch import Tensor

from nst_batch.transfer.ops import Pull
from nst_batch.transfer.passes import Passes

ENOUGH = 1.1  # times the least time a picture: more at once would gain little, and lose more with a process that dies
_CLOSURES = 3  # timed, after one that is not


def best_batch(passes: Passes, taps: Collection[str], shape: tuple[int, int, int], most: int) -> int:
    """The smallest number of pictures whose passes take about as little time for each as any.

    Args:
        passes: through the network, on the device that is meant.
        taps: that the losses look at.
        shape: of a picture, CxHxW.
        most: how many are tried.

    Returns:
        A power of two, or 1.
    """
    seconds: dict[int, float] = {}
    count = 1
    while count <= most:
        try:
            seconds[count] = _seconds(passes, taps, torch.full((count, *shape), 0.5).to(passes.mean)) / count
        except torch.OutOfMemoryError:
            break
        count *= 2
    return smallest_good(seconds)


def smallest_good(seconds: dict[int, float]) -> int:
    """Of pictures at once, by the time that each takes; 1 where nothing was measured."""
    least = min(seconds.values(), default=0.0)
    return min((count for count, each in seconds.items() if each <= ENOUGH * least), default=1)


def _seconds(passes: Passes, taps: Collection[str], images: Tensor) -> float:
    """Of a forward and a backward pass, with a Gram matrix at every tap."""
    _closure(passes, taps, images)
    begun = time.perf_counter()
    for _ in range(_CLOSURES):
        _closure(passes, taps, images)
    return (time.perf_counter() - begun) / _CLOSURES


def _closure(passes: Passes, taps: Collection[str], images: Tensor) -> None:
    trace = passes.forward(images, taps)
    pulls = {tap: Pull(passes.ops.gram(features)[:, None]) for tap, features in trace.features.items()}
    passes.backward(trace, pulls)[0, 0, 0, 0].item()  # wait until it is there
