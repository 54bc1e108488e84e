"""Pixels as tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nst_batch.transfer.images import Decoded
from nst_batch.transfer.tensors import alpha_tensor, to_tensor
from tests.transfer.colors import halves, quadrants


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pixels_are_exact_when_the_size_fits(dtype: type[np.uint8] | type[np.uint16]) -> None:
    full = np.iinfo(dtype).max
    values = np.random.default_rng(0).integers(0, full + 1, (20, 30, 3), dtype=dtype)
    tensor = to_tensor(Decoded(values), 30, 20)
    assert tensor.shape == (1, 3, 20, 30) and tensor.dtype == torch.float32 and tensor.is_contiguous()
    np.testing.assert_array_equal((tensor[0].double() * full).round().permute(1, 2, 0).numpy(), values)


def test_both_depths_are_resized_alike() -> None:
    shallow, deep = (to_tensor(Decoded(quadrants(dtype)), 21, 17) for dtype in ("uint8", "uint16"))
    torch.testing.assert_close(shallow, deep, atol=1.5 / 255, rtol=0)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_crop_keeps_proportions_and_the_middle(dtype: str) -> None:
    values = np.zeros((40, 100, 3), np.uint8 if dtype == "uint8" else np.uint16)
    values[:, 30:70] = np.iinfo(values.dtype).max
    assert to_tensor(Decoded(values), 20, 20, crop=True).min() > 0.9
    assert to_tensor(Decoded(values), 20, 20).min() == 0
    assert to_tensor(Decoded(values.swapaxes(0, 1)), 20, 20, crop=True).min() > 0.9


def test_alpha_is_resized_with_the_picture() -> None:
    found = Decoded(quadrants(), halves(255, "uint8")[..., 0])
    alpha = alpha_tensor(found, 24, 16)
    assert alpha is not None and alpha.shape == (1, 1, 16, 24)
    assert alpha[0, 0, 5, 2] == 1 and alpha[0, 0, 5, 21] == pytest.approx(127 / 255)
    assert alpha_tensor(Decoded(quadrants()), 24, 16) is None
