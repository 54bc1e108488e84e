"""Which weights a run would use."""

from __future__ import annotations

from pathlib import Path

import pytest
from torchvision.models import VGG19_Weights

from nst_batch.doctor import network
from nst_batch.pipeline_file.spec import WeightsFile
from nst_batch.transfer import weights as vgg_weights
from nst_batch.transfer.weights import TORCHVISION_FILE


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torch would keep the file."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder / TORCHVISION_FILE


def make(path: Path, size: int) -> None:
    """A file of that many bytes, which takes none on the disk."""
    with path.open("wb") as file:
        file.truncate(size)


WHOLE = round(network.TORCHVISION_MIB * (1 << 20))


def test_the_size_is_torchvisions() -> None:
    assert VGG19_Weights.IMAGENET1K_V1.meta["_file_size"] == network.TORCHVISION_MIB


def test_missing_weights_of_torchvision_are_a_problem_with_what_to_do(hub: Path) -> None:
    found = network.weights("torchvision")
    assert found.level == "problem" and "weights fetch" in found.remedy and str(hub.parent) in found.remedy


def test_the_original_weights_are_installed() -> None:
    found = network.weights()
    assert found.level == "ok" and "checksum verified" in found.text


def test_another_file_in_place_of_the_original_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "other.bin", 10)
    monkeypatch.setattr(vgg_weights, "vgg19_path", lambda: tmp_path / "other.bin")
    found = network.weights()
    assert found.level == "problem" and "SHA-256" in found.text and "force-reinstall" in found.remedy


def test_weights_that_are_asked_for_need_no_others(hub: Path) -> None:
    assert network.weights("random").level == "ok"
    assert "own.pth" in network.weights(WeightsFile.model_construct(path=Path("own.pth"))).text


def test_a_file_of_that_size_will_do_until_it_is_looked_into(hub: Path) -> None:
    make(hub, WHOLE)
    assert network.weights("torchvision").level == "ok" and "--deep" in network.weights("torchvision").text


def test_half_a_file_is_a_problem(hub: Path) -> None:
    make(hub, WHOLE // 2)
    for deep in (False, True):
        found = network.weights("torchvision", deep=deep)
        assert found.level == "problem" and "not whole" in found.text and "delete it" in found.remedy


@pytest.mark.slow
def test_deep_finds_other_bytes(hub: Path) -> None:
    make(hub, WHOLE)
    found = network.weights("torchvision", deep=True)
    assert found.level == "problem" and "SHA-256" in found.text
