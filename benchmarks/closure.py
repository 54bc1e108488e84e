"""Seconds of one closure: the plain method's and ours, each in a process of its own, in turn.

Each process is set up as it is in use: the plain one as a script is started, ours as a worker is, with its allocator's
settings. One works while the others wait. Losses are compared before anything is timed.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.arithmetic import flops, matrix_rate, wait
from benchmarks.pictures import DATA, squares, tensor
from benchmarks.plain import GATYS, TUTORIAL, PlainTransfer
from nst_batch.environment import ALLOCATOR
from nst_batch.pipeline_file.presets import PRESETS
from nst_batch.transfer.graphs import Compiler
from nst_batch.transfer.losses import Objective, Targets, needs_means
from nst_batch.transfer.octaves import style_features
from nst_batch.transfer.passes import Passes
from nst_batch.transfer.precision import EXACT, ROUNDED, arithmetic
from nst_batch.transfer.untrained import untrained_state
from nst_batch.transfer.vgg import VGG19, Network

LOSSES = {"pytorch-tutorial": TUTORIAL, "gatys": GATYS}
KINDS = ("plain", "fp32", "fp32 by torch", "fp16")  # on a CPU
GPU_KINDS = ("plain", "tf32", "fp16", "fp16 recorded")  # as CUDA graphs
REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Setting:
    """What is measured."""

    preset: str
    size: int
    device: str
    threads: int
    batch: int = 1


def kinds(device: str) -> tuple[str, ...]:
    """What is compared on a device, the plain method first."""
    return GPU_KINDS if device.startswith("cuda") else KINDS


def measure(setting: Setting, kinds: tuple[str, ...], rounds: int) -> list[dict[str, Any]]:
    """A row for each kind: medians over ``rounds`` turns, and ratios turn by turn."""
    children = {kind: _Child(setting, kind) for kind in kinds}
    try:
        losses = {kind: child.ask("loss") for kind, child in children.items()}
        rates = children[kinds[0]].ask("rates")
        times = [{kind: child.ask("closure")["seconds"] for kind, child in children.items()} for _ in range(rounds)]
        memory = {kind: child.ask("memory")["bytes"] for kind, child in children.items()}
    finally:
        for child in children.values():
            child.end()
    work = flops(LOSSES[setting.preset], setting.size, setting.size) * setting.batch
    rows = []
    for kind in kinds:
        seconds = statistics.median(turn[kind] for turn in times)
        rows.append({
            "preset": setting.preset, "size": setting.size, "batch": setting.batch, "kind": kind,
            "seconds": seconds, "ratio": statistics.median(turn[kinds[0]] / turn[kind] for turn in times),
            "gflops": work / seconds / 1e9, "share_of_bf16": work / seconds / rates["bf16"],
            "share_of_fp32": work / seconds / rates["fp32"],
            "loss": losses[kind]["loss"], "memory_bytes": memory[kind],
            "bf16_gflops": rates["bf16"] / 1e9, "fp32_gflops": rates["fp32"] / 1e9,
        })  # fmt: skip
    return rows


class _Child:
    """A process that has everything ready and makes a closure when told to."""

    def __init__(self, setting: Setting, kind: str) -> None:
        environment = dict(os.environ) if kind == "plain" else {**os.environ, **ALLOCATOR}
        environment["PYTHONPATH"] = str(REPOSITORY)
        fields = [setting.preset, str(setting.size), setting.device, str(setting.threads), str(setting.batch), kind]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.closure", *fields],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def ask(self, what: str) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def _closure(setting: Setting, kind: str, contexts: ExitStack) -> Callable[[], float]:
    """What evaluates once at a fixed picture, and returns the first picture's loss."""
    device, preset = torch.device(setting.device), PRESETS[setting.preset]
    state = untrained_state()
    content, other = (tensor(image).to(device) for image in squares(DATA / "content", setting.size, 2))
    style = tensor(squares(DATA / "style", setting.size, 1)[0]).to(device)
    start = (content + other) / 2  # neither at the content, where its loss is 0
    if kind == "plain":
        plain = PlainTransfer(state, content, style, LOSSES[setting.preset])
        with torch.no_grad():
            plain.image.copy_(start)
        return plain.closure
    vgg = VGG19(state, Network(pooling="max")).to(device)
    passes = Passes(vgg, torch.float16 if kind.startswith("fp16") else None, native=kind == "fp32")
    means = needs_means(preset)
    styles = style_features(passes, style, preset).items()
    targets = {name: passes.moments(f, None, means=means) for name, f in styles}
    objective = Objective(Targets(passes(content, preset.content_layers), targets), preset)
    starts = start.expand(setting.batch, -1, -1, -1).contiguous()
    contexts.enter_context(arithmetic(ROUNDED if kind == "tf32" else EXACT))
    closure = Compiler(enabled="recorded" in kind).compiled(objective, passes, starts)
    return lambda: closure(starts)[0].total()[0].item()


def main() -> None:
    """A child: answers one line on standard output for each on standard input."""
    preset, size, name, threads, batch, kind = sys.argv[1:]
    setting = Setting(preset, int(size), name, int(threads), int(batch))
    torch.set_num_threads(setting.threads)
    device = torch.device(name)
    with ExitStack() as contexts:
        _answer(_closure(setting, kind, contexts), device)


def _answer(closure: Callable[[], float], device: torch.device) -> None:
    closure()
    for line in sys.stdin:
        answer: dict[str, float] = {}
        if line.strip() == "loss":
            answer["loss"] = closure()
        elif line.strip() == "closure":
            wait(device)
            begun = time.perf_counter()
            closure()
            wait(device)
            answer["seconds"] = time.perf_counter() - begun
        elif line.strip() == "rates":
            answer = {word: matrix_rate(device, dtype) for word, dtype in _RATES.items()}
        elif device.type == "cuda":
            answer["bytes"] = torch.cuda.max_memory_allocated(device)
        else:
            answer["bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps(answer), flush=True)


_RATES = {"fp32": torch.float32, "bf16": torch.bfloat16}

if __name__ == "__main__":
    main()
