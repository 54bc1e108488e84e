"""What pictures are computed with: torch, the GPUs it sees, and the kernels for CPUs. ``probe`` asks; this reads."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nst_batch.doctor.findings import Finding, first_line
from nst_batch.doctor.probe import STAGES
from nst_batch.memory import in_words

PATIENCE_SECONDS = 90.0
"""torch on a network disk, read for the first time, takes half a minute."""
_DRIVER = Path("/proc/driver/nvidia/version")
_LEFT = 0.2  # of a GPU's memory; less than that is free when others use it


@dataclass(frozen=True)
class Probed:
    """What ``probe`` has told, by stage; ``ended`` says how it ended before the last one, if it did."""

    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ended: str = ""

    @property
    def stuck(self) -> str:
        """The stage that it did not come through; empty: all is told."""
        return next((stage for stage in STAGES if stage not in self.facts), "")

    def of(self, stage: str) -> Mapping[str, Any]:
        """What is known of a stage: ``error`` where it did not come through, nothing where it was not come to."""
        return self.facts.get(stage, {"error": self.ended or "no answer"} if stage == self.stuck else {})

    @property
    def gpus(self) -> list[Mapping[str, Any]]:
        """Those that torch has, of whatever state."""
        return list(self.facts.get("gpus", {}).get("devices", ()))


def probed(patience: float = PATIENCE_SECONDS) -> Probed:
    """Ask in a process of its own, which is ended when it takes too long."""
    program = f"import sys; sys.path = {sys.path!r}; from nst_batch.doctor.probe import main"
    with tempfile.TemporaryDirectory(prefix="nst-doctor-") as folder:
        answers, errors = Path(folder) / "answers", Path(folder) / "errors"
        with errors.open("wb") as sink:
            child = subprocess.Popen(
                [sys.executable, "-c", f"{program}; main({str(answers)!r})"],
                stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
            )  # fmt: skip
        try:
            code = child.wait(patience)
        except subprocess.TimeoutExpired:
            ended = f"no answer for {patience:g} s"
            child.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(2)  # one that hangs in the driver cannot be killed
        else:
            ended = _end(code, errors.read_text(errors="replace"))
        return Probed(dict(_read(answers)), ended)


def _end(code: int, said: str) -> str:
    if code == 0:
        return ""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"it crashed ({signal.Signals(-code).name})"
    last = said.strip().splitlines()
    return last[-1] if last else f"exit status {code}"


def _read(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with contextlib.suppress(OSError, ValueError, LookupError):  # the last line may be torn
        for line in file.read_text(encoding="utf-8").splitlines():
            facts = json.loads(line)
            yield facts.pop("stage"), facts


def torch(asked: Probed, version: str) -> Finding:
    """Whether it can be imported, and what it was built for."""
    facts = asked.of("torch")
    if error := facts.get("error"):
        remedy = "python -c 'import torch' shows all of it\nsee the limits in `ulimit -a`; install torch again"
        return Finding("torch", "problem", f"{version} cannot be imported: {error}", remedy)
    built = f"CUDA {facts['cuda']}" if facts["cuda"] else f"ROCm {facts['hip']}" if facts["hip"] else "CPUs alone"
    return Finding("torch", "ok", f"{version} for {built}, imported in {facts['seconds']:.1f} s")


def vision(asked: Probed, version: str) -> Finding:
    """Whether torchvision goes with this torch."""
    if (error := asked.of("torchvision").get("error")) and "error" not in asked.of("torch"):
        remedy = "pip install --upgrade torch torchvision, both at once: their versions go together"
        return Finding("torchvision", "problem", f"{version} cannot be imported: {error}", remedy)
    return Finding("torchvision", "ok", version)


@dataclass(frozen=True)
class Driver:
    """NVIDIA's, as the kernel has it; ``version`` is empty where there is none."""

    version: str = ""
    hidden: str | None = None  # what CUDA_VISIBLE_DEVICES is

    @classmethod
    def here(cls, file: Path = _DRIVER) -> Driver:
        """Of this machine."""
        try:
            found = re.search(r"\s(\d+\.\d+(\.\d+)?)\s", file.read_text().partition("Module")[2])
        except OSError:
            found = None
        return cls(found[1] if found else "", os.environ.get("CUDA_VISIBLE_DEVICES"))


def gpus(asked: Probed, driver: Driver) -> Iterator[Finding]:
    """One finding for each GPU; or why there is none."""
    facts = asked.of("gpus")
    if "error" in asked.of("torch"):
        return
    if error := facts.get("error"):
        remedy = "nvidia-smi: does the driver answer there?\nCUDA_VISIBLE_DEVICES= nst-batch run renders on the CPU"
        yield Finding("gpu", "problem", f"torch does not come back from the driver: {error}", remedy)
    for index, each in enumerate(asked.gpus):
        yield _gpu(f"cuda:{index}", each)
    if "devices" in facts and not asked.gpus:
        yield _none(asked, driver)


def _gpu(device: str, facts: Mapping[str, Any]) -> Finding:
    name = facts["name"] or "a GPU"
    if facts["error"]:
        return Finding(device, "problem", f"{name} cannot be used: {facts['error']}", _remedy(facts["error"]))
    told = f"{name}, {in_words(facts['free'])} free of {in_words(facts['total'])}"
    if facts["free"] < _LEFT * facts["total"]:
        return Finding(device, "warning", f"{told}: others use it", "nvidia-smi shows who; or use others: --devices")
    return Finding(device, "ok", told)


def _remedy(error: str) -> str:
    without = "without it: CUDA_VISIBLE_DEVICES with the others' numbers, or run.devices: [cpu]"
    if "driver" in error and "too old" in error:
        return f"update the driver, or install a torch that was built for an older CUDA\n{without}"
    if "no kernel image" in error or "not compatible" in error:
        return f"install a torch that was built for this GPU\n{without}"
    return f"nvidia-smi: is it in a mode or a state in which it cannot be shared?\n{without}"


def _none(asked: Probed, driver: Driver) -> Finding:
    facts, torch_facts = asked.of("gpus"), asked.of("torch")
    if facts["mps"]:
        return Finding("gpu", "ok", "mps, which is Apple's")
    if not driver.version:
        return Finding("gpu", "ok", "none: pictures are rendered on the CPU")
    there = f"there is a driver ({driver.version})"
    if not torch_facts["cuda"]:
        remedy = "pip install --force-reinstall torch torchvision, in a build with CUDA"
        return Finding("gpu", "warning", f"{there}, but torch was built without CUDA: the CPU is used", remedy)
    if driver.hidden is not None:
        told = f"{there}, but CUDA_VISIBLE_DEVICES={driver.hidden!r} hides every GPU: the CPU is used"
        return Finding("gpu", "warning", told, "unset CUDA_VISIBLE_DEVICES")
    said = next(iter(facts.get("said", ())), "it does not say why")
    told = f"{there}, but torch sees no GPU: the CPU is used ({first_line(said)})"
    return Finding("gpu", "warning", told, _remedy(said).partition("\nwithout")[0])


def kernels(asked: Probed) -> Iterator[Finding]:
    """Those in C++, for CPUs: built by now, or why not."""
    facts = asked.of("kernels")
    if not facts or "error" in asked.of("torch"):
        return
    why = facts.get("error") or facts["why_not"]
    if not why:
        yield Finding("kernels", "ok", "in C++, built for this CPU")
        return
    if asked.gpus:
        yield Finding("kernels", "ok", f"none in C++ ({why}); GPUs need none")
        return
    told = f"none in C++: pictures take about twice as long on the CPU ({why})"
    yield Finding("kernels", "warning", told, "install g++ or clang++ with OpenMP, or on a cluster: module load gcc")
