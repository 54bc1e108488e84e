"""The VGG-19 that pictures are compared with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from nst_batch.doctor.findings import Finding
from nst_batch.errors import WeightsError
from nst_batch.errors import in_words as error_in_words
from nst_batch.memory import in_words
from nst_batch.pipeline_file.inputs import sha256_of
from nst_batch.transfer import weights as vgg

if TYPE_CHECKING:
    from nst_batch.pipeline_file.spec import WeightsChoice

IMAGENET_MIB = 548.051
"""The file's size, as torchvision has it (a test compares)."""


def weights(choice: WeightsChoice = "auto", *, deep: bool = False) -> Finding:
    """Which weights a run would use.

    Args:
        choice: ``weights`` of the pipeline file.
        deep: digest the ImageNet weights' bytes, too, not only count them.
    """
    if choice == "random":
        return Finding("weights", "ok", "embedded, as the pipeline file asks")
    if not isinstance(choice, str):
        return Finding("weights", "ok", f"{choice.path}, as the pipeline file asks")
    try:
        wrong = _wrong(vgg.imagenet_path(), deep=deep)
    except OSError as error:
        wrong = error_in_words(error)
    if wrong is None:
        return _missing(strict=choice == "imagenet")
    if wrong:
        return Finding("weights", "problem", wrong, f"delete it, then:\n{_remedy()}")
    how = "checksum verified" if deep else "size as it should be; --deep verifies its checksum"
    return Finding("weights", "ok", f"ImageNet, {how} ({vgg.imagenet_path()})")


def _wrong(path: Path, *, deep: bool) -> str | None:
    """What is wrong with the file of ImageNet weights; empty: nothing; None: there is none."""
    if not path.is_file():
        return None
    if not os.access(path, os.R_OK):
        return f"{path}: cannot be read"
    size = path.stat().st_size
    if abs(size / (1 << 20) - IMAGENET_MIB) > 0.001:
        return f"{path}: {in_words(size)}, not {in_words(round(IMAGENET_MIB * (1 << 20)))}: not whole, or another file"
    try:
        if deep:
            vgg.imagenet_weights(sha256_of)
    except WeightsError as error:
        return str(error)
    return ""


def _missing(*, strict: bool) -> Finding:
    if strict:
        told = f"no ImageNet VGG-19 at {vgg.imagenet_path()}, and the pipeline file asks for it"
        return Finding("weights", "problem", told, _remedy())
    told = "no ImageNet VGG-19: a run downloads it, or uses the embedded one, which knows no objects"
    return Finding("weights", "warning", told, _remedy())


def _remedy() -> str:
    return (
        "nst-batch weights fetch (548 MB), where there is a network\n"
        f"or copy {vgg.IMAGENET_FILE} into {vgg.hub_folder()}"
    )
