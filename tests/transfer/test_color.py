"""Colours against numpy's statistics and ITU-R BT.601's own matrix."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nst_batch.settings import TransferSettings
from nst_batch.transfer import color
from tests.transfer.conftest import pixels

CONTENT, STYLE, RESULT = pixels(48, 40, 1), pixels(30, 60, 2), pixels(48, 40, 3)
YCBCR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])


def settings(**values: Any) -> TransferSettings:
    return dataclasses.replace(TransferSettings(), **values)


def statistics(image: Tensor) -> tuple[Any, Any]:
    flat = image[0].flatten(1).double().numpy()
    return flat.mean(1), np.cov(flat, bias=True)


def ycbcr(image: Tensor) -> Any:
    return np.einsum("ij,jhw->ihw", YCBCR, image[0].double().numpy())


@pytest.mark.parametrize("transform", ["symmetric", "pca", "cholesky"])
def test_a_match_has_the_others_mean_and_covariance(transform: str) -> None:
    found = color.matched(STYLE, CONTENT, transform)
    assert found.shape == STYLE.shape and found.dtype == STYLE.dtype
    for ours, theirs in zip(statistics(found), statistics(CONTENT), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_the_transforms_differ_and_the_symmetric_one_moves_least() -> None:
    moved = {
        t: (color.matched(STYLE, CONTENT, t) - STYLE).square().mean().item() for t in ("symmetric", "pca", "cholesky")
    }
    assert moved["symmetric"] < min(moved["pca"], moved["cholesky"])


def test_the_style_takes_the_contents_colours_before(  # Gatys 2017: colour matching
) -> None:
    content, style = color.prepared(CONTENT, STYLE, settings(color="content", color_method="match"))
    assert content is CONTENT
    np.testing.assert_allclose(statistics(style)[0], statistics(CONTENT)[0], atol=1e-4)


def test_the_content_takes_the_styles_colours_before() -> None:
    content, style = color.prepared(CONTENT, STYLE, settings(color="style_match"))
    assert style is STYLE
    np.testing.assert_allclose(statistics(content)[1], statistics(STYLE)[1], atol=1e-4)
    assert color.finished(RESULT, CONTENT, settings(color="style_match")) is RESULT


def test_nothing_happens_unasked() -> None:
    assert color.prepared(CONTENT, STYLE, settings()) == (CONTENT, STYLE)
    assert color.finished(RESULT, CONTENT, settings()) is RESULT


def test_a_finished_match_has_the_contents_statistics_within_5_percent() -> None:
    found = color.finished(RESULT, CONTENT, settings(color="content", color_method="match"))
    assert 0 <= found.min() <= found.max() <= 1
    mean, covariance = statistics(found)
    wanted_mean, wanted = statistics(CONTENT)
    np.testing.assert_allclose(mean, wanted_mean, rtol=0.05)
    assert np.abs(covariance - wanted).max() < 0.05 * np.abs(wanted).max()


def test_luminance_is_rendered_alone_and_the_chroma_is_the_contents() -> None:
    alone = settings(color="content", color_method="luminance")
    content, style = color.prepared(CONTENT, STYLE, alone)
    assert content.shape == (1, 1, 40, 48) and style.shape == (1, 1, 60, 30)
    assert style.mean().item() == pytest.approx(content.mean().item(), abs=1e-5)
    assert style.std().item() == pytest.approx(content.std().item(), rel=1e-4)
    found = color.finished(color.luminance(RESULT), CONTENT, alone)
    np.testing.assert_allclose(ycbcr(found)[1:], ycbcr(CONTENT)[1:], atol=1e-5)
    assert 0 <= found.min() <= found.max() <= 1
    torch.testing.assert_close(color.seen(found, alone), color.luminance(found))


def test_luminance_is_the_results_where_the_chroma_allows_it() -> None:
    found = color.with_chroma(color.luminance(RESULT), CONTENT)
    ours, wanted = ycbcr(found)[0], ycbcr(RESULT)[0]
    chroma = CONTENT - color.luminance(CONTENT)
    least, most = -chroma.amin(1)[0].numpy(), 1 - chroma.amax(1)[0].numpy()
    np.testing.assert_allclose(ours, np.clip(wanted, least, most), atol=1e-5)
    assert np.isclose(ours, wanted, atol=1e-5).mean() > 0.3


def test_ycbcr_puts_chroma_back_afterwards() -> None:
    afterwards = settings(color="content", color_method="ycbcr")
    assert color.prepared(CONTENT, STYLE, afterwards) == (CONTENT, STYLE)
    found = color.finished(RESULT, CONTENT, afterwards)
    np.testing.assert_allclose(ycbcr(found)[1:], ycbcr(CONTENT)[1:], atol=1e-5)


@pytest.mark.parametrize("transform", ["symmetric", "pca", "cholesky"])
def test_pictures_without_colour_are_no_trouble(transform: str) -> None:
    black = torch.zeros(1, 3, 20, 20)
    for image, other in ((black, CONTENT), (CONTENT, black), (color.luminance(CONTENT).expand(1, 3, 40, 48), STYLE)):
        assert torch.isfinite(color.matched(image, other, transform)).all()
