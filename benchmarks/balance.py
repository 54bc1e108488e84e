"""How evenly a batch is stylised: ``balance: auto`` beside one fixed weight, over every pair of two folders.

    python -m benchmarks.balance CONTENTS STYLES [--size 192] [--steps 150] [--strength 0.5] [--fixed 1.2e5]

L/V is the style loss of a result over that of the style itself seen at 0.7 of its size. The fall is (Lc - L)/(Lc - V),
where Lc is the style loss of the content picture: 0 is bare, 1 as near to the style as its own smaller copy.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path

from nst_batch.pipeline_file.inputs import find_pictures
from nst_batch.settings import TransferSettings
from nst_batch.sizes import stages
from nst_batch.transfer.cache import TensorCache
from nst_batch.transfer.losses import Objective
from nst_batch.transfer.masks import Layout, Part
from nst_batch.transfer.pictures import Pictures, StylePart, picture_of
from nst_batch.transfer.precision import EXACT
from nst_batch.transfer.stylize import Stylizer
from nst_batch.transfer.targets import TargetMaker

WHOLE = Layout((), ((Part(0, 1.0, None),),))


def style_losses(stylizer: Stylizer, content: Path, style: Path, settings: TransferSettings) -> tuple[float, ...]:
    """Of the result, of the content picture, and of the smaller style; unweighted."""
    result = stylizer.transfer(picture_of(content), picture_of(style), settings, seed=0)
    measured = dataclasses.replace(settings, balance="auto", style_weight=1.0)  # with auto, the variation is measured
    pictures = Pictures(picture_of(content), (StylePart(picture_of(style)),), measured, TensorCache())
    stage = stages(*pictures.decoded(pictures.content).size, measured)[-1]
    passes = stylizer.networks.passes(measured, EXACT)
    objective = Objective(TargetMaker(passes, measured, TensorCache()).targets(pictures, WHOLE, stage), measured)
    ours = objective.style_at(passes, result.image)
    return ours, objective.style_at(passes, pictures.content_at(stage)), sum(objective.targets.variation.values())


def report(name: str, losses: list[tuple[float, ...]]) -> None:
    """One line: smallest, largest, and their ratio, of both measures."""
    shares = [ours / variation for ours, _, variation in losses]
    falls = [(bare - ours) / (bare - variation) for ours, bare, variation in losses]
    mean = math.exp(sum(map(math.log, shares)) / len(shares))
    print(
        f"{name:24} L/V {mean:.2f}: {min(shares):.2f} to {max(shares):.2f}, x{max(shares) / min(shares):.2f}; "
        f"fall {min(falls):.3f} to {max(falls):.3f}, x{max(falls) / min(falls):.3f}"
    )


def main() -> None:
    """Measure both, pair by pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contents")
    parser.add_argument("styles")
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--strength", type=float, default=0.5)
    parser.add_argument("--fixed", type=float, default=1.2e5)
    options = parser.parse_args()
    auto = TransferSettings(size=options.size, steps=options.steps, strength=options.strength)
    fixed = dataclasses.replace(auto, balance="none", style_weight=options.fixed)
    pairs = [
        (content, style)
        for content in find_pictures(options.contents, Path())
        for style in find_pictures(options.styles, Path())
    ]
    stylizer = Stylizer()
    for name, settings in ((f"strength {options.strength:g}", auto), (f"style_weight {options.fixed:g}", fixed)):
        report(name, [style_losses(stylizer, Path(content), Path(style), settings) for content, style in pairs])


if __name__ == "__main__":
    main()
