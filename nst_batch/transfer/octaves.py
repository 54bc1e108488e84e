"""Features of a picture at several octaves: the picture itself, at half its size, at a quarter, ….

Snelgrove, "High-Resolution Multi-Scale Neural Texture Synthesis" (SIGGRAPH Asia 2017): shallow layers, which are cheap
and smooth, see strokes of any width in a picture small enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import Tensor
from torch.nn.functional import conv2d, pad

from nst_batch.settings import TransferSettings
from nst_batch.sizes import SMALLEST_SIDE

Extractor = Callable[[Tensor, Iterable[str]], dict[str, Tensor]]
"""A picture and names of layers to features: ``Passes``, or ``VGG19``."""


def octave_name(layer: str, octave: int) -> str:
    """``conv1_1`` for the picture itself, ``conv1_1/2`` for half its size, ``conv1_1/4``, …."""
    return f"{layer}/{2**octave}" if octave else layer


def octaves_of(height: int, width: int, settings: TransferSettings) -> int:
    """How many octaves a picture of this size has: at most ``settings.octaves``, its smallest side never below 16."""
    count = 1
    while count < settings.octaves and min(height, width) >> count >= SMALLEST_SIDE:
        count += 1
    return count


def octave_pictures(image: Tensor, settings: TransferSettings) -> list[Tensor]:
    """The picture (BxCxHxW), then each half the size of the last, by the binomial filter 1 3 3 1 in rows and columns.

    Means over 2x2 pixels would let a grid of blocks through, and the optimiser would find it.
    """
    pictures = [image]
    line = image.new_tensor([1.0, 3.0, 3.0, 1.0]) / 8
    kernel = (line[:, None] * line).expand(image.shape[1], 1, 4, 4)
    while len(pictures) < octaves_of(image.shape[2], image.shape[3], settings):
        framed = pad(pictures[-1], (1, 1, 1, 1), mode="replicate")
        pictures.append(conv2d(framed, kernel, stride=2, groups=image.shape[1]))
    return pictures


def style_features(network: Extractor, image: Tensor, settings: TransferSettings) -> dict[str, Tensor]:
    """Features at the style layers, by ``octave_name``.

    Args:
        network: in the precision of ``image``.
        image: BxCxHxW in [0, 1].
        settings: style_layers and octaves are used.
    """
    found: dict[str, Tensor] = {}
    for octave, picture in enumerate(octave_pictures(image, settings)):
        features = network(picture, settings.style_layers)
        found.update((octave_name(layer, octave), value) for layer, value in features.items())
    return found
