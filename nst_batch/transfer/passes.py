"""One pass through VGG-19 forward, and one backward, without autograd.

Losses of features are few and their gradients have closed forms (``ops.Pull``), so nothing but features need be kept,
nothing is computed past the last tap, and what torch would do in a dozen sweeps over a feature map is done in two or
three: convolution with its ReLU, pooling with its ReLU, the losses' gradient with what arrives from above.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nst_batch.settings import CONV_LAYERS, VGG19_LAYERS
from nst_batch.transfer.native.library import built
from nst_batch.transfer.native.ops import NativeOps
from nst_batch.transfer.ops import Convolution, Ops, Pull, Relu, TorchOps, gradient_of
from nst_batch.transfer.statistics import Moments, moments
from nst_batch.transfer.vgg import VGG19

CAFFE_UNIT = 256.0
"""What features of Caffe's weights are counted in, in float16, which ends at 65,504.

Photographs give 650 at relu1_1 and 14,700 at relu4_1; the pull of a loss on a layer is a sum over up to 512 channels of
such values, and a start from noise gives more. In units of 256 that is 57 at relu4_1, and 2.5 at relu1_1. A power of
two, so nothing else is rounded: ReLU, convolution and pooling are homogeneous, once biases are divided too.
"""


@dataclass(frozen=True)
class Trace:
    """What a forward pass leaves for the backward pass.

    ``features`` by tap. ``stored`` are the convolutions' outputs, after the ReLU (``rectified``) or before it;
    ``inputs`` what each was made of. ``picture`` and ``framed`` are what conv1_1 saw, attached to a graph of their own.
    """

    features: dict[str, Tensor]
    stored: list[Tensor]
    inputs: list[Tensor]
    rectified: list[bool]
    picture: Tensor
    framed: Tensor


class Passes:
    """VGG-19's features, and gradients of pictures.

    Args:
        vgg: weights and wiring; its device is where passes are made.
        dtype: precision of features: its own, bfloat16 or float16.
        native: use the kernels in C++ where they can be had: on a CPU, in float32.
    """

    def __init__(self, vgg: VGG19, dtype: torch.dtype | None = None, *, native: bool = True) -> None:
        self._vgg = vgg
        dtype = dtype or vgg.mean.dtype
        self.unit = CAFFE_UNIT if vgg.network.caffe and dtype == torch.float16 else 1.0
        """Features are computed in multiples of it; moments and distances are given in multiples of 1."""
        convolutions = _in_units(vgg.convolutions, self.unit)
        kernels = built().kernels if native and vgg.mean.is_cpu and dtype == torch.float32 else None
        self.ops: Ops = (
            NativeOps(convolutions, vgg.network, kernels) if kernels else TorchOps(convolutions, vgg.network, dtype)
        )
        self.network = vgg.network
        self.dtype = dtype
        self.mean = vgg.mean
        """What pictures are compared with for device and precision."""
        self.strip: int | None = None
        """Rows of a picture to be seen at a time; None: all. See ``seeing``."""
        self.others: tuple[Passes, ...] = ()
        """The same on other devices, to see a picture together with; see ``bands``."""

    def in_strips(self, rows: int | None) -> Passes:
        """The same passes, of so many rows at a time."""
        other = copy.copy(self)
        other.strip, other.others = rows, tuple(each.in_strips(rows) for each in self.others)
        return other

    def across(self, others: Iterable[Passes]) -> Passes:
        """The same passes, each together with those of other devices."""
        other = copy.copy(self)
        other.others = tuple(others)
        return other

    def prepare(self, taps: Iterable[str]) -> None:
        """Make what passes to these taps and back need of the network, so that it can be told what memory is left."""
        for each in (self, *self.others):
            each.ops.prepare(depth_of(taps))

    def framed(self, image: Tensor, first: int = 0, end: int | None = None) -> Tensor:
        """What conv1_1 sees: ``VGG19.framed``."""
        return self._vgg.framed(image, first, end)

    def channels(self, index: int) -> int:
        """Of a convolution's output, by its place."""
        return len(self._vgg.convolutions[index][1])

    def __call__(self, image: Tensor, taps: Iterable[str]) -> dict[str, Tensor]:
        """Features alone: as ``VGG19``, but for the precision, and never attached to a graph."""
        return self.forward(image, taps).features

    @torch.no_grad()
    def forward(self, image: Tensor, taps: Iterable[str]) -> Trace:
        """Features of ``image``.

        Args:
            image: Bx3xHxW RGB in [0, 1], or Bx1xHxW grey; H and W at least 16 for taps in block 5.
            taps: names from ``VGG19_LAYERS``.

        Raises:
            ValueError: a tap has no such name.
        """
        wanted = set(taps)
        if unknown := wanted.difference(VGG19_LAYERS):
            raise ValueError(f"no such layers: {sorted(unknown)}")
        picture = image.detach()
        with torch.enable_grad():
            framed = self.framed(picture.requires_grad_(True))
        trace = Trace({}, [], [], [], picture, framed)
        for index in range(depth_of(wanted)):
            self._convolve(trace, index, wanted)
        return trace

    def _convolve(self, trace: Trace, index: int, wanted: set[str]) -> None:
        """One convolution; its ReLU is applied at once if nobody wants to see what was before."""
        name = CONV_LAYERS[index]
        rectify = name not in wanted
        if index == 0:
            x = trace.framed
            found = self.ops.first(x)
            found = found.relu_() if rectify else found
        elif begins_block(index):
            x = self.ops.pool(trace.stored[-1])
            found = self.ops.conv(index, x, Relu(after=rectify))
        else:
            x = trace.stored[-1]
            found = self.ops.conv(index, x, Relu(not trace.rectified[-1], rectify))
        trace.inputs.append(x)
        trace.stored.append(found)
        trace.rectified.append(rectify)
        if name in wanted:
            trace.features[name] = found
        if after(name) in wanted:
            trace.features[after(name)] = found if rectify else found.relu()

    @torch.no_grad()
    def backward(self, trace: Trace, pulls: Mapping[str, Pull]) -> Tensor:
        """The gradient of the picture: what losses ask of the features, brought down to where the picture is.

        Args:
            trace: of the forward pass; may be used once, since its features are written to.
            pulls: by tap, each one of the forward pass's.

        Returns:
            As the picture, Bx3xHxW or Bx1xHxW.
        """
        pulls, boost = self.boosted(pulls)
        g: Tensor | None = None
        for index in reversed(range(depth_of(pulls))):
            name = CONV_LAYERS[index]
            if after(name) in pulls:
                g = self.ops.pull(trace.features[after(name)], pulls[after(name)], g, gate=True)
            if name in pulls:
                g = self.ops.pull(trace.features[name], pulls[name], g, gate=False)
            if g is None:
                raise AssertionError("the deepest layer has a pull")
            if index == 0:
                break
            gate = after(CONV_LAYERS[index - 1]) not in pulls  # else it waits for what that layer's losses ask
            if begins_block(index):
                g = self.ops.conv_back(index, g, trace.inputs[index], gate=False)
                g = self.ops.pool_back(g, trace.stored[index - 1], gate)
            else:
                g = self.ops.conv_back(index, g, trace.stored[index - 1], gate)
        if g is None:
            return torch.zeros_like(trace.picture)
        framed = self.ops.first_back(g)
        if boost is not None:
            framed = framed / boost.view(-1, 1, 1, 1)
        return gradient_of(trace.picture, [trace.framed], [framed])

    def boosted(self, pulls: Mapping[str, Pull]) -> tuple[Mapping[str, Pull], Tensor | None]:
        """Pulls as they are applied to features, and by what (B) the gradient is to be divided in the end.

        In float16 the pulls on each picture are brought near 1, since gradients of pixels would be lost at its lower
        end: they grow or shrink by a few powers of two from layer to layer, and float16 has thirty.
        """
        if self.dtype != torch.float16:
            return pulls, None
        pulls = {tap: pull.in_units(self.unit) for tap, pull in pulls.items()}
        boost = _boost_of(pulls)
        if boost is not None:
            pulls = {tap: pull.times(boost) for tap, pull in pulls.items()}
        return pulls, boost

    def moments(self, features: Tensor, guides: Tensor | None, *, means: bool) -> Moments:
        """Of features (BxCxhxw), as ``statistics.moments``; in float32 at least."""
        return moments(features, guides, means=means, gram=self.ops.gram).in_units(self.unit)

    def distance(self, features: Tensor, target: Tensor) -> Tensor:
        """mean((F - P)²) for each picture, in float32 at least."""
        return self.unit**2 * self.ops.distance(features, target) / features[0].numel()


def _in_units(convolutions: Sequence[Convolution], unit: float) -> list[Convolution]:
    """Convolutions whose features are so many times smaller."""
    (weight, bias), *rest = convolutions
    return [(weight / unit, bias / unit), *((weight, bias / unit) for weight, bias in rest)]


def _boost_of(pulls: Mapping[str, Pull]) -> Tensor | None:
    """What brings the pulls on each picture near 1, B; None where nothing is asked."""
    sizes = [each.reshape(len(each), -1).abs().amax(1) for pull in pulls.values() for each in pull.factors()]
    if not sizes:
        return None
    largest = torch.stack(sizes).amax(0)
    return torch.where(largest > 0, 1 / largest, 1)


def after(name: str) -> str:
    """The ReLU after a convolution."""
    return name.replace("conv", "relu")


def begins_block(index: int) -> bool:
    """Whether a convolution, by its place, comes after a pooling (or is the first)."""
    return CONV_LAYERS[index].endswith("_1")


def depth_of(taps: Iterable[str]) -> int:
    """How many convolutions lead to the last of these taps."""
    return max((1 + CONV_LAYERS.index(tap.replace("relu", "conv")) for tap in taps), default=0)
