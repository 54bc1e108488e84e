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

TORCHVISION_MIB = 548.051
"""The file's size, as torchvision has it (a test compares)."""


def weights(choice: WeightsChoice = "vgg19", *, deep: bool = False) -> Finding:
    """Which weights a run would use.

    Args:
        choice: ``weights`` of the pipeline file.
        deep: digest the bytes of torchvision's weights, too, not only count them.
    """
    if choice == "random":
        return Finding("weights", "ok", "random: untrained, as the pipeline file asks")
    if not isinstance(choice, str):
        return Finding("weights", "ok", f"{choice.path}, as the pipeline file asks")
    if choice == "vgg19":
        return _vgg19()
    path = vgg.torchvision_path()
    try:
        wrong = _wrong(path, deep=deep)
    except OSError as error:
        wrong = error_in_words(error)
    if wrong is None:
        return Finding(
            "weights", "problem", f"no VGG-19 of torchvision at {path}, and the pipeline file asks for it", _remedy()
        )
    if wrong:
        return Finding("weights", "problem", wrong, f"delete it, then:\n{_remedy()}")
    how = "checksum verified" if deep else "size as it should be; --deep verifies its checksum"
    return Finding("weights", "ok", f"torchvision, {how} ({path})")


def _vgg19() -> Finding:
    try:
        vgg.checked_vgg19(sha256_of)
        return Finding("weights", "ok", f"vgg19, checksum verified ({vgg.vgg19_path()})")
    except WeightsError as error:
        return Finding("weights", "problem", str(error), error.hint)
    except OSError as error:
        return Finding("weights", "problem", error_in_words(error), vgg.REINSTALL)


def _wrong(path: Path, *, deep: bool) -> str | None:
    """What is wrong with the file of torchvision's weights; empty: nothing; None: there is none."""
    if not path.is_file():
        return None
    if not os.access(path, os.R_OK):
        return f"{path}: cannot be read"
    size, expected = path.stat().st_size, TORCHVISION_MIB * (1 << 20)
    if abs(size - expected) > 1 << 10:
        return f"{path}: {in_words(size)}, not {in_words(round(expected))}: not whole, or another file"
    try:
        if deep:
            vgg.torchvision_weights(sha256_of)
    except WeightsError as error:
        return str(error)
    return ""


def _remedy() -> str:
    return (
        "nst-batch weights fetch (548 MB), where there is a network\n"
        f"or copy {vgg.TORCHVISION_FILE} into {vgg.hub_folder()}\n"
        "or set weights: vgg19, which is installed"
    )
