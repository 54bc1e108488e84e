"""Devices and threads."""

from __future__ import annotations

import os

import pytest
import torch

from nst_batch.errors import UsageError
from nst_batch.running.devices import choose_devices, choose_threads, grouped, sharing_memory


@pytest.mark.parametrize(("gpus", "expected"), [(0, ("cpu",)), (3, ("cuda:0", "cuda:1", "cuda:2"))])
def test_auto_is_every_gpu_or_the_cpu(gpus: int, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_devices(()) == expected


def test_wanted_devices_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_devices(("cuda:1", "cpu", "cpu")) == ("cuda:1", "cpu", "cpu")
    with pytest.raises(UsageError, match="no cuda:2") as caught:
        choose_devices(("cuda:1", "cuda:2"))
    assert caught.value.hint == "it has: cpu, cuda:0, cuda:1; auto takes what there is"


def test_threads_are_divided_among_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert [choose_threads(("cpu",) * n, None) for n in (1, 2, 3, 16)] == [8, 4, 2, 1]
    assert choose_threads(("cpu",) * 2, 3) == 3


@pytest.mark.parametrize(("given", "threads"), [("4", 4), ("64", 8), ("0", 1), ("", 8), ("many", 8)])
def test_a_job_keeps_to_the_cores_that_it_was_given(given: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every Slurm binds its jobs to them."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", given)
    assert choose_threads(("cpu",), None) == threads


def test_devices_are_grouped_in_order_and_none_is_left_over() -> None:
    assert grouped(("cuda:0", "cuda:1", "cuda:2", "cuda:3"), 2) == ("cuda:0+cuda:1", "cuda:2+cuda:3")
    assert grouped(("cpu",) * 2, 1) == ("cpu", "cpu")
    with pytest.raises(UsageError, match="2 does not divide the 3 devices") as caught:
        grouped(("cpu",) * 3, 2)
    assert caught.value.hint == "they are: cpu, cpu, cpu; take 1, or a number that divides 3"


def test_workers_on_cpus_share_the_machines_memory() -> None:
    assert [sharing_memory(each) for each in (("cpu",), ("cuda:0", "cuda:1"), ("cpu", "cpu+cpu", "cuda:0"))] == [
        1,
        1,
        2,
    ]
