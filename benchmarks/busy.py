"""What a worker loses to other programs, and what they lose to it: beside busy loops, and beside another run.

Two processes compute in turns, one as torch's OpenMP waits by default, one as workers do: only one of them is let run
at a time, so that the machine's moods are the same for both.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.closure import REPOSITORY
from benchmarks.pictures import DATA, squares
from nst_batch import environment
from nst_batch.planning.measured import cores

WAYS = {"torch": environment.ALLOCATOR, "workers": environment.ALLOCATOR | environment.OPENMP}
WINDOW_SECONDS = {64: 2.0, 256: 5.0}
WARM = 6  # evaluations before anything counts


def measure(size: int, threads: int, rounds: int) -> dict[str, Any]:
    """Evaluations a second, alone and beside as many busy loops as there are cores: medians of windows."""
    with contextlib.ExitStack() as stack:
        runs = {way: stack.enter_context(_computing(size, threads, WAYS[way])) for way in WAYS}
        seconds = WINDOW_SECONDS.get(size, 5.0)
        alone, ratio = _in_turns(runs, seconds, 2 * rounds)
        stack.enter_context(_loops(cores()))
        beside, _ = _in_turns(runs, seconds, rounds)
    return {"size": size, "threads": threads, "alone": alone, "beside": beside, "alone_of_torch": ratio}


def together(folder: Path, side: int, size: int, steps: int) -> dict[str, float]:
    """Seconds of one run, and of two that share the same work in one folder."""
    for name in ("content", "style"):
        (folder / name).mkdir(parents=True)
        for place, image in enumerate(squares(DATA / name, size, side)):
            image.save(folder / name / f"{place}.png")
    one, two = _runs(folder, "one", 1, size, steps), _runs(folder, "two", 2, size, steps)
    return {"tasks": side * side, "size": size, "one": one, "two": two, "ratio": two / one}


def _runs(folder: Path, name: str, count: int, size: int, steps: int) -> float:
    pipeline = folder / f"{name}.yaml"
    pipeline.write_text(
        yaml.safe_dump({
            "version": 1, "name": name, "content": "content", "style": "style",
            "transfer": {"size": size, "fit": "long", "steps": steps, "scales": []},
            "output": {"dir": name}, "run": {"devices": ["cpu"], "report": "off"},
        })
    )  # fmt: skip
    command = [sys.executable, "-m", "nst_batch", "run", str(pipeline)]
    begun = time.perf_counter()
    runs = [subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=REPOSITORY) for _ in range(count)]
    for run in runs:
        if run.wait():
            raise RuntimeError(f"{' '.join(command)}: exit status {run.returncode}")
    return time.perf_counter() - begun


@contextlib.contextmanager
def _computing(size: int, threads: int, variables: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that computes, warm and stopped."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.busy", str(size), str(threads)],
        stdout=subprocess.PIPE, env={**os.environ, **variables}, cwd=REPOSITORY, bufsize=0,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            for _ in range(WARM):
                if not process.stdout.read(1):
                    raise RuntimeError("it ended before it had begun")
            process.send_signal(signal.SIGSTOP)
            yield process
        finally:
            process.kill()


def _in_turns(runs: dict[str, subprocess.Popen[bytes]], seconds: float, rounds: int) -> tuple[dict[str, float], float]:
    """The median rate of each, and of the ratios of the second to the first in one round."""
    rates: dict[str, list[float]] = {way: [] for way in runs}
    for number in range(rounds):
        for way in sorted(runs, reverse=number % 2 == 1):
            rates[way].append(_rate(runs[way], seconds))
    first, second = rates.values()
    ratio = statistics.median(b / a for a, b in zip(first, second, strict=True))
    return {way: statistics.median(found) for way, found in rates.items()}, ratio


def _rate(process: subprocess.Popen[bytes], seconds: float) -> float:
    """From the first evaluation that ends within a window to the last one."""
    assert process.stdout is not None
    process.send_signal(signal.SIGCONT)
    process.stdout.read(1)  # it was begun before
    begun = last = time.perf_counter()
    count = 0
    while time.perf_counter() - begun < seconds:
        if select.select([process.stdout], [], [], seconds)[0]:
            count += len(process.stdout.read(1))
            last = time.perf_counter()
    process.send_signal(signal.SIGSTOP)
    return count / (last - begun)


@contextlib.contextmanager
def _loops(count: int) -> Iterator[None]:
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _compute(arguments: Sequence[str]) -> None:
    """One transfer without end; a byte for each evaluation."""
    size, threads = map(int, arguments)
    import torch

    from nst_batch import Stylizer, TransferSettings
    from nst_batch.transfer.pictures import picture_of

    torch.set_num_threads(threads)
    content, style = (picture_of(squares(DATA / kind, size, 1)[0]) for kind in ("content", "style"))
    settings = TransferSettings(size=size, fit="long", steps=1_000_000, scales=())
    Stylizer().transfer(content, style, settings, seed=0, on_step=_tell)


def _tell(_step: int, _loss: float) -> None:
    os.write(1, b".")


if __name__ == "__main__":
    _compute(sys.argv[1:])
