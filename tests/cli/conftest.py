"""What tests of whole runs share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import runs


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.save_weights(tmp_path_factory.mktemp("weights") / "vgg.pth")


@pytest.fixture
def pipeline(tmp_path: Path, weights: Path) -> Path:
    """Two contents, two styles, five steps each."""
    runs.make_pictures(tmp_path)
    return runs.write_pipeline(tmp_path, weights)
