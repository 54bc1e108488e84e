"""In what precision to compute, and with which of a GPU's shortcuts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from nst_batch.settings import TransferSettings


@dataclass(frozen=True)
class Precision:
    """``word``: as the settings have it; ``picture``: of pixels, losses and the optimiser; ``features``: of VGG-19;
    ``tf32``: whether a GPU may round what convolutions multiply to 10 bits."""

    word: str
    picture: torch.dtype
    features: torch.dtype
    tf32: bool = False


EXACT = Precision("fp32", torch.float32, torch.float32)
"""What losses are reported in."""

ROUNDED = Precision("tf32", torch.float32, torch.float32, tf32=True)
"""Float32 as GPUs are fast at it."""

_ALL = (
    EXACT,
    ROUNDED,
    Precision("fp16", torch.float32, torch.float16),
    Precision("bf16", torch.float32, torch.bfloat16),
    Precision("fp64", torch.float64, torch.float64),
)
_WORDS = {each.word: each for each in _ALL}


def precision_for(settings: TransferSettings, device: torch.device) -> Precision:
    """What ``settings.precision`` comes to on a device.

    ``auto`` is float32 on CPUs, whose kernels are as fast in it. On GPUs it is float16, but for an L-BFGS without
    guard, which turns a difference in the last digit into another picture: that gets tf32. Features of Caffe's weights
    are kept in float16's range by ``passes.CAFFE_UNIT``.

    Why not bfloat16, which has the range: in its 8 bits, features of even regions are all rounded the same way, so that
    Gram matrices are off by up to 0.4 %, where a picture ends at 1 %.
    """
    if settings.precision != "auto":
        return _WORDS[settings.precision]
    if device.type != "cuda":
        return EXACT
    steady = settings.guard or settings.optimizer == "adam"
    return _WORDS["fp16" if steady else "tf32"]


@contextlib.contextmanager
def arithmetic(precision: Precision) -> Iterator[None]:
    """Convolutions of GPUs in tf32 or not, inside; matrix products never, since L-BFGS is made of them."""
    newer = getattr(torch.backends.cudnn, "conv", None)  # torch 2.9: one setting for each kind of operator
    place, name = (newer, "fp32_precision") if newer else (torch.backends.cudnn, "allow_tf32")
    before = getattr(place, name)
    setattr(place, name, ("tf32" if precision.tf32 else "ieee") if newer else precision.tf32)
    try:
        yield
    finally:
        setattr(place, name, before)
