"""What a transfer in the middle has to remember, as plain values and tensors, and as bytes.

In a ``State`` every tensor and every list has one entry for each picture; everything else is shared by all. So one
picture's state can be taken out of what several were rendered with, and goes on alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

State = dict[str, Any]

FORMAT = "4"
_TENSOR = "$tensor"


def of_one(state: Any, place: int) -> Any:
    """The state of one picture alone."""
    if isinstance(state, Tensor | list):
        return state[place : place + 1]
    if isinstance(state, dict):
        return {key: of_one(value, place) for key, value in state.items()}
    return state


def moved(state: Any, device: torch.device) -> Any:
    """The same on another device."""
    if isinstance(state, Tensor):
        return state.to(device)
    if isinstance(state, dict):
        return {key: moved(value, device) for key, value in state.items()}
    return state


def to_bytes(state: State, **about: str) -> bytes:
    """As a safetensors file; ``about`` is what it is of, to be asked for again."""
    tensors: dict[str, Tensor] = {}
    plain = _without_tensors(state, "", tensors)
    tensors = {name: tensor.cpu() for name, tensor in tensors.items()}
    return save(tensors, {**about, "format": FORMAT, "state": json.dumps(plain)})


def from_file(path: Path, **about: str) -> State | None:
    """A state that was saved with the same ``about``, on the CPU; None: there is none, it is damaged, or of something
    else."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if any(metadata.get(key) != value for key, value in {**about, "format": FORMAT}.items()):
                return None
            names = list(file.keys())
            tensors = {name: file.get_tensor(name).clone() for name in names}
        state: State = _with_tensors(json.loads(metadata["state"]), tensors)
    except (OSError, SafetensorError, ValueError, KeyError):
        return None
    return state


def _without_tensors(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        value = value.contiguous()
        same = (other for other, tensor in tensors.items() if _is_same(tensor, value))  # a file has no room for two
        name = next(same, name)
        tensors[name] = value
        return {_TENSOR: name}
    if isinstance(value, dict):
        return {key: _without_tensors(part, f"{name}.{key}", tensors) for key, part in value.items()}
    return value


def _is_same(one: Tensor, other: Tensor) -> bool:
    return one.data_ptr() == other.data_ptr() and (one.shape, one.dtype) == (other.shape, other.dtype)


def _with_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if _TENSOR in value:
            return tensors[value[_TENSOR]]
        return {key: _with_tensors(part, tensors) for key, part in value.items()}
    return value
