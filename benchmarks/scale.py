"""What a large dataset costs beside its transfers: planning it, finding it done, looking at it; at several sizes.

Inputs and outputs are real files (hard links of a few), the manifest has lines of the usual length, and every command
is a process of its own, whose time and memory are the system's figures.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from benchmarks import datasets
from benchmarks.closure import REPOSITORY
from nst_batch.pipeline import Choices, prepare

STYLES = 1000
PAIRS: tuple[Literal["product", "sample"], ...] = ("product", "sample")
COMMANDS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("plan, inputs read for the first time", "file", ("plan",)),
    ("plan, nothing done", "file", ("plan",)),
    ("plan, all done, manifest read for the first time", "done", ("plan",)),
    ("plan, all done", "done", ("plan",)),
    ("run, all done", "done", ("run",)),
    ("status of the folder", "folder", ("status",)),
    ("report, 500 pictures", "folder", ("report", "--sample", "500")),
)
"""What is measured: how it is called, on what, and the command. What is done is made up before it is asked for."""


@dataclass(frozen=True)
class Cost:
    """Of one command: seconds that passed, seconds of processors, and bytes of memory at the most."""

    name: str
    seconds: float
    cpu_seconds: float
    memory: int


def measure(folder: Path, *, tasks: int, pairs: Literal["sample", "product"]) -> Iterator[Cost]:
    """Every command, in their order."""
    folder.mkdir()
    wanted = datasets.Dataset(tasks, STYLES, pairs, failed=0)
    drawn = datasets.draw(folder / "drawn")
    file = _dataset(folder, wanted, drawn)
    made = False
    for name, on, command in COMMANDS:
        if on != "file" and not made:
            _finish(file, wanted, drawn)
            made = True
        yield _cost(name, [*command, str(folder / "run" if on == "folder" else file)])
    shutil.rmtree(folder)


def _dataset(folder: Path, wanted: datasets.Dataset, drawn: datasets.Drawn) -> Path:
    """Its inputs, and a pipeline file for them."""
    for path in (*drawn.photos, *drawn.paintings):
        os.utime(path, (1e9, 1e9))  # what was just written is not remembered
    contents = wanted.tasks if wanted.pairs == "sample" else wanted.tasks // wanted.styles
    for kind, files, count in (("photos", drawn.photos, contents), ("styles", drawn.paintings, wanted.styles)):
        (folder / kind).mkdir()
        for number in range(count):
            os.link(files[number % len(files)], folder / kind / f"{kind[:-1]}_{number:07}.png")
    spec = {
        "version": 1, "name": "run", "content": "photos", "style": "styles", "weights": "random",
        "pairs": {"sample": 1} if wanted.pairs == "sample" else "product",
        "output": {"dir": "run", "name": "{bucket}/{content}__{style}.png" if wanted.pairs == "sample"
                   else "{content}/{style}.png"},
    }  # fmt: skip
    (folder / "run" / "state").mkdir(parents=True)  # where digests are kept
    file = folder / "pipeline.yaml"
    file.write_text(yaml.safe_dump(spec))
    return file


def _finish(file: Path, wanted: datasets.Dataset, drawn: datasets.Drawn) -> None:
    """In a process of its own, since this one is small."""
    if child := os.fork():
        _, status = os.waitpid(child, 0)
        if status:
            raise SystemExit("the run could not be made up")
        return
    ready = prepare(file, {}, Choices(), lambda _: None)
    datasets.finish(ready.paths, ready.tasks, wanted, drawn)
    os._exit(0)


_LAUNCHER = """
import json, os, sys, time

def together(pid):
    try:
        with open(f"/proc/{pid}/statm") as size, open(f"/proc/{pid}/task/{pid}/children") as begun:
            return int(size.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") + sum(map(together, begun.read().split()))
    except OSError:
        return 0

begun, memory, ended = time.monotonic(), 0, 0
child = os.fork()
if not child:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(sys.executable, [sys.executable, "-m", "nst_batch", *sys.argv[1:]])
while not ended:
    memory = max(memory, together(child))
    time.sleep(0.05)
    ended, status, used = os.wait4(child, os.WNOHANG)
most = max(memory, used.ru_maxrss << 10)
print(json.dumps([status, time.monotonic() - begun, used.ru_utime + used.ru_stime, most]))
"""
"""A small process, since a child is said to have taken at least as much memory as who began it. The memory is that of
the command and of the processes that it begins, together."""


def _cost(name: str, arguments: list[str]) -> Cost:
    done = subprocess.run(
        [sys.executable, "-S", "-c", _LAUNCHER, *arguments], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    status, *used = json.loads(done.stdout)
    if status:
        raise SystemExit(f"nst-batch {' '.join(arguments)} ended with {status}: {done.stderr}")
    return Cost(name, *used)
