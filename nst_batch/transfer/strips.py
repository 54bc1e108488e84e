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

from nst_batch.settings import CONV_LAYERS
from nst_batch.transfer.ops import Pull, nhwc
from nst_batch.transfer.passes import Passes, after, begins_block, boost_of, depth_of

See = Callable[[str, Tensor, int], None]
"""Told (tap, rows of its features, BxCxhxw, and which row of all is the first of them)."""

HANDED_UP = 3  # rows of a gradient that the strip above may depend on


@dataclass
class _Strip:
    """What a strip's forward pass leaves: as ``passes.Trace``, of those rows that this strip has made."""

    features: dict[str, Tensor] = field(default_factory=dict)
    stored: list[Tensor] = field(default_factory=list)
    rectified: list[bool] = field(default_factory=list)

    def drop(self, index: int) -> None:
        """Forget a convolution's output, that nobody looks at any more: memory is short where there are strips."""
        self.stored[index] = self.stored[index].new_empty(0)


class Strips:
    """Passes over one picture.

    Args:
        passes: through the network.
        image: Bx3xHxW RGB in [0, 1], or Bx1xHxW grey.
        taps: names from ``VGG19_LAYERS``.
        height: rows of the picture in a strip.
    """

    def __init__(self, passes: Passes, image: Tensor, taps: Iterable[str], height: int) -> None:
        self._passes = passes
        self._ops = passes.ops
        self._wanted = set(taps)
        self._depth = depth_of(self._wanted)
        self._picture = image.detach()
        with torch.enable_grad():
            self._framed = passes.framed(self._picture.requires_grad_(True))
        self._heights = [image.shape[2] >> (int(name[4]) - 1) for name in CONV_LAYERS[: self._depth]]
        self._ends = _ends(self._heights, height)
        self._widths = [image.shape[3] >> (int(name[4]) - 1) for name in CONV_LAYERS[: self._depth]]
        self._numbers = range(len(self._ends))
        self._handed_down: list[list[Tensor]] = []  # by convolution and strip: rows of its input from the one above
        self._last: _Strip | None = None

    @torch.no_grad()
    def forward(self, see: See, *, again: bool = True) -> None:
        """Features, strip by strip, from the top.

        Args:
            see: told of them.
            again: whether ``backward`` comes after it.
        """
        self._handed_down, self._last = self._room(again=again), None
        for number in self._numbers:
            last = number == self._numbers[-1]
            strip = self._strip(number, keep=again and last)
            for tap, rows in strip.features.items():
                if rows.shape[2]:
                    see(tap, rows, self._rows(number, CONV_LAYERS.index(tap.replace("relu", "conv")))[0])
            if again and last:
                self._last = strip  # the backward pass begins with it
            else:
                strip.features.clear()  # before the next one is made

    def _rows(self, number: int, index: int) -> tuple[int, int]:
        """Which rows of a convolution's output a strip makes: the first, and the first that it does not."""
        return (self._ends[number - 1][index] if number else 0), self._ends[number][index]

    def _input_rows(self, number: int, index: int) -> tuple[int, int]:
        """Which rows of a convolution's input are new in a strip."""
        first, end = self._rows(number, index - 1)
        return (first // 2, end // 2) if begins_block(index) else (first, end)

    def _room(self, *, again: bool) -> list[list[Tensor]]:
        """Room for what strips hand down, by convolution and strip; taken at once, since memory would be torn to pieces
        by taking it in between. Unless it is needed ``again``, two share it in turn."""
        like, room = self._framed.detach(), [list[Tensor]()]
        for index in range(1, self._depth):
            rows = [self._input_rows(number, index)[0] - self._first_needed(number, index) for number in self._numbers]
            starts = [0, *itertools.accumulate(rows)] if again else [max(rows) * (n % 2) for n in self._numbers]
            shape = (len(like), self._passes.channels(index - 1), max(starts) + max(rows), self._widths[index])
            whole = torch.empty(shape, dtype=self._passes.dtype, device=like.device, memory_format=torch.channels_last)
            room.append([whole[:, :, start : start + count] for start, count in zip(starts, rows, strict=False)])
        return room

    def _first_needed(self, number: int, index: int) -> int:
        """The first row of a convolution's input that a strip's own rows depend on."""
        return max(self._rows(number, index)[0] - 1, 0)

    def _strip(self, number: int, *, keep: bool = True) -> _Strip:
        """One strip's features, given the rows handed down to it; hands down what the next one needs.

        ``keep``: all of them, for the backward pass.
        """
        strip = _Strip()
        first, end = self._rows(number, 0)
        self._keep(strip, 0, self._ops.first(nhwc(self._framed.detach()[:, :, first : end + 2])))
        for index in range(1, self._depth):
            x = strip.stored[-1]
            if begins_block(index):
                x = self._ops.pool(x) if x.shape[2] > 1 else _no_rows(x, x.shape[3] // 2)
            rectify_input = not begins_block(index) and not strip.rectified[-1]
            x = _joined(self._handed_down[index][number] if number else None, x)
            first, end = self._rows(number, index)
            top, bottom = self._first_needed(number, index), min(end + 1, self._heights[index])
            if end > first:
                rectify = CONV_LAYERS[index] not in self._wanted
                found = self._ops.conv(index, nhwc(x[:, :, : bottom - top]), rectify_input, rectify)
                found = found[:, :, first - top : end - top]
            else:
                found = _no_rows(x, x.shape[3], self._passes.channels(index))
            self._keep(strip, index, found)
            if number < self._numbers[-1]:
                below = self._first_needed(number + 1, index) - top
                self._handed_down[index][number + 1].copy_(x[:, :, below:])
            if not keep:
                strip.drop(index - 1)
        return strip

    def _keep(self, strip: _Strip, index: int, found: Tensor) -> None:
        name = CONV_LAYERS[index]
        rectify = name not in self._wanted
        if index == 0 and rectify:
            found = found.relu_()
        strip.stored.append(found)
        strip.rectified.append(rectify)
        if not rectify:
            strip.features[name] = found
        if after(name) in self._wanted:
            strip.features[after(name)] = found if rectify else found.relu()

    @torch.no_grad()
    def backward(self, pulls: Mapping[str, Pull]) -> Tensor:
        """The gradient of the picture, as ``Passes.backward``; ``forward`` comes before."""
        boost = boost_of(pulls) if self._passes.dtype == torch.float16 else None
        if boost is not None:
            pulls = {tap: pull.times(boost) for tap, pull in pulls.items()}
        framed = torch.zeros_like(self._framed)
        below: list[Tensor | None] = [None] * self._depth
        for number in reversed(self._numbers):
            strip, self._last = self._last or self._strip(number), None
            g = self._back(number, strip, pulls, below)
            first, end = self._rows(number, 0)
            framed[:, :, first : end + 2] += self._ops.first_back(nhwc(g)).to(framed.dtype)
        if boost is not None:
            framed = framed / boost.view(-1, 1, 1, 1)
        (gradient,) = torch.autograd.grad(self._framed, self._picture, framed)
        return gradient

    def _back(self, number: int, strip: _Strip, pulls: Mapping[str, Pull], below: list[Tensor | None]) -> Tensor:
        """The gradient of conv1_1's output in a strip; ``below`` has those of its successors' first rows, and gets its
        own."""
        g: Tensor | None = None
        for index in reversed(range(self._depth)):
            name, rows = CONV_LAYERS[index], self._rows(number, index)
            for tap, gate in ((after(name), True), (name, False)):
                if tap in pulls and rows[1] > rows[0]:
                    g = self._ops.pull(strip.features.pop(tap), pulls[tap].rows(*rows), g, gate=gate)
            if g is None:
                g = torch.zeros_like(strip.stored[index])
            strip.drop(index)
            if index == 0:
                break
            g = _joined(g, below[index])
            below[index] = g[:, :, :HANDED_UP].clone(memory_format=torch.channels_last)
            g = self._through(number, index, g, strip, gate=after(CONV_LAYERS[index - 1]) not in pulls)
        if g is None:
            raise AssertionError("there is a convolution")
        return g

    def _through(self, number: int, index: int, g: Tensor, strip: _Strip, *, gate: bool) -> Tensor:
        """From a convolution's output to the output of the one before: ``g`` begins with this strip's first row."""
        top = self._rows(number, index)[0]
        first, end = self._input_rows(number, index)
        before = strip.stored[index - 1]
        if end == first:
            return torch.zeros_like(before)
        bottom = min(end + 1, self._heights[index])
        like = g.new_empty(1).expand(len(g), self._passes.channels(index - 1), bottom - top, g.shape[3])
        g = self._ops.conv_back(index, nhwc(g[:, :, : bottom - top]), like, gate=False)
        g = nhwc(g[:, :, first - top : end - top])
        if begins_block(index):
            return self._ops.pool_back(g, before, gate)
        return g.masked_fill_(before <= 0, 0) if gate else g


def _ends(heights: Sequence[int], height: int) -> list[list[int]]:
    """How many rows of each convolution's output are there after each strip: all that can be.

    Before a pooling, an even number of them.
    """
    found: list[list[int]] = []
    for end in range(height, heights[0] + height, height):
        ends = [min(end, heights[0])]
        for index in range(1, len(heights)):
            there = ends[-1] // 2 if begins_block(index) else ends[-1]
            can_be = there if there == heights[index] else max(there - 1, 0)
            if can_be < heights[index] and index + 1 < len(CONV_LAYERS) and begins_block(index + 1):
                can_be -= can_be % 2
            ends.append(max(can_be, found[-1][index] if found else 0))
        found.append(ends)
    return found


def _joined(upper: Tensor | None, lower: Tensor | None) -> Tensor:
    """Rows below rows."""
    parts = [each for each in (upper, lower) if each is not None and each.shape[2]]
    if not parts:
        return next(each for each in (upper, lower) if each is not None)
    return parts[0] if len(parts) == 1 else torch.cat(parts, 2)


def _no_rows(like: Tensor, width: int, channels: int | None = None) -> Tensor:
    return like.new_empty(len(like), channels or like.shape[1], 0, width)
