"""The size rule, and the ladder of scales that leads to it.

Apart from ``transfer``, since planning needs it too, and planning never imports torch.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

from nst_batch.records import Task
from nst_batch.settings import TransferSettings

SMALLEST_SIDE = 16  # pixels; four 2x2 poolings leave one position
_AUTO_FIRST = 128  # pixels; the coarsest of `scales: auto`
_NEAR = 0.8  # a scale of `auto` this near to the size itself would be done twice


class Stage(NamedTuple):
    """One scale of a transfer: the picture's size in pixels, how many evaluations, and its share of the full size."""

    width: int
    height: int
    steps: int
    factor: float


def target_size(width: int, height: int, settings: TransferSettings, factor: float = 1.0) -> tuple[int, int]:
    """(width, height) in pixels after ``size``, ``fit`` and ``upscale``, for a content picture.

    Args:
        width, height: the file's, in pixels.
        settings: proportions are kept to the nearest pixel, but for ``fit: exact``.
        factor: of a coarser scale, or of ``style_scale``.
    """
    if settings.fit == "exact":
        return _rounded(settings.size, settings.height or settings.size, factor)
    return _rounded(width, height, scale_of(width, height, settings) * factor)


def size_of(task: Task) -> tuple[int, int]:
    """(width, height) of a task's picture, in pixels; (0, 0) where the file's header could not be read."""
    content = task.content
    return target_size(content.width, content.height, task.settings) if content.width else (0, 0)


def style_size(width: int, height: int, settings: TransferSettings, factor: float = 1.0) -> tuple[int, int]:
    """(width, height) in pixels of a style picture: by the same rule, times ``style_scale``, and never cropped."""
    return _rounded(width, height, scale_of(width, height, settings, settings.style_scale * factor))


def scale_of(width: int, height: int, settings: TransferSettings, factor: float = 1.0) -> float:
    """What both sides are multiplied by; at most 1 unless ``upscale``."""
    if settings.fit in ("area", "exact"):
        area = settings.size * (settings.height or settings.size) if settings.fit == "exact" else settings.size**2
        scale = math.sqrt(area / (width * height))
    elif settings.fit == "native":
        scale = 1.0
    else:
        scale = settings.size / (max(width, height) if settings.fit == "long" else min(width, height))
    return scale * factor if settings.upscale else min(1.0, scale * factor)


def stages(width: int, height: int, settings: TransferSettings) -> tuple[Stage, ...]:
    """The scales that a content picture of this size is rendered at, coarse first; their steps add up to ``steps``."""
    full = target_size(width, height, settings)
    factors = [*(f for f in _factors(full, settings) if min(*_rounded(*full, f)) >= SMALLEST_SIDE), 1.0]
    factors = factors[-settings.steps :]  # each scale has an evaluation at least
    counts = _shared_out(settings.steps, settings.scale_shares, len(factors))
    return tuple(Stage(*_rounded(*full, f), n, f) for f, n in zip(factors, counts, strict=True))


def _factors(full: tuple[int, int], settings: TransferSettings) -> list[float]:
    """Of the scales before the last, ascending, each below 1."""
    side = {
        "short": min(full),
        "area": math.sqrt(full[0] * full[1]),
        "exact": full[0],
    }.get(settings.fit, max(full))
    if settings.scales == "auto":
        sizes = [_AUTO_FIRST << doubling for doubling in range(16) if _AUTO_FIRST << doubling < _NEAR * side]
    else:
        sizes = sorted(size for size in set(settings.scales) if size < side)
    return [size / side for size in sizes]


def _shared_out(steps: int, shares: tuple[float, ...], count: int) -> list[int]:
    """``steps`` in ``count`` parts by ``shares``, each at least 1."""
    weights = [*shares[:count], *(shares[-1:] or (1.0,)) * (count - len(shares))]
    parts = _in_proportion(steps, weights)
    return parts if min(parts) > 0 else [1 + part for part in _in_proportion(steps - count, weights)]


def _in_proportion(steps: int, weights: list[float]) -> list[int]:
    """By running totals, so that rounding adds up exactly."""
    ends = [round(steps * sum(weights[:place]) / sum(weights)) for place in range(len(weights) + 1)]
    return [end - begun for begun, end in itertools.pairwise(ends)]


def _rounded(width: float, height: float, factor: float) -> tuple[int, int]:
    return max(1, round(width * factor)), max(1, round(height * factor))
