"""What torch says, and what it cannot say any more: real processes with a torch that is broken in some way."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from nst_batch.doctor import computing
from nst_batch.doctor.computing import Driver, Probed, probed
from nst_batch.doctor.probe import STAGES

H100 = {"name": "NVIDIA H100", "total": 80 * 10**9, "free": 79 * 10**9, "error": ""}
NO_DRIVER, DRIVER = Driver(), Driver("550.54.14")


def told(*gpus: dict[str, Any], cuda: str | None = "12.8", said: str = "", mps: bool = False) -> Probed:
    """All stages, as a machine with these would tell."""
    return Probed(
        {
            "torch": {"cuda": cuda, "hip": None, "seconds": 2.0},
            "torchvision": {"version": "0.25"},
            "kernels": {"why_not": ""},
            "gpus": {"devices": list(gpus), "mps": mps, "said": [said] if said else []},
        }
    )


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A torch that is this program, and a torchvision that asks for nothing."""

    def put(program: str) -> None:
        for name, text in (("torch", textwrap.dedent(program)), ("torchvision", "__version__ = '0.25'")):
            (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)

    return put


def test_this_machine_tells_all() -> None:
    asked = probed()
    assert list(asked.facts) == list(STAGES) and not asked.stuck and not asked.ended
    assert computing.torch(asked, "2.8").level == "ok"
    assert computing.vision(asked, "0.23").level == "ok"
    assert all(each.level == "ok" for each in computing.kernels(asked)) != bool(asked.of("kernels")["why_not"])
    assert list(computing.gpus(asked, Driver.here()))


def test_a_torch_that_cannot_be_imported(fake: Any) -> None:
    fake("raise ImportError('libcudnn.so.9: cannot open shared object file\\nand more')")
    asked = probed()
    found = computing.torch(asked, "2.9")
    assert found.level == "problem" and found.text.endswith("libcudnn.so.9: cannot open shared object file")
    assert not list(computing.gpus(asked, DRIVER)) and not list(computing.kernels(asked))


def test_a_torch_that_hangs_is_ended(fake: Any) -> None:
    fake("import time; time.sleep(600)")
    asked = probed(patience=1.0)
    assert computing.torch(asked, "2.9").text == "2.9 cannot be imported: no answer for 1 s"
    assert not list(computing.gpus(asked, DRIVER))


def test_a_driver_that_hangs_is_told_apart_from_torch(fake: Any) -> None:
    fake(
        """
        import time
        class version: cuda, hip = "12.8", None
        class cuda: device_count = staticmethod(lambda: time.sleep(600))
        class Tensor: pass
        """
    )
    asked = probed(patience=3.0)
    assert computing.torch(asked, "2.9").level == "ok"
    (found,) = computing.gpus(asked, DRIVER)
    assert found.level == "problem" and "no answer for 3 s" in found.text and "nvidia-smi" in found.remedy


def test_a_torch_that_crashes(fake: Any) -> None:
    fake("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert computing.torch(probed(), "2.9").text == "2.9 cannot be imported: it crashed (SIGSEGV)"


def test_gpus_that_do_not_compute(fake: Any) -> None:
    fake(
        """
        class version: cuda, hip = "12.8", None
        class Tensor: pass
        class backends:
            class mps: is_available = staticmethod(lambda: False)
        class cuda:
            device_count = staticmethod(lambda: 2)
            get_device_name = staticmethod(lambda index: f"GPU {index}")
            mem_get_info = staticmethod(lambda index: (9, 10))
        def ones(*shape, device):
            raise RuntimeError("CUDA error: no kernel image is available for execution\\nCompile with ...")
        """
    )
    found = list(computing.gpus(probed(), DRIVER))
    assert [each.name for each in found] == ["cuda:0", "cuda:1"] and {each.level for each in found} == {"problem"}
    assert "no kernel image" in found[0].text and "built for this GPU" in found[0].remedy


def test_gpus_that_compute() -> None:
    used = {**H100, "free": 10**9}
    first, second = computing.gpus(told(H100, used), DRIVER)
    assert (first.name, first.level, first.text) == ("cuda:0", "ok", "NVIDIA H100, 79.0 GB free of 80.0 GB")
    assert second.level == "warning" and "others use it" in second.text


def test_a_driver_too_old_for_a_gpu_that_is_counted() -> None:
    error = "The NVIDIA driver on your system is too old (found version 11040)."
    (found,) = computing.gpus(told({**H100, "error": error}), DRIVER)
    assert found.level == "problem" and "update the driver" in found.remedy


@pytest.mark.parametrize(
    ("asked", "driver", "level", "part"),
    [
        (told(), NO_DRIVER, "ok", "on the CPU"),
        (told(mps=True), NO_DRIVER, "ok", "mps"),
        (told(cuda=None), NO_DRIVER, "ok", "on the CPU"),
        (told(cuda=None), DRIVER, "warning", "built without CUDA"),
        (told(), Driver("550.54", ""), "warning", "CUDA_VISIBLE_DEVICES=''"),
        (told(said="CUDA initialization: The NVIDIA driver on your system is too old"), DRIVER, "warning", "too old"),
        (told(), DRIVER, "warning", "sees no GPU"),
    ],
)
def test_why_there_is_no_gpu(asked: Probed, driver: Driver, level: str, part: str) -> None:
    (found,) = computing.gpus(asked, driver)
    assert found.level == level and part in found.text and bool(found.remedy) == (level != "ok")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC", "535.104.05"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.14  Release Build", "550.54.14"),
        ("something else", ""),
    ],
)
def test_the_drivers_version(tmp_path: Path, text: str, version: str) -> None:
    file = tmp_path / "version"
    assert Driver.here(file).version == ""
    file.write_text(text)
    assert Driver.here(file).version == version


def test_kernels_count_on_cpus_alone() -> None:
    facts = {**told().facts, "kernels": {"why_not": "no C++ compiler"}}
    (found,) = computing.kernels(Probed(facts))
    assert found.level == "warning" and "twice as long" in found.text and "g++" in found.remedy
    (found,) = computing.kernels(Probed({**told(H100).facts, "kernels": {"why_not": "no C++ compiler"}}))
    assert found.level == "ok"


def test_a_torchvision_of_another_torch() -> None:
    asked = Probed({**told().facts, "torchvision": {"error": "operator torchvision::nms does not exist"}})
    found = computing.vision(asked, "0.20")
    assert found.level == "problem" and "nms" in found.text and "go together" in found.remedy
