"""An untrained VGG-19 (``weights: random``), made from a seed: for research, and for tests that look at no picture.

Its digest is that of its recipe, ``transfer.weights.UNTRAINED_RECIPE``: whoever changes the values here changes the
recipe's name too.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst_batch.transfer.user_cache import cache_folder, key
from nst_batch.transfer.vgg import empty_features

_NOISE_SIZE = 256  # pixels; enough for block 5 to have 256 positions to be fitted on
_LARGEST_WHITENED = 1152  # inputs of a kernel (9 x channels), up to conv3_1: the time grows with the cube


def untrained_state() -> dict[str, Tensor]:
    """Their values: those that an earlier process has made on this machine, or made now.

    Making them takes seconds, which each worker of each run would spend.
    """
    file = cache_folder() / f"untrained-{key(Path(__file__).read_bytes(), torch.__version__)}.pt"
    try:
        kept: dict[str, Tensor] = torch.load(file, weights_only=True)
        return kept
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError, zipfile.BadZipFile):
        pass  # not there, or damaged
    state = make_state()
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    with contextlib.suppress(OSError, RuntimeError):  # torch's own for a folder that cannot be written, or a full disk
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.save(state, part)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
    return state


def make_state() -> dict[str, Tensor]:
    """Random orthogonal kernels, fitted layer by layer to 1/f noise.

    Plain random initialisation lets activations shrink from layer to layer and makes L-BFGS diverge. Pictures have
    1/f spectra (Field 1987), so on noise with that spectrum each layer is given zero mean and unit variance, and up to
    conv3_1 its kernels first whiten their input patches: without that, they answer to brightness alone, and fine
    noise, to which they are blind, ends up in the picture. One thread and the CPU's generator make the values the same
    for any worker.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        random = torch.Generator().manual_seed(0)
        state: dict[str, Tensor] = {}
        x = _pink_noise(random)
        for index, layer in enumerate(empty_features()):
            if isinstance(layer, nn.Conv2d):
                kernels = _orthogonal(torch.randn(layer.out_channels, layer.in_channels * 9, generator=random))
                if kernels.shape[1] <= _LARGEST_WHITENED:
                    kernels = kernels @ _whitening(x, random)
                weight = kernels.view(layer.weight.shape)
                x = F.conv2d(x, weight, padding=1)
                mean, std = x.mean((0, 2, 3)), x.std((0, 2, 3))
                state[f"{index}.weight"] = weight / std.view(-1, 1, 1, 1)
                state[f"{index}.bias"] = -mean / std
                x = (x - mean.view(1, -1, 1, 1)) / std.view(1, -1, 1, 1)
            elif isinstance(layer, nn.ReLU):
                x = x.relu()
            else:
                x = F.avg_pool2d(x, 2)
    finally:
        torch.set_num_threads(threads)
    return state


def _whitening(x: Tensor, random: torch.Generator) -> Tensor:
    """(C + mean variance · I)^(-1/2) for the covariance C of 3x3 patches of ``x`` (1xCxHxW): 9Cx9C.

    The second term keeps directions that noise hardly has from being blown up.
    """
    patches = F.unfold(x, kernel_size=3)[0]  # 9C x positions
    chosen = torch.randperm(patches.shape[1], generator=random)[: 4 * patches.shape[0]]
    patches = patches[:, chosen] if len(chosen) > 1000 else patches
    patches = patches - patches.mean(1, keepdim=True)
    values, vectors = torch.linalg.eigh(patches @ patches.mT / patches.shape[1])
    values = values.clamp_min(0)
    whitening: Tensor = vectors @ torch.diag((values + values.mean()).rsqrt()) @ vectors.mT
    return whitening


def _pink_noise(random: torch.Generator) -> Tensor:
    """1x3xSxS noise with a 1/f amplitude spectrum, zero mean, unit variance."""
    size = _NOISE_SIZE
    spectrum = torch.fft.rfft2(torch.randn(1, 3, size, size, generator=random))
    frequency = torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)[None])
    noise: Tensor = torch.fft.irfft2(spectrum / frequency.clamp_min(1 / size), s=(size, size))
    return (noise - noise.mean()) / noise.std()


def _orthogonal(rows: Tensor) -> Tensor:
    """The nearest thing to orthonormal rows (columns, where there are more rows), as ``nn.init.orthogonal_``."""
    tall = rows.shape[0] > rows.shape[1]
    q, r = torch.linalg.qr(rows if tall else rows.mT)
    q = q * r.diagonal().sign()  # makes the factorisation unique, whatever LAPACK chose
    found: Tensor = q if tall else q.mT.contiguous()
    return found
