"""What the network makes of a picture, as far as losses ask: at once, or by strips where memory is short.

Losses look at sums over positions alone (moments, squared distances), and their gradients are closed forms of those
sums and of the features at each position. So nothing of a picture's features need be there all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nst_batch.transfer.ops import Pull
from nst_batch.transfer.passes import Passes
from nst_batch.transfer.statistics import Moments, moments
from nst_batch.transfer.strips import Strips


@dataclass(frozen=True)
class Asked:
    """What is asked of a picture.

    ``moments`` are names of statistics, each with its layer; ``guides`` (Rxhxw, by those names) say where regions are,
    for those that have any; ``means`` whether first moments are wanted. ``content`` are features to be compared with,
    by layer. ``backward``: whether the way back will be gone.
    """

    moments: Mapping[str, str]
    guides: Mapping[str, Tensor]
    means: bool
    content: Mapping[str, Tensor]
    backward: bool = False

    @property
    def taps(self) -> set[str]:
        """The layers to be seen."""
        return {*self.moments.values(), *self.content}


@dataclass(frozen=True)
class Seen:
    """The answer: moments by name, mean squared distances (B) by layer, how many positions each layer has, and the way
    back from what losses ask of features to the gradient of the picture. It may be gone once."""

    moments: dict[str, Moments]
    distances: dict[str, Tensor]
    positions: dict[str, int]
    backward: Callable[[Mapping[str, Pull]], Tensor]


def look(passes: Passes, picture: Tensor, asked: Asked) -> Seen:
    """See a picture (BxCxHxW): in strips of ``passes.strip`` rows, if it has more."""
    sums = _Sums(passes, picture, asked)
    if not in_strips(passes, picture):
        trace = passes.forward(picture, asked.taps)
        for tap, features in trace.features.items():
            sums.add(tap, features, 0)
        return Seen(sums.moments, sums.distances, sums.positions, lambda pulls: passes.backward(trace, pulls))
    strips = Strips(passes, picture, asked.taps, passes.strip or 0)
    strips.forward(sums.add, again=asked.backward)
    return Seen(sums.moments, sums.distances, sums.positions, strips.backward)


def features_of(passes: Passes, picture: Tensor, taps: Iterable[str]) -> dict[str, Tensor]:
    """All of the features at some layers, by layer."""
    if not in_strips(passes, picture):
        return passes(picture, taps)
    found: dict[str, Tensor] = {}

    def keep(tap: str, rows: Tensor, first: int) -> None:
        if tap not in found:
            halved = int(tap[4]) - 1
            found[tap] = rows.new_empty(*rows.shape[:2], picture.shape[2] >> halved, rows.shape[3]).contiguous(
                memory_format=torch.channels_last
            )
        found[tap][:, :, first : first + rows.shape[2]] = rows

    Strips(passes, picture, taps, passes.strip or 0).forward(keep, again=False)
    return found


def in_strips(passes: Passes, picture: Tensor) -> bool:
    """Whether a picture is seen strip by strip."""
    return passes.strip is not None and picture.shape[2] > passes.strip


class _Sums:
    """Sums over positions, of all features or of some rows after others."""

    def __init__(self, passes: Passes, picture: Tensor, asked: Asked) -> None:
        self._passes = passes
        self._asked = asked
        self.moments: dict[str, Moments] = {}
        self.distances: dict[str, Tensor] = {}
        self.positions = {tap: _positions(picture, tap) for tap in asked.taps}

    def add(self, tap: str, rows: Tensor, first: int) -> None:
        """Take in rows of a layer's features; ``first`` is where they begin."""
        there = slice(first, first + rows.shape[2])
        share = rows.shape[2] * rows.shape[3] / self.positions[tap]
        for name, layer in self._asked.moments.items():
            if layer == tap:
                guides = self._asked.guides.get(name)
                own = None if guides is None else guides[:, there]
                found = moments(rows, own, means=self._asked.means, gram=self._passes.gram)
                self._add_moments(name, found, 1.0 if own is not None else share)
        if tap in self._asked.content:
            target = self._asked.content[tap][:, :, there]
            distance = self._passes.distance(rows, target) * share
            self.distances[tap] = self.distances[tap] + distance if tap in self.distances else distance

    def _add_moments(self, name: str, found: Moments, share: float) -> None:
        """``found`` are means over some positions, a ``share`` of all; or parts of sums."""
        if share != 1:
            found = Moments(share * found.second, None if found.mean is None else share * found.mean)
        before = self.moments.get(name)
        if before is not None:
            found = Moments(before.second + found.second, None if found.mean is None else before.means + found.mean)
        self.moments[name] = found


def _positions(picture: Tensor, tap: str) -> int:
    halved = int(tap[4]) - 1
    return (picture.shape[2] >> halved) * (picture.shape[3] >> halved)
