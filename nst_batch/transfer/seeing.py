"""What the network makes of a picture, as far as losses ask: at once, or by strips where memory is short.

Losses look at sums over positions alone (moments, squared distances), and their gradients are closed forms of those
sums and of the features at each position. So nothing of a picture's features need be there all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nst_batch.transfer.bands import Band, bands_of, side_by_side
from nst_batch.transfer.ops import Pull
from nst_batch.transfer.passes import Passes
from nst_batch.transfer.statistics import Moments
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

    def rows(self, first: int, end: int, like: Tensor) -> Asked:
        """The same of some rows of the picture, where ``like`` is."""
        guides, content = dict[str, Tensor](), dict[str, Tensor]()
        for name, guide in self.guides.items():
            if name in self.moments:
                guides[name] = guide[:, slice(*_rows_of(self.moments[name], (first, end)))].to(like.device)
        for tap, target in self.content.items():
            content[tap] = target[:, :, slice(*_rows_of(tap, (first, end)))].to(like.device)
        return replace(self, guides=guides, content=content)

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
    """See a picture (BxCxHxW): in strips of ``passes.strip`` rows, if it has more; in bands, with other devices."""
    bands = bands_of(picture.shape[2], asked.taps, 1 + len(passes.others))
    if len(bands) > 1:
        return _together(passes, picture, asked, bands)
    return _look(passes, picture, _Sums(passes, picture, asked, (0, picture.shape[2])))


def _look(passes: Passes, picture: Tensor, sums: _Sums) -> Seen:
    asked = sums.asked
    if not in_strips(passes, picture):
        trace = passes.forward(picture, asked.taps)
        for tap, features in trace.features.items():
            sums.add(tap, features, 0)
        return Seen(sums.moments, sums.distances, sums.positions, lambda pulls: passes.backward(trace, pulls))
    strips = Strips(passes, picture, asked.taps, passes.strip or 0)
    strips.forward(sums.add, again=asked.backward)
    return Seen(sums.moments, sums.distances, sums.positions, strips.backward)


def _together(passes: Passes, picture: Tensor, asked: Asked, bands: Sequence[Band]) -> Seen:
    """See each band on a device of its own. What is found is added up, and gradients are put together, on the first."""
    devices = (passes, *passes.others)

    def see(number: int) -> Seen:
        there, band = devices[number], bands[number]
        rows = picture[:, :, slice(*band.seen)].to(there.mean.device)
        return _look(there, rows, _Sums(there, picture, asked.rows(*band.seen, there.mean), band.inner))

    def backward(pulls: Mapping[str, Pull]) -> Tensor:
        def back(number: int) -> Tensor:
            there, band = devices[number], bands[number]
            some = {tap: pull.rows(*_rows_of(tap, band.seen)).on(there.mean) for tap, pull in pulls.items()}
            return found[number].backward(some)[:, :, slice(*band.inner)].to(picture.device)

        return torch.cat(side_by_side(back, len(bands)), 2)

    found = side_by_side(see, len(bands))
    total = _Sums(passes, picture, asked, (0, 0))
    for seen in found:
        for name, each in seen.moments.items():
            total.add_moments(name, each.to(picture.device))
        for tap, distance in seen.distances.items():
            total.add_distance(tap, distance.to(picture.device))
    return Seen(total.moments, total.distances, total.positions, backward)


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
    """Sums over positions, of all features or of some rows after others.

    Args:
        passes: that see.
        picture: all of it: what is found are means over all positions.
        asked: of those rows that are seen.
        inner: which of these count.
    """

    def __init__(self, passes: Passes, picture: Tensor, asked: Asked, inner: tuple[int, int]) -> None:
        self._passes = passes
        self._inner = inner
        self.asked = asked
        self.moments: dict[str, Moments] = {}
        self.distances: dict[str, Tensor] = {}
        self.positions = {tap: _positions(picture, tap) for tap in asked.taps}

    def add(self, tap: str, rows: Tensor, first: int) -> None:
        """Take in rows of a layer's features; ``first`` is where they begin."""
        begin, end = _rows_of(tap, self._inner)
        rows, first = rows[:, :, max(begin - first, 0) : max(end - first, 0)], max(begin, first)
        if rows.shape[2] == 0:
            return
        there = slice(first, first + rows.shape[2])
        share = rows.shape[2] * rows.shape[3] / self.positions[tap]
        for name, layer in self.asked.moments.items():
            if layer == tap:
                guides = self.asked.guides.get(name)
                own = None if guides is None else guides[:, there]
                found = self._passes.moments(rows, own, means=self.asked.means)
                self.add_moments(name, found if own is not None else found.times(share))
        if tap in self.asked.content:
            target = self.asked.content[tap][:, :, there]
            self.add_distance(tap, self._passes.distance(rows, target) * share)

    def add_moments(self, name: str, found: Moments) -> None:
        """Take in a part of a sum."""
        self.moments[name] = self.moments[name].plus(found) if name in self.moments else found

    def add_distance(self, tap: str, distance: Tensor) -> None:
        """Take in a part of a sum."""
        self.distances[tap] = self.distances[tap] + distance if tap in self.distances else distance


def _rows_of(tap: str, rows: tuple[int, int]) -> tuple[int, int]:
    """Rows of a layer's features, by rows of the picture."""
    halved = int(tap[4]) - 1
    return rows[0] >> halved, rows[1] >> halved


def _positions(picture: Tensor, tap: str) -> int:
    halved = int(tap[4]) - 1
    return (picture.shape[2] >> halved) * (picture.shape[3] >> halved)
