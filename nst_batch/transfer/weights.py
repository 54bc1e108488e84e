"""VGG-19 weights: find them (no torch needed), and load them (torch imported where it is used).

Three kinds: torchvision's ``IMAGENET1K_V1``, a file in torchvision's format, and an embedded default that takes no
bytes, being made from a seed.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nst_batch.errors import WeightsError
from nst_batch.records import Weights
from nst_batch.settings import CONV_LAYERS

if TYPE_CHECKING:
    from torch import Tensor, nn

IMAGENET_FILE = "vgg19-dcbb9e9d.pth"
"""torchvision's name; the eight digits begin the SHA-256 of the bytes (a test compares with torchvision's own)."""

EMBEDDED_RECIPE = "nst_batch embedded VGG-19: whitened orthogonal, unit variance on 1/f noise; recipe 1, seed 0"
EMBEDDED = Weights(name="random", digest=hashlib.sha256(EMBEDDED_RECIPE.encode()).hexdigest())

REMEDIES = (
    "run `nst-batch weights fetch` on a machine with network, or copy {file} into {folder}, "
    "or set weights: {{path: FILE}}, or weights: random"
)


STATE_DICT = "save a state dict: torch.save(model.state_dict(), FILE)"
ANOTHER_FILE = "copy or download the file again, or set weights: auto"


def hub_folder() -> Path:
    """Where torch keeps downloaded weights: torch.hub's own rule, without importing torch."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", f"{cache}/torch")
    return Path(home).expanduser() / "hub" / "checkpoints"


def imagenet_path() -> Path:
    """Where the ImageNet weights are, or would be."""
    return hub_folder() / IMAGENET_FILE


def imagenet_weights(digest: Callable[[Path], str]) -> Weights | None:
    """The cached ImageNet weights; None when there are none.

    Args:
        digest: SHA-256 of a file's bytes (the caller may cache it: the file has 548 MB).

    Raises:
        WeightsError: the file is there and damaged.
    """
    path = imagenet_path()
    if not path.is_file():
        return None
    found = digest(path)
    if not found.startswith(_expected_digest()):
        raise WeightsError(
            f"{path}: damaged or not the ImageNet VGG-19: SHA-256 {found[:8]}…, not {_expected_digest()}…",
            hint=f"delete it, then {remedies()}",
        )
    return Weights("imagenet", found, str(path))


def file_weights(
    path: Path, digest: Callable[[Path], str], format: Literal["torchvision", "caffe"] = "torchvision"
) -> Weights:
    """Weights from a user's file; read only when a worker loads it. ``format``: how the network is to be fed."""
    try:
        return Weights(str(path), digest(path), str(path), format)
    except OSError as error:
        raise WeightsError(
            f"{path}: weights cannot be read: {error.strerror or error}",
            hint="see that the file is there, and may be read",
        ) from error


def fetch_imagenet() -> Path:
    """Download the ImageNet weights into torch's cache through torchvision, checksum verified.

    Raises:
        WeightsError: no network, or a wrong checksum.
    """
    from torchvision.models import VGG19_Weights

    try:
        VGG19_Weights.IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:  # urllib's URLError is an OSError, a bad checksum a RuntimeError
        raise WeightsError(f"cannot download the ImageNet VGG-19: {error}", hint=remedies()) from error
    return imagenet_path()


def remedies() -> str:
    """What a user can do where the ImageNet weights cannot be had."""
    return REMEDIES.format(file=IMAGENET_FILE, folder=hub_folder())


def load_state(weights: Weights) -> dict[str, Tensor]:
    """Tensors for ``VGG19``: ``N.weight`` and ``N.bias`` of torchvision's ``features``, float32, on the CPU.

    Raises:
        WeightsError: the file cannot be read, would execute code, or does not hold a VGG-19.
    """
    from nst_batch.transfer.embedded import embedded_state

    return embedded_state() if weights.path is None else _read_state(Path(weights.path))


def _read_state(path: Path) -> dict[str, Tensor]:
    import torch

    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: not plain tensors; loading it could execute code, so it was not loaded",
            hint=STATE_DICT,
        ) from error
    except Exception as error:
        raise WeightsError(
            f"{path}: cannot be read as VGG-19 weights: {_first_line(error)}", hint=ANOTHER_FILE
        ) from error
    if not isinstance(loaded, dict):
        raise WeightsError(f"{path}: holds a {type(loaded).__name__}, not a state dict", hint=STATE_DICT)
    from nst_batch.transfer.vgg import empty_features

    return _checked_state(path, loaded, empty_features())


def _checked_state(path: Path, loaded: dict[str, Tensor], features: nn.Sequential) -> dict[str, Tensor]:
    """The convolutions of ``loaded``, every shape compared with VGG-19's.

    Their names are torchvision's, or those of ``vgg_conv.pth``, which Gatys' notebook uses.
    """
    import torch

    state, layer = {}, ""
    convolutions = iter(CONV_LAYERS)
    for name, expected in features.state_dict().items():
        layer = next(convolutions) if name.endswith("weight") else layer
        value = loaded.get(f"features.{name}", loaded.get(f"{layer}.{name.rpartition('.')[2]}"))
        if value is None:
            raise WeightsError(
                f"{path}: no tensor features.{name}",
                hint="a VGG-19's names are expected: features.N.weight (torchvision), or convB_I.weight (Gatys)",
            )
        if not (isinstance(value, torch.Tensor) and value.is_floating_point() and not value.is_sparse):
            raise WeightsError(f"{path}: features.{name} is no tensor of floating-point numbers", hint=STATE_DICT)
        if value.shape != expected.shape:
            raise WeightsError(
                f"{path}: features.{name} has shape {tuple(value.shape)}, VGG-19's has {tuple(expected.shape)}",
                hint="is it of another network? A VGG-19 is needed",
            )
        state[name] = value.float()
        if not state[name].isfinite().all():
            raise WeightsError(f"{path}: features.{name} has values that are not finite", hint=ANOTHER_FILE)
    return state


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _expected_digest() -> str:
    return IMAGENET_FILE.removesuffix(".pth").rpartition("-")[2]
