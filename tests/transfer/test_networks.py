"""Which passes settings ask for, and that they are made once."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from nst_batch.records import Weights
from nst_batch.settings import TransferSettings
from nst_batch.transfer import networks as module
from nst_batch.transfer.native.library import Built
from nst_batch.transfer.networks import Networks, network_of
from nst_batch.transfer.precision import EXACT, precision_for
from nst_batch.transfer.vgg import Network
from nst_batch.transfer.weights import RANDOM

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks(RANDOM, CPU)


def test_passes_are_made_once_for_a_wiring_and_a_precision(networks: Networks) -> None:
    settings = TransferSettings()
    assert networks.passes(settings, EXACT) is networks.passes(dataclasses.replace(settings, steps=3), EXACT)
    low = precision_for(dataclasses.replace(settings, precision="fp16"), CPU)
    others = [
        networks.passes(settings, low),
        networks.passes(dataclasses.replace(settings, pooling="avg"), EXACT),
        networks.passes(dataclasses.replace(settings, padding="reflect"), EXACT),
    ]
    assert len({id(each) for each in (networks.passes(settings, EXACT), *others)}) == 4
    assert others[0].dtype == torch.float16 and others[0].mean.dtype == torch.float32


def test_the_wiring_follows_settings_and_weights() -> None:
    own = Weights("vgg.pth", "any", "vgg.pth", "caffe")
    assert network_of(TransferSettings(), RANDOM) == Network("max")
    assert network_of(TransferSettings(), own) == Network("max", caffe=True)
    settings = TransferSettings(pooling="avg", pooling_scale=2.0, padding="replicate")
    assert network_of(settings, own) == Network("avg", 2.0, "replicate", caffe=True)


def test_it_says_what_makes_it_slow(networks: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "built", lambda: Built(None, "no C++ compiler"))
    assert "no C++ compiler" in networks.note
    assert Networks(RANDOM, CPU, native=False).note == ""
