"""Features of a picture at several octaves: the picture itself, at half its size, at a quarter, ….

Snelgrove, "High-Resolution Multi-Scale Neural Texture Synthesis" (SIGGRAPH Asia 2017): shallow layers, which are cheap
and smooth, see strokes of any width in a picture small enough.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor
from torch.nn.functional import conv2d, pad

from nst_batch.settings import TransferSettings
from nst_batch.sizes import SMALLEST_SIDE
from nst_batch.transfer.vgg import VGG19


def octave_name(layer: str, octave: int) -> str:
    """``conv1_1`` for the picture itself, ``conv1_1/2`` for half its size, ``conv1_1/4``, …."""
    return f"{layer}/{2**octave}" if octave else layer


def octaves_of(height: int, width: int, settings: TransferSettings) -> int:
    """How many octaves a picture of this size has: at most ``settings.octaves``, its smallest side never below 16."""
    count = 1
    while count < settings.octaves and min(height, width) >> count >= SMALLEST_SIDE:
        count += 1
    return count


def style_features(network: VGG19, image: Tensor, settings: TransferSettings, *more: str) -> dict[str, Tensor]:
    """Features at the style layers, by ``octave_name``, and at the layers ``more`` of the picture itself.

    Args:
        network: in the precision of ``image``.
        image: BxCxHxW in [0, 1].
        settings: style_layers and octaves are used.
        more: names of further layers.
    """
    count = octaves_of(image.shape[2], image.shape[3], settings)
    found: dict[str, Tensor] = {}
    for octave, picture in enumerate(_halved(image, count)):
        layers = {*settings.style_layers, *(more if octave == 0 else ())}
        features = network(picture, layers)
        found.update((octave_name(layer, octave), value) for layer, value in features.items())
    return found


def _halved(image: Tensor, count: int) -> Iterator[Tensor]:
    """The picture, then each half the size of the last, by the binomial filter 1 3 3 1 in rows and columns.

    Means over 2x2 pixels would let a grid of blocks through, and the optimiser would find it.
    """
    line = image.new_tensor([1.0, 3.0, 3.0, 1.0]) / 8
    kernel = (line[:, None] * line).expand(image.shape[1], 1, 4, 4)
    for octave in range(count):
        if octave:
            framed = pad(image, (1, 1, 1, 1), mode="replicate")
            image = conv2d(framed, kernel, stride=2, groups=image.shape[1])
        yield image
