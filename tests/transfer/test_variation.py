"""Total variation by hand, and some rows after others."""

from __future__ import annotations

import pytest
import torch

from nst_batch.transfer import variation
from nst_batch.transfer.variation import total_variation


def test_total_variation_is_the_sum_of_absolute_differences_or_the_mean_of_squares() -> None:
    step = torch.zeros(1, 1, 4, 5)
    step[..., 2:] = 1  # one edge, 4 pixels high
    assert total_variation(step, "l1").item() == pytest.approx(4)
    assert total_variation(step.mT.contiguous(), "l1").item() == pytest.approx(4)
    straight, diagonal = 4 / 20 / 3, 2 * 5 / 30 / 12  # diagonals: a frame of replicated pixels makes 5 x 6 places
    assert total_variation(step, "l2").item() == pytest.approx(2 * (straight + diagonal))
    assert total_variation(torch.full((1, 3, 6, 6), 0.3), "l2").item() == 0
    batch = torch.cat([step, torch.zeros_like(step)])
    assert total_variation(batch, "l1").tolist() == pytest.approx([4, 0])


@pytest.mark.parametrize("kind", ["l1", "l2"])
@pytest.mark.parametrize("at_once", [1, 40, 100, 13 * 20 - 1])
def test_by_rows_it_is_the_same(kind: str, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.rand(2, 3, 13, 20, dtype=torch.float64, requires_grad=True)
    weights = torch.tensor([1.0, 3.0], dtype=torch.float64)
    whole = total_variation(image, kind)
    (expected,) = torch.autograd.grad((weights * whole).sum(), image)
    monkeypatch.setattr(variation, "AT_ONCE", at_once)
    found = total_variation(image, kind)
    (gradient,) = torch.autograd.grad((weights * found).sum(), image)
    torch.testing.assert_close(found, whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(total_variation(image, kind), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["l1", "l2"])
def test_its_gradient_is_that_of_its_values(kind: str) -> None:
    image = torch.rand(1, 1, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: total_variation(x, kind), image)
