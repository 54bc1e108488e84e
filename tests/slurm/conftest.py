from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, install, why_not


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes with two GPUs each, which are none: pictures are rendered on the CPU."""
    reason = why_not() or install()
    if reason:
        pytest.skip(f"no Slurm here: {reason}")
    before = os.environ.get("SLURM_CONF")
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        if before is None:
            del os.environ["SLURM_CONF"]
        else:
            os.environ["SLURM_CONF"] = before


@pytest.fixture
def calm(slurm: Cluster) -> Iterator[Cluster]:
    """The same, with nothing in its queue before and after."""
    slurm.heal()
    yield slurm
    slurm.heal()


@pytest.fixture(scope="session")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.runs import save_weights

    return save_weights(tmp_path_factory.mktemp("weights") / "vgg.pth")
