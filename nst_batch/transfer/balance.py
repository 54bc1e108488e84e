"""``balance: auto``: weights of content and style chosen for each pair, so that one ``strength`` suits all pairs.

A style_weight that leaves one pair bare over-paints another: Gram matrices differ by orders of magnitude from style to
style, and features from content to content. So the style term is divided by what it is at the content picture itself,
and the content term by what it is at features without any structure. Both are then pure numbers from 0 to about 1.
What is left to choose, their ratio, is corrected while the picture is rendered: when a round of the optimisation ends,
what remains of the style term tells which way.

How much should remain? A dark photograph and a bright painting are far apart in their mean colours alone: a tenth of
that distance can be a picture hardly touched. A photograph in the painting's colours is near before it begins, and no
picture of it comes as much nearer. So the measure is the style's own: the style term of the style picture seen at 0.7
of its size. Strength 0.5 aims at about that, 0 at ten times as much, 1 at a sixth.
"""

from __future__ import annotations

import torch

from nst_batch.records import Balance
from nst_batch.settings import TransferSettings
from nst_batch.transfer.losses import Objective

RANGE = 5.0  # how far the ratio may go from where strength puts it: some pairs cannot come nearer than they do
_LEAST = 1e-12  # a term that is nothing anywhere is left as it is, not divided by zero


class Balancer:
    """The ratio of style to content for one task, corrected after each round of the optimisation.

    Args:
        settings: ``strength`` is used.

    Attributes:
        ratio: weight of style against content.
        remaining: of the style term, as a share of what it is at the content picture.
    """

    def __init__(self, settings: TransferSettings) -> None:
        self._first = 10.0 ** (3 * settings.strength)
        self._times = 10.0 ** (1 - 1.8 * settings.strength)
        self.ratio = self._first
        self.remaining = 1.0
        self._missed_by = 1.0

    def weighted(self, objective: Objective, bare: float) -> Objective:
        """``objective`` with each term divided by its reference, and style ``ratio`` times content.

        Args:
            objective: with the settings' own weights.
            bare: its style term at the content picture.
        """
        flat = 0.0
        with torch.no_grad():
            for layer, features in objective.targets.content.items():
                flat += float(objective.content_weights[layer]) * features.var((2, 3), correction=0).mean().item()
        content = {layer: weight / max(flat, _LEAST) for layer, weight in objective.content_weights.items()}
        style = {layer: self.ratio * weight / max(bare, _LEAST) for layer, weight in objective.style_weights.items()}
        return objective.weighted(content, style)

    def measure(self, objective: Objective, bare: float, ours: float) -> None:
        """Take note of what a round came to.

        Args:
            objective: with the settings' own weights.
            bare: its style term at the content picture.
            ours: its style term at the picture that the round ended with.
        """
        bare = max(bare, _LEAST)
        variation = sum(
            float(objective.style_weights[layer]) * value for layer, value in objective.targets.variation.items()
        )
        self.remaining = ours / bare
        aim = min(self._times * variation, bare)
        self._missed_by = max(ours, _LEAST) / max(aim, _LEAST)

    def correct(self) -> None:
        """Change the ratio for the next round by what the last one came to."""
        self.ratio = min(max(self.ratio * self._missed_by, self._first / RANGE), self._first * RANGE)

    def state(self) -> dict[str, float]:
        """All that it knows."""
        return {"ratio": self.ratio, "remaining": self.remaining, "missed_by": self._missed_by}

    def restore(self, state: dict[str, float]) -> None:
        """Know that again."""
        self.ratio, self.remaining, self._missed_by = state["ratio"], state["remaining"], state["missed_by"]

    def record(self) -> Balance:
        """For the manifest."""
        return Balance(self.ratio, self.remaining)
