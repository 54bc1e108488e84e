"""Real runs for tests: pictures, weights that load fast, pipeline files, processes."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from nst_batch.cli.app import app

REPOSITORY = Path(__file__).parent.parent
PATIENCE_SECONDS = 120.0  # on a busy machine; nothing here is about speed


SHALLOW = {"content_layers": ["conv2_2"], "style_layers": ["conv1_1", "conv1_2", "conv2_1"]}
"""Layers that a worker has in a moment, for tests that look at no picture."""


def make_pictures(root: Path, contents: int = 2, styles: int = 2, size: int = 32) -> None:
    """``content/cN.png`` and ``style/sN.png``: smooth random colours, each its own."""
    for kind, count in (("content", contents), ("style", styles)):
        (root / kind).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            save_picture(root / kind / f"{kind[0]}{number}.png", seed=hash_of(kind, number), size=size)


def hash_of(kind: str, number: int) -> int:
    return number + (100 if kind == "style" else 0)


def save_picture(path: Path, seed: int, size: int = 32) -> None:
    values = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    Image.fromarray(values).resize((size, size), Image.Resampling.BICUBIC).save(path)


def save_weights(path: Path) -> Path:
    """The untrained weights as a file: a worker loads it in a tenth of the time that making them takes."""
    import torch

    from nst_batch.transfer.untrained import untrained_state

    torch.save({f"features.{name}": value for name, value in untrained_state().items()}, path)
    return path


def write_pipeline(root: Path, weights: Path, **settings: Any) -> Path:
    """``pipeline.yaml`` over ``content`` and ``style``; settings are ``section__key=value``."""
    spec: dict[str, Any] = {
        "name": "night",
        "content": "content",
        "style": "style",
        "transfer": {"size": 32, "steps": 5, **SHALLOW},
        "weights": {"path": str(weights)},
        "output": {"dir": "out", "name": "{content}__{style}{sweep}.png"},
        "run": {"devices": ["cpu"], "threads": 1},
    }
    for key, value in settings.items():
        section, _, name = key.partition("__")
        if name:
            spec[section] = {**spec.get(section, {}), name: value}
        else:
            spec[section] = value
    path = root / "pipeline.yaml"
    path.write_text(json.dumps(spec))  # JSON is YAML
    return path


def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    """A real ``nst-batch`` process."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "preexec_fn": heed_signals}
    return subprocess.Popen(
        [sys.executable, "-m", "nst_batch", *map(str, arguments)], text=True, env=environment, **{**streams, **options}
    )


def heed_signals() -> None:
    """As in a terminal: what a shell begins in the background ignores some of them, and so would its children."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The object on the last line of standard output."""
        found: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return found


def end_of(process: subprocess.Popen[str]) -> Ended:
    """Wait for a process to end by itself."""
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    return Ended(process.returncode, out, err)


def nst_batch(*arguments: str | Path) -> Ended:
    """Run ``nst-batch`` in a process of its own."""
    return end_of(start(*arguments))


def here(*arguments: str | Path) -> Ended:
    """Run ``nst-batch`` in this process: the same code without seconds of start-up. ``run`` renders inline."""
    inline = ["--inline"] if arguments[0] == "run" else []
    result = CliRunner().invoke(app, [*map(str, arguments), *inline])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)


def files_end_at(length: int) -> contextlib.AbstractContextManager[None]:
    """As on a full disk: the kernel writes what fits below ``length`` bytes of a file, then refuses."""
    return _limited(resource.RLIMIT_FSIZE, length)


def address_space_ends_at(size: int) -> contextlib.AbstractContextManager[None]:
    """Processes started inside get no more than so many bytes, as with ``ulimit -v``."""
    return _limited(resource.RLIMIT_AS, size)


@contextlib.contextmanager
def _limited(kind: int, most: int) -> Iterator[None]:
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


def address_space_of(module: str) -> int:
    """Bytes of address space that importing a module takes: gigabytes, with torch's libraries for GPUs."""
    program = f"import {module}; print(open('/proc/self/status').read().split('VmSize:')[1].split()[0])"
    command = [sys.executable, "-c", program]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    return int(said.stdout) * 1024


def lines(run: Path) -> list[dict[str, Any]]:
    """Every whole manifest line of a run folder."""
    found = []
    for part in sorted((run / "manifest").glob("*.jsonl")):
        for line in part.read_bytes().split(b"\n"):
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
    return found


def pictures(run: Path) -> dict[str, bytes]:
    """Every picture of a run folder, by name."""
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*.png"))}


def temporaries(run: Path) -> list[Path]:
    return [path for path in run.rglob("*") if path.name.endswith(".nst-tmp")]


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Poll until ``condition``; fail loudly when it never comes."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.02)


def workers_of(parent: int) -> list[int]:
    """Process ids of the spawned workers whose parent is ``parent``."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent_of = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if parent_of == parent and b"spawn_main" in command:
            found.append(int(entry.name))
    return found


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
