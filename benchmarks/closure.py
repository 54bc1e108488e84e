"""Seconds for one closure evaluation, ours beside the plain method's, in turn: ``make bench ARGS='--size 512'``.

Prints medians and their ratio. Both have the same losses, pictures, weights, device (the CPU) and threads; only the
allocator's settings are those of our workers for both, so that the ratio is about arithmetic.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.plain import PlainTransfer
from nst_batch.presets import PRESETS
from nst_batch.processes import ALLOCATOR
from nst_batch.transfer.embedded import embedded_state
from nst_batch.transfer.losses import Objective, Targets
from nst_batch.transfer.optimise import closure
from nst_batch.transfer.passes import Passes
from nst_batch.transfer.statistics import moments
from nst_batch.transfer.vgg import VGG19


def smooth_noise(size: int, seed: int) -> torch.Tensor:
    """1x3xSxS in [0, 1], with structure at several scales."""
    random = torch.Generator().manual_seed(seed)
    layers = [
        torch.nn.functional.interpolate(
            torch.rand(1, 3, max(2, size // scale), max(2, size // scale), generator=random),
            size=(size, size),
            mode="bicubic",
        )
        for scale in (4, 16, 64)
    ]
    return torch.stack(layers).mean(0).clamp(0, 1)


def seconds(function: Callable[[], object]) -> float:
    """How long one call takes."""
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def measure(size: int, rounds: int) -> dict[str, float | int]:
    """Medians over ``rounds`` alternating evaluations, after one of each to warm up."""
    state, settings = embedded_state(), dataclasses.replace(PRESETS["pytorch-tutorial"], size=size)
    content, style = smooth_noise(size, 0), smooth_noise(size, 1)
    plain = PlainTransfer(state, content, style, settings.style_weight)
    network = Passes(VGG19(state))
    with torch.no_grad():
        grams = {name: moments(f) for name, f in network(style, settings.style_layers).items()}
        objective = Objective(Targets(network(content, settings.content_layers), grams), settings)
    start = smooth_noise(size, 2)
    plain.image = start.clone().requires_grad_(True)
    value, gradient = closure(network, objective, start)
    expected = plain.closure()
    assert plain.image.grad is not None
    torch.testing.assert_close(torch.tensor(value), torch.tensor(expected), rtol=1e-4, atol=0)
    torch.testing.assert_close(gradient, plain.image.grad, rtol=1e-3, atol=1e-3 * gradient.abs().max().item())
    times: dict[str, list[float]] = {"plain": [], "ours": []}
    for _ in range(rounds):
        times["plain"].append(seconds(plain.closure))
        times["ours"].append(seconds(lambda: closure(network, objective, start)))
    ours, theirs = statistics.median(times["ours"]), statistics.median(times["plain"])
    return {
        "size": size,
        "threads": torch.get_num_threads(),
        "plain_seconds": theirs,
        "ours_seconds": ours,
        "ratio": statistics.median(p / o for p, o in zip(times["plain"], times["ours"], strict=True)),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256, help="pixels of a side")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if not ALLOCATOR.keys() <= os.environ.keys():  # glibc reads them when a process starts
        os.execve(
            sys.executable, [sys.executable, "-m", "benchmarks.closure", *sys.argv[1:]], {**os.environ, **ALLOCATOR}
        )
    found = measure(given.size, given.rounds)
    if given.json:
        print(json.dumps(found))
        return
    print(f"{found['size']} px, {found['threads']} threads, from {Path.cwd().name}")
    print(f"plain {found['plain_seconds']:.3f} s, ours {found['ours_seconds']:.3f} s a closure: {found['ratio']:.2f}x")


if __name__ == "__main__":
    main()
