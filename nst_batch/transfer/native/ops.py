"""The operators of a pass through VGG-19 by the kernels in C++: float32 on a CPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nst_batch.transfer.native.library import Kernels
from nst_batch.transfer.ops import Convolution, Pull, Relu, Rows, in_place, nhwc, pull_in_general
from nst_batch.transfer.vgg import Network

TILES = 36  # of 4x4 results at a time: transformed, 64 channels of them take 330 kB, which the second cache holds
GROUP = 96  # positions summed at a time by ``distance``


class NativeOps:
    """As ``TorchOps``; see there."""

    def __init__(self, convolutions: Sequence[Convolution], network: Network, kernels: Kernels) -> None:
        self.dtype = torch.float32
        self._convolutions = convolutions
        self._network = network
        self._kernels = kernels
        self._transformed: dict[tuple[int, bool], Tensor] = {}

    def prepare(self, depth: int) -> None:
        """Transform the weights of so many convolutions."""
        for index in range(1, depth):
            for back in (False, True):
                self._kernel(index, back=back)

    def first(self, framed: Tensor) -> Tensor:
        """conv1_1."""
        weight, bias = self._convolutions[0]
        features: Tensor = torch.conv2d(nhwc(framed), nhwc(weight), bias)
        return nhwc(features)

    def first_back(self, g: Tensor) -> Tensor:
        """The gradient of conv1_1's framed input."""
        batch, channels, height, width = g.shape
        kernel = self._convolutions[0][0].permute(2, 3, 1, 0).contiguous()
        out = _empty(batch, 3, height + 2, width + 2)
        self._kernels.run("to_picture", nhwc(g), kernel, out, batch, height, width, channels)
        return out

    def conv(self, index: int, x: Tensor, relu: Relu, rows: Rows | None = None, out: Tensor | None = None) -> Tensor:
        """A convolution other than the first."""
        weight, bias = self._convolutions[index]
        out = _room(out, len(x), len(weight), rows.count if rows else x.shape[2], x.shape[3])
        return self._convolve(self._kernel(index, back=False), x, bias, None, rows, out, relu)

    def conv_back(
        self, index: int, g: Tensor, x: Tensor, gate: bool, rows: Rows | None = None, out: Tensor | None = None
    ) -> Tensor:
        """The gradient of ``conv``'s input, which was ``x``."""
        return self._convolve(self._kernel(index, back=True), g, None, x if gate else None, rows, _room(out, *x.shape))

    def _convolve(
        self,
        kernel: Tensor,
        x: Tensor,
        bias: Tensor | None,
        gate: Tensor | None,
        rows: Rows | None,
        out: Tensor,
        relu: Relu = Relu(),  # noqa: B008 - frozen
    ) -> Tensor:
        batch, inputs, height, width = x.shape
        rows = rows or Rows(0, height)
        threads = torch.get_num_threads()
        tiles = batch * -(-rows.count // 4) * -(-width // 4)
        at_once = max(1, min(TILES, -(-tiles // threads)))  # every thread gets some
        space = self._kernels.workspace(inputs, at_once, threads)
        found, gate = nhwc(out), None if gate is None else nhwc(gate)
        self._kernels.run(
            "convolve", nhwc(x), kernel, bias, gate, found, batch, height, width, inputs, out.shape[1],
            rows.first, rows.count, *relu, at_once, space,
        )  # fmt: skip
        return in_place(found, out)

    def _kernel(self, index: int, *, back: bool) -> Tensor:
        """Weights transformed, and laid out as ``convolve`` reads them; backwards: mirrored, ends exchanged."""
        if (index, back) not in self._transformed:
            weight = self._convolutions[index][0].contiguous()
            inputs, outputs = weight.shape[:2] if back else weight.shape[1::-1]
            found = torch.empty(outputs // self._kernels.chunk, 36, inputs, self._kernels.chunk)
            self._kernels.run("transform", weight, found, inputs, outputs, back)
            self._transformed[index, back] = found
        return self._transformed[index, back]

    def pool(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """2x2 pooling of relu(x)."""
        batch, channels, height, width = x.shape
        out = _room(out, batch, channels, height // 2, width // 2)
        found = nhwc(out)
        self._kernels.run("pool", nhwc(x), found, batch, height, width, channels, *self._pooling())
        return in_place(found, out)

    def pool_back(self, g: Tensor, x: Tensor, gate: bool, out: Tensor | None = None) -> Tensor:
        """The gradient of ``pool``'s x (gate), or of relu(x)."""
        batch, channels, height, width = x.shape
        out = _room(out, *x.shape)
        found = nhwc(out)
        self._kernels.run("unpool", nhwc(g), nhwc(x), found, batch, height, width, channels, *self._pooling(), gate)
        return in_place(found, out)

    def _pooling(self) -> tuple[int, float]:
        return self._network.pooling == "max", self._network.pooling_scale

    def gram(self, x: Tensor) -> Tensor:
        """Sums over positions of f f'."""
        batch, channels, height, width = x.shape
        parts = torch.empty(batch, self._kernels.parts, channels, channels)
        self._kernels.run("gram", nhwc(x), parts, batch, height * width, channels)
        return parts.sum(1)

    def distance(self, x: Tensor, target: Tensor) -> Tensor:
        """Sums of (x - target)², for each picture."""
        batch, channels, height, width = x.shape
        sums = torch.empty(batch, -(-height * width // GROUP), dtype=torch.float64)
        shared = len(target) == 1
        self._kernels.run("distance", nhwc(x), nhwc(target), sums, batch, height * width, channels, shared)
        return sums.sum(1).float()

    def pull(self, x: Tensor, pull: Pull, out: Tensor | None, gate: bool) -> Tensor:
        """``out`` plus the gradient of losses of the features ``x``, then gated by them."""
        if pull.is_general:
            return pull_in_general(x, pull, out, gate)
        batch, channels, height, width = x.shape
        add, out = out is not None, _empty(*x.shape) if out is None else nhwc(out)
        matrix, target = pull.matrix, pull.target
        if matrix is not None:
            chunks = matrix[:, 0].view(batch, channels, -1, self._kernels.chunk)
            matrix = chunks.transpose(1, 2).contiguous()
        self._kernels.run(
            "pull", nhwc(x), matrix, None if target is None else nhwc(target), pull.scale, out,
            batch, height * width, channels, target is not None and len(target) == 1, gate, add,
        )  # fmt: skip
        return out


def _room(out: Tensor | None, *shape: int) -> Tensor:
    return _empty(*shape) if out is None else out


def _empty(batch: int, channels: int, height: int, width: int) -> Tensor:
    return torch.empty(batch, channels, height, width, memory_format=torch.channels_last)
