"""Passes through VGG-19 strip by strip: a picture of any height, in the memory of some of its rows.

Features of a strip depend on rows beyond it, and each layer on more of them. Instead of margins, which would be
computed twice, each layer produces only rows for which it has all that they depend on: a little fewer than the layer
before, the deeper the fewer. The rest follows with the next strip, to which the last rows of each layer's input are
handed on. The backward pass goes from the last strip to the first, and hands on the first rows of gradients in the same
way. So both give the same numbers as passes over the whole picture, and compute nothing twice but the forward pass:
once to learn what the losses need of all of the picture, and once more, strip by strip, so that the backward pass has
features.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nst_batch.demands import rows_handed, rows_made
from nst_batch.settings import CONV_LAYERS
from nst_batch.transfer.ops import Pull, Relu, Rows, gradient_of
from nst_batch.transfer.passes import Passes, after, begins_block, depth_of

See = Callable[[str, Tensor, int], None]
"""Told (tap, rows of its features, BxCxhxw, and which row of all is the first of them). The rows are overwritten when
the next ones are told."""


@dataclass
class _Strip:
    """What a strip's forward pass leaves: as ``passes.Trace``, of those rows that this strip has made."""

    features: dict[str, Tensor] = field(default_factory=dict)
    stored: list[Tensor] = field(default_factory=list)
    rectified: list[bool] = field(default_factory=list)


class Strips:
    """Passes over one picture.

    Args:
        passes: through the network.
        image: Bx3xHxW RGB in [0, 1], or Bx1xHxW grey.
        taps: names from ``VGG19_LAYERS``.
        height: rows of the picture in a strip. Multiples of 64 waste nothing.
    """

    def __init__(self, passes: Passes, image: Tensor, taps: Iterable[str], height: int) -> None:
        self._passes = passes
        self._ops = passes.ops
        self._wanted = set(taps)
        self._depth = depth_of(self._wanted)
        self._picture = image.detach()
        self._heights = [image.shape[2] >> (int(name[4]) - 1) for name in CONV_LAYERS[: self._depth]]
        self._widths = [image.shape[3] >> (int(name[4]) - 1) for name in CONV_LAYERS[: self._depth]]
        aligned = rows_made(image.shape[2], height)
        self._hand = rows_handed(image.shape[2], height)
        self._ends = _ends(self._heights, height, aligned)
        self._numbers = range(len(self._ends))
        self._last: _Strip | None = None

    def _rows(self, number: int, index: int) -> tuple[int, int]:
        """Which rows of a convolution's output a strip makes: the first, and the first that it does not."""
        return (self._ends[number - 1][index] if number else 0), self._ends[number][index]

    def _input_rows(self, number: int, index: int) -> tuple[int, int]:
        """Which rows of a convolution's input are new in a strip."""
        first, end = self._rows(number, index - 1)
        return (first // 2, end // 2) if begins_block(index) else (first, end)

    def _first_needed(self, number: int, index: int) -> int:
        """The first row of a convolution's input that a strip's own rows depend on."""
        return max(self._rows(number, index)[0] - 1, 0)

    def _handed(self, number: int, index: int) -> int:
        """How many rows of a convolution's input a strip is handed from the one above."""
        return self._input_rows(number, index)[0] - self._first_needed(number, index)

    @torch.no_grad()
    def forward(self, see: See, *, again: bool = True) -> None:
        """Features, strip by strip, from the top.

        Args:
            see: told of them.
            again: whether ``backward`` comes after it.
        """
        self._take_room(again=again)
        for number in self._numbers:
            strip = self._strip(number)
            for tap, rows in strip.features.items():
                if rows.shape[2]:
                    see(tap, rows, self._rows(number, CONV_LAYERS.index(tap.replace("relu", "conv")))[0])
        self._last = strip  # the backward pass begins with it

    def _take_room(self, *, again: bool) -> None:
        """Take all the memory that passes need, at once: a heap would be torn to pieces by thousands of strips' needs.

        ``_made`` is for outputs of convolutions, ``_given`` for their inputs, each with room for the rows that are
        handed down to it; an output that is an input as it is lies there only. ``_handed_down`` has those rows for each
        strip; unless they are needed ``again``, two strips share them in turn. ``_gradients`` are two, one made from
        the other; ``_handed_up`` rows of them for the strip above.
        """
        channels = [self._passes.channels(index) for index in range(self._depth)]
        most = [max(end - first for first, end in self._all_rows(index)) for index in range(self._depth)]
        self._made: list[Tensor] = []
        self._given = [self._empty(0, 0, 0)]
        self._handed_down: list[list[Tensor]] = [[]]
        for index in range(self._depth):
            last = index + 1 == self._depth
            stays = not last and not begins_block(index + 1)
            rows = 0 if last else self._hand + (most[index] if stays else most[index] // 2)
            if not last:
                self._given.append(self._empty(channels[index], rows, self._widths[index + 1]))
                self._handed_down.append(self._room_between(index + 1, again=again))
            self._made.append(
                self._given[-1][:, :, self._hand :]
                if stays
                else self._empty(channels[index], most[index], self._widths[index])
            )
        if again:
            sizes = [c * (rows + self._hand) * w for c, rows, w in zip(channels, most, self._widths, strict=True)]
            self._gradients = [self._empty(1, 1, max(sizes)).flatten(1) for _ in range(2)]
            self._handed_up = [self._empty(c, self._hand, w) for c, w in zip(channels, self._widths, strict=True)]

    def _all_rows(self, index: int) -> list[tuple[int, int]]:
        return [self._rows(number, index) for number in self._numbers]

    def _room_between(self, index: int, *, again: bool) -> list[Tensor]:
        """For the rows of a convolution's input that each strip is handed."""
        rows = [self._handed(number, index) for number in self._numbers]
        starts = [0, *itertools.accumulate(rows)] if again else [self._hand * (n % 2) for n in self._numbers]
        whole = self._empty(self._passes.channels(index - 1), max(starts) + self._hand, self._widths[index])
        return [whole[:, :, start : start + count] for start, count in zip(starts, rows, strict=False)]

    def _empty(self, channels: int, rows: int, width: int) -> Tensor:
        shape, like = (len(self._picture), channels, rows, width), self._picture
        return torch.empty(shape, dtype=self._passes.dtype, device=like.device, memory_format=torch.channels_last)

    def _strip(self, number: int) -> _Strip:
        """One strip's features, given the rows handed down to it; hands down what the next one needs."""
        strip = _Strip()
        for index in range(self._depth):
            first, end = self._rows(number, index)
            out = self._made[index][:, :, : end - first]
            name = CONV_LAYERS[index]
            rectify = name not in self._wanted
            if index == 0:
                found = self._ops.first(self._passes.framed(self._picture, first, end))
                _ = torch.clamp(found, 0, out=out) if rectify else out.copy_(found)
            else:
                relu = Relu(not begins_block(index) and not strip.rectified[-1], rectify)
                self._convolve(number, index, strip.stored[-1], relu, out)
            strip.stored.append(out)
            strip.rectified.append(rectify)
            if not rectify:
                strip.features[name] = out
            if after(name) in self._wanted:
                strip.features[after(name)] = out if rectify else out.relu()
        return strip

    def _convolve(self, number: int, index: int, before: Tensor, relu: Relu, out: Tensor) -> None:
        """One convolution, given the new rows of the output of the one before."""
        there, handed = self._new_rows(number, index), self._handed(number, index)
        if begins_block(index) and there.shape[2]:
            self._ops.pool(before, out=there)
        given = self._given[index][:, :, self._hand - handed : self._hand + there.shape[2]]
        if number:
            given[:, :, :handed].copy_(self._handed_down[index][number])
        first, end = self._rows(number, index)
        top = self._first_needed(number, index)
        if end > first:
            bottom = min(end + 1, self._heights[index])
            self._ops.conv(index, given[:, :, : bottom - top], relu, Rows(first - top, end - first), out)
        if number < self._numbers[-1]:
            self._handed_down[index][number + 1].copy_(given[:, :, self._first_needed(number + 1, index) - top :])

    def _new_rows(self, number: int, index: int) -> Tensor:
        """Where rows of a convolution's input are that are new in a strip."""
        first, end = self._input_rows(number, index)
        return self._given[index][:, :, self._hand : self._hand + end - first]

    @torch.no_grad()
    def backward(self, pulls: Mapping[str, Pull]) -> Tensor:
        """The gradient of the picture, as ``Passes.backward``; ``forward`` comes before."""
        pulls, boost = self._passes.boosted(pulls)
        gradient = torch.zeros_like(self._picture)
        handed_up = [0] * self._depth  # how many rows there are
        for number in reversed(self._numbers):
            strip, self._last = self._last or self._strip(number), None
            g = self._ops.first_back(self._back(number, strip, pulls, handed_up))
            g = g if boost is None else g / boost.to(g).view(-1, 1, 1, 1)
            self._add(number, g, gradient)
        return gradient

    def _add(self, number: int, g: Tensor, gradient: Tensor) -> None:
        """Add the gradient of what conv1_1 saw to that of the picture."""
        first, end = self._rows(number, 0)
        rows = slice(max(first - 1, 0), end + 1)
        with torch.enable_grad():
            picture = self._picture[:, :, rows].requires_grad_(True)  # of its own, and no more of it
            framed = self._passes.framed(picture, int(first > 0), picture.shape[2] - int(end < self._heights[0]))
        gradient[:, :, rows] += gradient_of(picture, [framed], [g])

    def _back(self, number: int, strip: _Strip, pulls: Mapping[str, Pull], handed_up: list[int]) -> Tensor:
        """The gradient of conv1_1's output in a strip; takes the rows handed up by the one below, and hands up some."""
        here, there = self._gradients
        g = _as_features(here, strip.stored[-1]).zero_()
        for index in reversed(range(self._depth)):
            name, rows = CONV_LAYERS[index], self._rows(number, index)
            for tap, gate in ((after(name), True), (name, False)):
                if tap in pulls and rows[1] > rows[0]:
                    found = self._ops.pull(strip.features[tap], pulls[tap].rows(*rows), g, gate=gate)
                    g = found if found.data_ptr() == g.data_ptr() else g.copy_(found)
            if index == 0:
                break
            g = self._with_rows_below(index, g, here, handed_up)
            gate = after(CONV_LAYERS[index - 1]) not in pulls  # else it waits for what that layer's losses ask
            before, given = strip.stored[index - 1], self._new_rows(number, index)
            top, first = self._rows(number, index)[0], self._input_rows(number, index)[0]
            wanted = Rows(first - top, given.shape[2])
            bottom = min(first + wanted.count + 1, self._heights[index])
            if wanted.count == 0:
                g = _as_features(here, before).zero_()
            elif begins_block(index):
                out = _as_features(there, given)
                pooled = self._ops.conv_back(index, g[:, :, : bottom - top], given, False, wanted, out)
                g = self._ops.pool_back(pooled, before, gate, out=_as_features(here, before))
            else:
                out = _as_features(there, before)
                g = self._ops.conv_back(index, g[:, :, : bottom - top], before, gate, wanted, out)
                here, there = there, here
        return g

    def _with_rows_below(self, index: int, g: Tensor, room: Tensor, handed_up: list[int]) -> Tensor:
        """A strip's gradient of a convolution's output (the first in the ``room``), with rows handed up below it."""
        own, more, waiting = g.shape[2], handed_up[index], self._handed_up[index]
        joined = _as_features(room, waiting.new_empty(1).expand(*waiting.shape[:2], own + more, waiting.shape[3]))
        if len(g) > 1:  # else its rows are where they are to be
            joined[:, :, :own] = g.clone()
        joined[:, :, own:] = waiting[:, :, :more]
        handed_up[index] = min(self._hand, own + more)
        waiting[:, :, : handed_up[index]] = joined[:, :, : handed_up[index]]
        return joined


def _as_features(room: Tensor, like: Tensor) -> Tensor:
    """The beginning of some room (Bxn), as features in channels_last."""
    batch, channels, height, width = like.shape
    return room[:, : channels * height * width].view(batch, height, width, channels).permute(0, 3, 1, 2)


def _ends(heights: Sequence[int], height: int, aligned: int) -> list[list[int]]:
    """How many rows of each convolution's output are there after each strip: all that can be, in multiples."""
    found: list[list[int]] = []
    for end in range(height, heights[0] + height, height):
        ends: list[int] = []
        for index, all_rows in enumerate(heights):
            there = min(end, all_rows) if index == 0 else ends[-1] // 2 if begins_block(index) else ends[-1]
            if there < all_rows:
                there -= index > 0  # the last one waits for what is below it
                there = max(there - there % aligned, found[-1][index] if found else 0)
            ends.append(there)
        found.append(ends)
    return found
