"""How evenly a batch is stylised: ``balance: auto``, and one fixed weight beside it, over every pair of two folders.

    python -m benchmarks.balance CONTENTS STYLES [--size 192] [--steps 150] [--strength 0.6] [--fixed 1e3]

L/V is the style loss of a result (``balance.relative``) over that of the style itself seen at 0.7 of its size. The fall
is (Lc - L)/(Lc - V), where Lc is the style loss of the content picture: 0 is bare, 1 as near to the style as its own
smaller copy.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path

from nst_batch.pipeline_file.inputs import find_pictures
from nst_batch.settings import TransferSettings
from nst_batch.sizes import stages
from nst_batch.transfer.balance import relative
from nst_batch.transfer.cache import TensorCache
from nst_batch.transfer.losses import Objective
from nst_batch.transfer.masks import Layout, Part
from nst_batch.transfer.pictures import Pictures, StylePart, picture_of
from nst_batch.transfer.precision import EXACT
from nst_batch.transfer.stylize import Stylizer
from nst_batch.transfer.targets import TargetMaker

WHOLE = Layout((), ((Part(0, 1.0, None),),))


def style_losses(stylizer: Stylizer, content: Path, style: Path, settings: TransferSettings) -> tuple[float, ...]:
    """Of the result, of the content picture, and of the smaller style."""
    result = stylizer.transfer(picture_of(content), picture_of(style), settings, seed=0)
    measured = dataclasses.replace(settings, balance="auto")  # with auto, the variation is measured
    pictures = Pictures(picture_of(content), (StylePart(picture_of(style)),), measured, TensorCache())
    stage = stages(*pictures.decoded(pictures.content).size, measured)[-1]
    passes = stylizer.networks.passes(measured, EXACT)
    targets = TargetMaker(passes, measured, TensorCache()).targets(pictures, WHOLE, stage)
    objective = relative(Objective(targets, measured), passes.unit)
    variation = sum(float(objective.style_weights[layer]) * value for layer, value in targets.variation.items())
    ours = objective.style_at(passes, result.image)
    print(f"{content.stem[:24]:24} {style.stem[:24]:24} L/V {ours / variation:.3f}", flush=True)
    return ours, objective.style_at(passes, pictures.content_at(stage)), variation


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
    parser.add_argument("--strength", type=float, default=0.6)
    parser.add_argument("--fixed", type=float, help="a style_weight of Gatys' objective, to compare with")
    options = parser.parse_args()
    auto = TransferSettings(size=options.size, steps=options.steps, strength=options.strength)
    asked = {f"strength {options.strength:g}": auto}
    if options.fixed is not None:
        asked[f"style_weight {options.fixed:g}"] = dataclasses.replace(
            auto, balance="none", style_weight=options.fixed, tv_weight=0.0
        )
    pairs = [
        (content, style)
        for content in find_pictures(options.contents, Path())
        for style in find_pictures(options.styles, Path())
    ]
    stylizer = Stylizer()
    for name, settings in asked.items():
        report(name, [style_losses(stylizer, Path(content), Path(style), settings) for content, style in pairs])


if __name__ == "__main__":
    main()
