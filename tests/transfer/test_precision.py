"""What a precision comes to on a device, and that it is only in force inside."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from nst_batch.pipeline_file.presets import PRESETS
from nst_batch.settings import TransferSettings
from nst_batch.transfer.precision import EXACT, ROUNDED, arithmetic, precision_for

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def tf32() -> object:
    newer = getattr(torch.backends.cudnn, "conv", None)
    return newer.fp32_precision if newer else torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("preset", PRESETS)
def test_auto_is_float32_on_a_cpu(preset: str) -> None:
    assert precision_for(PRESETS[preset], CPU) == EXACT


def test_auto_is_low_on_a_gpu_where_steps_are_guarded() -> None:
    assert precision_for(TransferSettings(), GPU).features == torch.float16
    assert precision_for(PRESETS["pytorch-tutorial-fast"], GPU).features == torch.float16
    assert precision_for(PRESETS["pytorch-tutorial"], GPU) == ROUNDED
    adam = dataclasses.replace(PRESETS["pytorch-tutorial"], optimizer="adam")
    assert precision_for(adam, GPU).features == torch.float16


@pytest.mark.parametrize("word", ["fp32", "tf32", "fp16", "bf16", "fp64"])
def test_a_word_is_taken_at_its_word(word: str) -> None:
    settings = TransferSettings(precision=word)  # type: ignore[arg-type]
    found = precision_for(settings, GPU)
    assert found == precision_for(settings, CPU) and found.word == word
    features = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp64": torch.float64}
    assert found.features == features.get(word, torch.float32) and found.tf32 == (word == "tf32")
    assert (found.picture == torch.float64) == (word == "fp64")


@pytest.mark.parametrize("wanted", [False, True])
def test_convolutions_are_rounded_only_inside(wanted: bool) -> None:
    before = tf32()
    with arithmetic(dataclasses.replace(EXACT, tf32=wanted)):
        assert tf32() in (("tf32", True) if wanted else ("ieee", False))
    assert tf32() == before


def test_matrix_products_of_the_optimiser_are_never_rounded() -> None:
    with arithmetic(ROUNDED):
        assert torch.get_float32_matmul_precision() == "highest"
