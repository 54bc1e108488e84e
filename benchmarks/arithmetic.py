"""How many floating-point operations a closure has to make, counted from its definition, and how fast they could go.

Convolutions are counted as they are defined (2 · 9 · inputs · outputs for each position), forward and once more
backward, since weights need no gradient; Gram matrices as 2 · C² for each position, forward, and as much for the
gradient. An algorithm that needs fewer, as Winograd's does, may come out above the rate of matrix products.
"""

from __future__ import annotations

import time

import torch

from benchmarks.plain import Losses

CHANNELS = (3, 64, 64, 128, 128, *[256] * 4, *[512] * 8)
BLOCK = (1, 1, 2, 2, *[3] * 4, *[4] * 4, *[5] * 4)  # of each convolution


def flops(losses: Losses, height: int, width: int) -> float:
    """Of one closure for one picture."""
    total = 0.0
    for conv in range(1, max(*losses.content, *losses.style) + 1):
        positions = (height >> BLOCK[conv - 1] - 1) * (width >> BLOCK[conv - 1] - 1)
        total += 2 * (2 * 9 * CHANNELS[conv - 1] * CHANNELS[conv]) * positions
        if conv in losses.style:
            total += 2 * (2 * CHANNELS[conv] ** 2) * positions
    return total


def matrix_rate(device: torch.device, dtype: torch.dtype, size: int | None = None) -> float:
    """Operations a second of a square matrix product, the best of several."""
    size = size or (8192 if device.type == "cuda" else 2048)
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(8):
        wait(device)
        begun = time.perf_counter()
        left @ right
        wait(device)
        best = min(best, time.perf_counter() - begun)
    return 2 * size**3 / best


def wait(device: torch.device) -> None:
    """Until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
