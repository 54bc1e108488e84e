"""``balance: auto``: weights of content and style chosen for each pair, so that one ``strength`` suits all pairs.

Gram matrices differ by orders of magnitude from layer to layer and from style to style, and features from content to
content: a weight that leaves one pair bare over-paints another, and in a plain sum one layer decides (of Gatys' five on
the original weights, relu4_1 makes 96 % of the style term). So each layer's style term is divided by what it is at
features that are all zero (for Gram matrices: mean((G - A)²) / mean(A²), a relative error), and the content term by
what it is at features without any structure. Both are then pure numbers, of about 1 where nothing is alike, on any
weights. What is left to choose, their ratio, is corrected while the picture is rendered: when a round of the
optimisation ends, what remains of the style term tells which way.

How much should remain? A dark photograph and a bright painting are far apart in their mean colours alone: a tenth of
that distance can be a picture hardly touched. A photograph in the painting's colours is near before it begins, and no
picture of it comes as much nearer. So the measure is the style's own: V, the style term of the style picture seen at
0.7 of its size. ``strength`` chooses the share of it that is aimed at.
"""

from __future__ import annotations

import math

import torch

from nst_batch.records import Balance
from nst_batch.settings import TransferSettings
from nst_batch.transfer.losses import Objective, style_loss
from nst_batch.transfer.statistics import Moments

RANGE = 30.0  # how far the ratio may go from where strength puts it: some pairs cannot come nearer than they do
UNFINISHED = 1.4  # what the style term is in the middle of a scale against what it is at its end, about
RESPONSE = 0.9
"""The power of the ratio that the style term falls with, about: at 512 pixels 0.77 for The Scream, 1.2 for a mosaic."""
_LEAST = 1e-12  # a term that is nothing anywhere is left as it is, not divided by zero
_AIM_AT_0, _AIM_AT_1 = 3.0, 0.125  # of V
_RATIO_AT_0, _RATIO_AT_1 = 1.0, 50.0  # which most pairs need for it


def relative(objective: Objective, unit: float = 1.0) -> Objective:
    """``objective`` with each term divided by its reference: style and content are both from 0 to about 1.

    Args:
        objective: with the settings' own weights, of one picture.
        unit: what its content target is given in; see ``Passes.unit``.
    """
    flat = 0.0
    with torch.no_grad():
        for layer, features in objective.targets.content.items():
            variance = unit**2 * features.float().var((2, 3), correction=0).mean().item()
            flat += float(objective.content_weights[layer]) * variance
        energy = {layer: _energy(target, objective.settings) for layer, target in objective.targets.style.items()}
    total = sum(map(float, objective.style_weights.values()))
    content = {layer: weight / max(flat, _LEAST) for layer, weight in objective.content_weights.items()}
    style = {layer: weight / max(energy[layer] * total, _LEAST) for layer, weight in objective.style_weights.items()}
    return objective.weighted(content, style)


def _energy(target: Moments, settings: TransferSettings) -> float:
    """The style term of one layer at features that are all zero; the mean over regions."""
    nothing = Moments(torch.zeros_like(target.second), None if target.mean is None else torch.zeros_like(target.mean))
    energy: float = style_loss(nothing, target, settings).mean().item()
    return energy


class Balancer:
    """The ratio of style to content for one task, corrected after each round of the optimisation.

    Args:
        settings: ``strength`` is used.

    Attributes:
        ratio: weight of style against content.
        remaining: of the style term, as a share of what it is at the content picture.
    """

    def __init__(self, settings: TransferSettings) -> None:
        self._first = _between(_RATIO_AT_0, _RATIO_AT_1, settings.strength)
        self._aim = _between(_AIM_AT_0, _AIM_AT_1, settings.strength)
        self.ratio = self._first
        self.remaining = 1.0
        self._missed_by = 1.0

    def weighted(self, objective: Objective) -> Objective:
        """``objective``, which is ``relative``, with its style ``ratio`` times as heavy."""
        return objective.with_style(self.ratio)

    def measure(self, objective: Objective, bare: float, ours: float, *, finished: bool = True) -> None:
        """Take note of what a round came to.

        Args:
            objective: ``relative``.
            bare: its style term at the content picture.
            ours: its style term at the picture that the round ended with.
            finished: whether the scale ended with it; else the term will fall on.
        """
        bare = max(bare, _LEAST)
        variation = sum(
            float(objective.style_weights[layer]) * value for layer, value in objective.targets.variation.items()
        )
        self.remaining = ours / bare
        aim = min(self._aim * variation * (1.0 if finished else UNFINISHED), bare)
        self._missed_by = max(ours, _LEAST) / max(aim, _LEAST)

    def correct(self) -> None:
        """Change the ratio for the next round by what the last one came to."""
        self.ratio = min(max(self.ratio * self._missed_by ** (1 / RESPONSE), self._first / RANGE), self._first * RANGE)

    def state(self) -> dict[str, float]:
        """All that it knows."""
        return {"ratio": self.ratio, "remaining": self.remaining, "missed_by": self._missed_by}

    def restore(self, state: dict[str, float]) -> None:
        """Know that again."""
        self.ratio, self.remaining, self._missed_by = state["ratio"], state["remaining"], state["missed_by"]

    def record(self) -> Balance:
        """For the manifest."""
        return Balance(self.ratio, self.remaining)


def _between(at_0: float, at_1: float, strength: float) -> float:
    """From the one to the other, by equal factors."""
    return at_0 * math.pow(at_1 / at_0, strength)
