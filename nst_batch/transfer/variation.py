"""Total variation: how much neighbouring pixels differ; large pictures some rows after others."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

AT_ONCE = 1 << 20  # pixels: what differences are made of for a moment takes ten times their memory


def total_variation(image: Tensor, kind: str) -> Tensor:
    """Of BxCxHxW, for each picture: B.

    ``l1``: the sum of absolute differences between neighbours in rows and columns (neural-style). ``l2``: twice the
    mean squared differences to 8 neighbours, diagonal ones at a quarter of the weight, edges replicated (Crowson).
    """
    if image.shape[2] * image.shape[3] <= AT_ONCE:
        return _of_pairs(image, image.shape[2], kind, 0, image.shape[2] + 1)
    found: Tensor = _ByRows.apply(image, kind)
    return found


def _of_pairs(rows: Tensor, height: int, kind: str, first: int, end: int) -> Tensor:
    """What some pairs of neighbouring rows of a picture contribute, given these ``rows`` alone.

    Pair p is the rows p - 1 and p; those beyond the edges, in pairs 0 and H, are as the rows at the edges. What is
    within a row counts with the pair below it.
    """
    channels, width = rows.shape[1], rows.shape[3]
    framed = pad(rows, (1, 1, int(first == 0), int(end == height + 1)), mode="replicate")
    inner = framed[..., 1 if first == 0 else 0 :, 1:-1]  # from where rows of the picture begin
    below, here = inner[..., 1:, :], inner[..., :-1, :]
    right = framed[..., 1 if first == 0 else 0 : -1, 2:] - here
    if kind == "l1":
        return (below - here).abs().sum((1, 2, 3)) + right.abs().sum((1, 2, 3))
    falling, rising = framed[..., 1:, 1:] - framed[..., :-1, :-1], framed[..., 1:, :-1] - framed[..., :-1, 1:]
    places, corners = channels * height * width, channels * (height + 1) * (width + 1)
    straight = (right.square().sum((1, 2, 3)) + (below - here).square().sum((1, 2, 3))) / places
    diagonal = (falling.square().sum((1, 2, 3)) + rising.square().sum((1, 2, 3))) / corners
    return 2 * (straight / 3 + diagonal / 12)


class _ByRows(torch.autograd.Function):
    """The sum over all pairs of rows, with its gradient, which is all that is kept."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, kind: str) -> Tensor:
        """Both at once."""
        height, width = image.shape[2:]
        step = max(1, AT_ONCE // width)
        total, gradient = torch.zeros_like(image[:, 0, 0, 0]), torch.zeros_like(image)
        for first in range(0, height + 1, step):
            end = min(first + step, height + 1)
            rows = slice(max(first - 1, 0), min(end, height))
            with torch.enable_grad():
                part = image[:, :, rows].detach().requires_grad_(True)
                found = _of_pairs(part, height, kind, first, end)
                gradient[:, :, rows] += torch.autograd.grad(found.sum(), part)[0]
            total += found.detach()
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor, None]:
        """As it was found."""
        (gradient,) = ctx.saved_tensors
        return above[0].view(-1, 1, 1, 1) * gradient, None
