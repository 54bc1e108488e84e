"""Which devices a run uses, and how many CPU threads each worker gets."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nst_batch.errors import UsageError
from nst_batch.planning.measured import cores


def choose_devices(wanted: Sequence[str]) -> tuple[str, ...]:
    """One device for each worker. Empty: every GPU, or the CPU where there is none.

    Raises:
        UsageError: a device is not on this machine.
    """
    gpus = tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))
    if not gpus and torch.backends.mps.is_available():
        gpus = ("mps",)
    if not wanted:
        return gpus or ("cpu",)
    for device in wanted:
        if device not in ("cpu", *gpus):
            raise UsageError(
                f"run.devices: no {device} on this machine",
                hint=f"it has: {', '.join(('cpu', *gpus))}; auto takes what there is",
            )
    return tuple(wanted)


def grouped(devices: Sequence[str], together: int) -> tuple[str, ...]:
    """Devices of workers that have several each: ``cuda:0+cuda:1``, ….

    Raises:
        UsageError: some would be left over.
    """
    if len(devices) % together:
        raise UsageError(
            f"run.devices_per_task: {together} does not divide the {len(devices)} devices of this run",
            hint=f"they are: {', '.join(devices)}; take 1, or a number that divides {len(devices)}",
        )
    return tuple("+".join(devices[first : first + together]) for first in range(0, len(devices), together))


def sharing_memory(devices: Sequence[str]) -> int:
    """How many workers share the machine's memory; at least 1."""
    return max(1, sum(not device.startswith("cuda") for device in devices))


def choose_threads(devices: Sequence[str], wanted: int | None) -> int:
    """CPU threads for each worker: as told, or an equal share of the cores that this process may use."""
    if wanted is not None:
        return wanted
    return max(1, cores() // len(devices))
