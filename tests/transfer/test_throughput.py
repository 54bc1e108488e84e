"""How many pictures at once: by what was measured."""

from __future__ import annotations

import pytest
import torch

from nst_batch.settings import TransferSettings
from nst_batch.transfer import throughput
from nst_batch.transfer.precision import EXACT
from nst_batch.transfer.stylize import Stylizer
from nst_batch.transfer.throughput import best_batch, smallest_good


def test_the_fewest_that_are_nearly_as_fast_as_any() -> None:
    assert smallest_good({1: 1.0, 2: 0.55, 4: 0.4, 8: 0.38, 16: 0.37}) == 4
    assert smallest_good({1: 1.0, 2: 1.02, 4: 0.95}) == 1
    assert smallest_good({}) == 1


def test_it_is_measured_by_real_passes(stylizer: Stylizer) -> None:
    passes = stylizer.networks.passes(TransferSettings(), EXACT)
    assert best_batch(passes, ("relu1_1", "conv2_2"), (3, 32, 24), 4) in (1, 2, 4)


def test_what_does_not_fit_is_not_tried_further(stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    def seconds(*arguments: object) -> float:
        images = arguments[2]
        assert isinstance(images, torch.Tensor)
        if len(images) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 1.0  # for any number: the more at once, the better

    monkeypatch.setattr(throughput, "_seconds", seconds)
    passes = stylizer.networks.passes(TransferSettings(), EXACT)
    assert best_batch(passes, ("relu1_1",), (3, 32, 32), 16) == 4
