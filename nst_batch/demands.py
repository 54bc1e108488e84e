"""What a transfer takes, before it begins: arithmetic, and memory by where it goes; and how it is made to fit.

Bytes are counted, not guessed: a pass through VGG-19 keeps known tensors of known sizes (``transfer.passes``,
``transfer.strips``), and L-BFGS known vectors. What Python, torch and the network take beside that is a matter of the
machine: see ``forecasts``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from nst_batch.settings import CONV_LAYERS, TransferSettings
from nst_batch.sizes import Stage, stages

ITEM = 4  # bytes of a value, in float32
FEW_PAIRS = 20  # below which twice as many in bf16 are better
LEAST_PAIRS = 4  # of L-BFGS's history; with fewer, it is hardly better than gradient descent
FEWER = 4  # by which a history is divided when memory has run out
ROWS = 64  # strips of whole multiples of it waste nothing at any layer
MOST_ROWS = 512  # more rows take more memory and hardly less time
_TILES = 4  # rows of one tile in ``transfer.native``
_VECTORS = 5  # of the picture's size: the point, the last one, its gradient, the direction, the passes' gradient
_PASSING = 6  # vectors that the optimiser needs for a moment, when the passes need nothing
_METRIC_VECTORS, _METRIC_PASSING = 3, 12  # more of them, for a metric
_VARIATION_PASSING = 2  # vectors, for total variation
_MULTIPLY_ADD = 2  # operations
_POINTS = 36  # products of a tile in ``transfer.native``, for each of which a kernel's weights are kept


@dataclass(frozen=True)
class Way:
    """How a scale is computed: so many rows of the picture at a time (None: all), with so many pairs of a history,
    which are kept in that precision; ``apart``: the optimiser is on the CPU, its vectors in the machine's memory."""

    rows: int | None
    pairs: int
    kept: Literal["fp32", "bf16"] = "fp32"
    apart: bool = False


@dataclass(frozen=True)
class _Layer:
    """A convolution: its block from 0, channels in and out, and whether a pooling comes before it."""

    block: int
    inputs: int
    outputs: int
    pooled: bool


def _layers() -> tuple[_Layer, ...]:
    found, inputs = list[_Layer](), 3
    for name in CONV_LAYERS:
        block = int(name[4]) - 1
        outputs = min(64 << block, 512)
        found.append(_Layer(block, inputs, outputs, name.endswith("_1") and block > 0))
        inputs = outputs
    return tuple(found)


_LAYERS = _layers()


def operations(settings: TransferSettings, stage: Stage) -> float:
    """Floating-point operations of one evaluation, about: convolutions forward and backward (of their inputs alone),
    Gram matrices and what they ask of features, at all octaves."""
    there_and_back = 2.0
    return sum(
        there_and_back * pixels * (_convolving(layers) + _correlating(settings))
        for layers, pixels in _passes(settings, stage.width, stage.height)
    )


def work(settings: TransferSettings, width: int, height: int) -> float:
    """Operations of a whole transfer of a content picture of that size, about."""
    return sum(stage.steps * operations(settings, stage) for stage in stages(width, height, settings))


def _convolving(layers: tuple[_Layer, ...]) -> float:
    """Operations a pixel of the picture."""
    return sum(9.0 * _MULTIPLY_ADD * each.inputs * each.outputs / (1 << 2 * each.block) for each in layers)


def _correlating(settings: TransferSettings) -> float:
    found = [_to((tap,))[-1] for tap in settings.style_layers]
    return sum(float(_MULTIPLY_ADD) * each.outputs**2 / (1 << 2 * each.block) for each in found)


def _passes(settings: TransferSettings, width: int, height: int) -> Iterator[tuple[tuple[_Layer, ...], int]]:
    """The passes of a closure, one for each octave: their layers, and the pixels of what they see."""
    for octave in range(settings.octaves):
        if octave and min(width, height) >> octave < 16:
            break
        taps = (*settings.style_layers, *(settings.content_layers if octave == 0 else ()))
        yield _to(taps), (width >> octave) * (height >> octave)


def _to(taps: tuple[str, ...]) -> tuple[_Layer, ...]:
    """All convolutions up to the last of these taps."""
    return _LAYERS[: 1 + max(CONV_LAYERS.index(tap.replace("relu", "conv")) for tap in taps)]


def rows_made(height: int, rows: int) -> int:
    """Strips of so many rows make whole multiples of this many of each layer's: whole tiles, so that features are the
    very same as of the whole picture; but of a large picture, where rows that are handed from strip to strip would take
    more memory than the strips themselves, no more than pooling needs."""
    return _TILES if rows * rows >= 6 * height else 2


def rows_handed(height: int, rows: int) -> int:
    """How many rows, at most, of each layer's input the next strip needs, and of its gradient the one before."""
    return 1 + rows_made(height, rows)


def passes_bytes(settings: TransferSettings, width: int, height: int, rows: int | None) -> int:
    """What passes through the network keep at the most, of one picture, with what the content is compared with."""
    total = sum(_target(settings, width * height))
    for octave, (layers, _) in enumerate(_passes(settings, width, height)):
        wide, high = width >> octave, height >> octave
        if rows is None or high <= rows:
            total += _whole(layers, wide * high)
        else:
            total += _strips(layers, wide, high, rows)
    return total


def _target(settings: TransferSettings, pixels: int) -> Iterator[int]:
    for tap in settings.content_layers:
        layer = _to((tap,))[-1]
        yield ITEM * layer.outputs * (pixels >> 2 * layer.block)


def _whole(layers: tuple[_Layer, ...], pixels: int) -> int:
    """Each convolution's output, what poolings give, and two gradients, of which one is made from the other, with room
    for a third: the C library seldom has a place of that size among what was freed."""
    kept = sum(each.outputs * (pixels >> 2 * each.block) for each in layers)
    kept += sum(each.inputs * (pixels >> 2 * each.block) for each in layers if each.pooled)
    return ITEM * (kept + 3 * max(each.outputs * (pixels >> 2 * each.block) for each in layers))


def _strips(layers: tuple[_Layer, ...], width: int, height: int, rows: int) -> int:
    """The same of one strip, rows handed down to every strip, and rows handed up to the next."""
    hand, strips = rows_handed(height, rows), -(-height // rows)
    total, gradients = 0, list[int]()
    for place, each in enumerate(layers):
        wide, high = width >> each.block, (rows >> each.block) + hand
        if each.pooled:
            total += each.inputs * wide * high
        if place:
            total += each.inputs * wide * strips * (hand - (1 if each.pooled else 0))
        total += each.outputs * wide * (high + hand)
        gradients.append(each.outputs * wide * high)
    return ITEM * (total + 2 * max(gradients) + layers[0].outputs * width * rows)


def stage_bytes(settings: TransferSettings, width: int, height: int, way: Way) -> int:
    """What a scale takes at the most, computed that way, beside Python, torch and the network."""
    vector, kept = _vector(width * height), kept_bytes(settings, width, height, way)
    during = passes_bytes(settings, width, height, way.rows)
    during += vector * _VARIATION_PASSING if settings.tv_weight else 0
    during += vector // 3 if settings.octaves > 1 else 0  # the smaller pictures
    after = sum(_target(settings, width * height))
    after += 0 if way.apart else vector * (_METRIC_PASSING if _has_metric(settings) else _PASSING)
    return kept + max(during, after)


def kept_bytes(settings: TransferSettings, width: int, height: int, way: Way) -> int:
    """What the optimiser keeps, whatever becomes of the passes; apart from it, a point and its gradient are left."""
    if way.apart:
        return 2 * _vector(width * height)
    vectors = _VECTORS + 2 * settings.guard + (settings.averaging > 0) + _METRIC_VECTORS * _has_metric(settings)
    return vectors * _vector(width * height) + way.pairs * _pair_bytes(width * height, way.kept)


def _has_metric(settings: TransferSettings) -> bool:
    return settings.metric != "pixels" and settings.optimizer == "lbfgs"


def _vector(pixels: int) -> int:
    return 3 * ITEM * pixels


def moved_bytes(settings: TransferSettings, stage: Stage, pairs: float) -> float:
    """What the optimiser reads and writes in one step, with so many pairs of a history: both vectors of each twice."""
    vectors = _PASSING + _VECTORS + (_METRIC_PASSING if _has_metric(settings) else 0)
    pixels = stage.width * stage.height
    return 2.0 * vectors * _vector(pixels) + 2 * pairs * _pair_bytes(pixels, settings.history_precision)


def network_bytes(settings: TransferSettings) -> int:
    """What the weights of the layers in use take, transformed for both ways, where there are kernels in C++."""
    layers = _to((*settings.content_layers, *settings.style_layers))[1:]
    return sum(2 * _POINTS * ITEM * each.inputs * each.outputs for each in layers)


def _pair_bytes(pixels: int, kept: str) -> int:
    return 2 * _vector(pixels) // (2 if kept == "bf16" else 1)


def ways(settings: TransferSettings, stage: Stage, tile: int | str = "auto", *, apart: bool = False) -> Iterator[Way]:
    """The ways to compute a scale, the best first: whole; by strips, which costs time; with the optimiser ``apart``,
    which costs more of it, where there is memory beside the device's; with fewer pairs of a history, which costs
    evaluations; and with pairs in bf16 rather than with few, where ``history: auto`` leaves that open."""
    most, kept = settings.pairs(stage.steps), settings.history_precision
    rows = _rows(stage, tile)
    for each in rows:
        yield Way(each, most, kept)
    if apart and most > 0:
        yield from (Way(each, most, kept, apart=True) for each in rows)
    low = settings.history == "auto" and kept == "fp32" and most > 0
    sparing = min(rows, key=lambda each: stage_bytes(settings, stage.width, stage.height, Way(each, 0)))
    yield from (Way(sparing, pairs, kept) for pairs in _fewer(most, FEW_PAIRS if low else LEAST_PAIRS))
    if low:
        yield from (Way(sparing, pairs, "bf16") for pairs in (most, *_fewer(most, LEAST_PAIRS)))


def _rows(stage: Stage, tile: int | str) -> list[int | None]:
    """How many rows may be computed at a time; None: all."""
    if tile == "off":
        return [None]
    if isinstance(tile, int):
        return [tile if tile < stage.height else None]
    return [None, *(each for each in range(MOST_ROWS, 0, -ROWS) if each < stage.height)]


def _fewer(pairs: int, least: int) -> Iterator[int]:
    while pairs > least:
        pairs = max(least, pairs * 9 // 10)
        yield pairs


def way_that_fits(
    settings: TransferSettings, stage: Stage, room: float, tile: int | str = "auto", *, apart: bool = False
) -> tuple[Way, bool]:
    """The best way that takes no more than so many bytes, and true; or the one that takes least, and false."""
    least, bytes_of_least = Way(None, 0), math.inf
    for way in ways(settings, stage, tile, apart=apart):
        takes = stage_bytes(settings, stage.width, stage.height, way)
        if takes <= room:
            return way, True
        if takes < bytes_of_least:
            least, bytes_of_least = way, takes
    return least, False


def least_bytes(settings: TransferSettings, stage: Stage, tile: int | str = "auto", *, apart: bool = False) -> int:
    """What a scale takes at least."""
    way, _ = way_that_fits(settings, stage, 0, tile, apart=apart)
    return stage_bytes(settings, stage.width, stage.height, way)


def fewer_rows(height: int, rows: int | None) -> int | None:
    """How many rows to compute at a time when so many (None: all) were too many; None: it cannot be fewer."""
    fewer = (height if rows is None else rows) // FEWER // ROWS * ROWS
    return min(fewer, MOST_ROWS) if fewer >= ROWS else None


def thrifty(settings: TransferSettings) -> TransferSettings | None:
    """Settings that give nearly the same picture with less memory; None where there is nothing left to save."""
    history = settings.pairs(settings.steps)
    return replace(settings, history=max(LEAST_PAIRS, history // FEWER)) if history > LEAST_PAIRS else None
