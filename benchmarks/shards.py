"""From tar shards into tar shards, killed again and again: what is lost, what is wrong, what is done twice.

What there has to be is known from what was put into the shards, and is looked for with the standard library and Pillow;
nothing of nst_batch says whether nst_batch is right.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.closure import REPOSITORY
from nst_batch.transfer.untrained import untrained_state

SIDES = (64, 80, 96)  # pixels
LAYERS = {"content_layers": ["conv1_2"], "style_layers": ["conv1_1", "conv1_2"]}
"""So few that a picture takes a tenth of a second: how pictures are made is not what this is about."""

COMPARED = 20  # pictures that are rendered once more by a run that nobody disturbs
LONGEST_START = 6.0  # seconds: a kill may come before the first picture, too
_TEMPORARY = ".nst-tmp"


@dataclass(frozen=True)
class Content:
    """A picture that was put into a shard."""

    shard: str
    name: str
    size: tuple[int, int]
    label: bytes

    @property
    def stem(self) -> str:
        """Its name without folder and ending."""
        return Path(self.name).stem


@dataclass
class Figures:
    """What happened; lists name outputs or files."""

    pictures: int
    shards: int
    steps: int
    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    seconds: float = 0.0
    begun_again: int = 0  # pictures that were there at a kill without their line
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    other_than_calm: list[str] = field(default_factory=list)
    compared: int = 0

    def in_words(self) -> str:
        """One line."""
        kills = ", ".join(f"{times} {kind}" for kind, times in sorted(self.kills.items())) or "none"
        return (
            f"{self.pictures} pictures of {SIDES[0]} to {SIDES[-1]} px in {self.shards} shards, {self.steps} steps: "
            f"{self.kills.total()} kills -9 ({kills}), {self.runs} runs, {self.seconds:.0f} s in all, "
            f"{self.pictures / self.seconds:.1f} pictures/s; lost {len(self.lost)}, wrong {len(self.wrong)}, "
            f"recorded twice {len(self.twice)}, rendered again since a kill came before their line {self.begun_again}, "
            f"stray files {len(self.strays)}, {self.compared} compared with a calm run: "
            f"{len(self.other_than_calm)} differ"
        )

    def failures(self) -> dict[str, list[str]]:
        """What must not be."""
        found = {
            "lost": self.lost, "wrong": self.wrong, "twice": self.twice, "strays": self.strays,
            "other than in a calm run": self.other_than_calm,
        }  # fmt: skip
        return {name: outputs[:10] for name, outputs in found.items() if outputs}


def measure(
    folder: Path, *, pictures: int = 2000, shards: int = 20, steps: int = 2, kills: int = 6, seed: int = 1
) -> Figures:
    """Stylise the pictures of tar shards, in runs of which so many are killed at moments of chance, and look at what
    came of it. Shards are packed late, since pictures of all of them are rendered by turns: so the last two are killed
    then."""
    chance = random.Random(seed)
    contents, styles = make_shards(folder, pictures, shards), make_styles(folder)
    pipeline, figures = write_pipeline(folder, steps), Figures(pictures, shards, steps)
    begun = time.monotonic()
    for number in range(kills):
        kind = "packing" if number >= kills - 2 else ("group", "worker")[number % 2]
        _disturb(_Run(pipeline, folder / "out", figures), kind, chance, pictures // (kills + 1))
    _Run(pipeline, folder / "out", figures, "--retry-failed").end()
    figures.seconds = time.monotonic() - begun
    judge(folder / "out", contents, styles, figures)
    compare(folder, pipeline, chance.sample(contents, min(COMPARED, pictures)), figures)
    return figures


# --- what goes in -----------------------------------------------------------------------------------------------------


def make_shards(folder: Path, pictures: int, shards: int) -> list[Content]:
    """``in/shard-NN.tar``: JPEG and PNG by turns, in folders, a label beside each."""
    (folder / "in").mkdir(parents=True)
    found, values = [], np.random.default_rng(7)
    for shard in range(shards):
        with tarfile.open(folder / "in" / f"shard-{shard:02}.tar", "w") as tar:
            for number in range(shard, pictures, shards):
                size = (int(values.choice(SIDES)), int(values.choice(SIDES)))
                small = Image.fromarray(values.integers(0, 256, (5, 5, 3), dtype=np.uint8))
                form, ending = (("JPEG", "jpg"), ("PNG", "png"))[number % 2]
                data = io.BytesIO()
                small.resize(size, Image.Resampling.BICUBIC).save(data, form)
                content = Content(f"shard-{shard:02}", f"n{number % 7}/img{number:05}.{ending}", size, b"%d" % number)
                for name, each in ((content.name, data.getvalue()), (f"{content.name[:-4]}.cls", content.label)):
                    about = tarfile.TarInfo(name)
                    about.size = len(each)
                    tar.addfile(about, io.BytesIO(each))
                found.append(content)
    return found


def make_styles(folder: Path, count: int = 5) -> list[str]:
    """``style/sN.png``; their stems."""
    (folder / "style").mkdir(parents=True)
    for number in range(count):
        values = np.random.default_rng(1000 + number).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(values).resize((80, 80), Image.Resampling.NEAREST).save(folder / "style" / f"s{number}.png")
    return [f"s{number}" for number in range(count)]


def write_pipeline(folder: Path, steps: int) -> Path:
    """From shards into shards, each content with a style of its own, by two workers."""
    import torch

    torch.save({f"features.{name}": value for name, value in untrained_state().items()}, folder / "vgg.pth")
    path = folder / "shards.yaml"
    spec = {
        "name": "shards", "content": "in/shard-*.tar", "style": "style", "pairs": {"sample": 1},
        "transfer": {"preset": "gatys", "fit": "native", "steps": steps, **LAYERS}, "weights": {"path": "vgg.pth"},
        "output": {"dir": "out", "name": "{shard}.tar/{content}__{style}.png"},
        "run": {"devices": ["cpu", "cpu"], "threads": 1, "report": "off"},
    }  # fmt: skip
    path.write_text(json.dumps(spec))  # JSON is YAML
    return path


# --- kills ------------------------------------------------------------------------------------------------------------


class _Run:
    """A run in a process group of its own."""

    def __init__(self, pipeline: Path, out: Path, figures: Figures, *more: str) -> None:
        figures.runs += 1
        self.figures = figures
        self.before = _lines(out)
        self._out = out
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nst_batch", "run", str(pipeline), *more],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )  # fmt: skip

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def rendered(self) -> int:
        return _lines(self._out) - self.before

    def is_packing(self) -> bool:
        """Whether an archive is being made anew."""
        return any(name.endswith(_TEMPORARY) and ".tar" in name for name in _names(self._out))

    def workers(self) -> list[int]:
        """Process ids of those that render."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self._process.pid and b"spawn_main" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except (OSError, IndexError, ValueError):
                continue
        return found

    def kill(self) -> None:
        """All of them at once, as when power fails."""
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        done = {line["output"] for line in _records(self._out)}
        self.figures.begun_again += len(_outputs(self._out) - done)

    def end(self) -> None:
        """Wait for it to end by itself.

        Raises:
            RuntimeError: it failed.
        """
        said = self._process.communicate()[1].decode()
        if self._process.returncode:
            raise RuntimeError(f"the run ended with {self._process.returncode}:\n{said}")


def _disturb(run: _Run, kind: str, chance: random.Random, about: int) -> None:
    """A kill; where that was of a worker alone, another one of all follows."""
    _wait(run, chance.randrange(about + 1), chance)
    if kind == "worker" and (workers := run.workers()):
        os.kill(chance.choice(workers), signal.SIGKILL)
        run.figures.kills["of a worker"] += 1
        _wait(run, run.rendered() + chance.randrange(about + 1), chance)
    if kind == "packing":
        while not run.is_packing() and not run.has_ended():
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.03))
    if not run.has_ended():
        run.figures.kills["while packing" if kind == "packing" else "of all"] += 1
    run.kill()


def _wait(run: _Run, pictures: int, chance: random.Random) -> None:
    """Until a run has so many, and a moment; for none, for as long as it may take to start up."""
    while run.rendered() < pictures and not run.has_ended():
        time.sleep(0.05)
    time.sleep(chance.uniform(0, 0.5 if pictures else LONGEST_START))


# --- what came out ----------------------------------------------------------------------------------------------------


def judge(out: Path, contents: list[Content], styles: list[str], figures: Figures) -> None:
    """Look at every member of every archive."""
    members: Counter[str] = Counter()
    data = dict[str, bytes]()
    for path in out.rglob("*.tar"):
        with tarfile.open(path) as tar:
            for each in tar:
                name = f"{path.relative_to(out)}/{each.name}"
                members[name] += 1
                file = tar.extractfile(each)
                data[name] = file.read() if file else b""
    records = Counter(line["output"] for line in _records(out))
    digests = {line["output"]: line["sha256"] for line in _records(out)}
    expected = set()
    for content in contents:
        may_be = [f"{content.shard}.tar/{content.stem}__{style}.png" for style in styles]
        found = [name for name in may_be if name in members]
        if len(found) != 1 or members[found[0]] != 1:
            figures.lost.append(f"{content.shard}/{content.name}: {len(found)} pictures")
            continue
        name, label = found[0], f"{found[0][:-4]}.cls"
        expected |= {name, label}
        if wrong := _objection(content, data[name], data.get(label), digests.get(name)):
            figures.wrong.append(f"{name}: {wrong}")
    figures.wrong += [f"{name}: not asked for, or there {times} times" for name, times in members.items()
                      if name not in expected or times > 1]  # fmt: skip
    figures.twice += [output for output, times in records.items() if times > 1]
    figures.lost += [f"{name}: no line" for name in expected if name.endswith(".png") and name not in records]
    figures.strays += [str(path) for path in out.rglob("*") if path.name.endswith((_TEMPORARY, ".loose", ".png"))]
    checkpoints = out / "state" / "checkpoints"
    figures.strays += [str(path) for path in checkpoints.rglob("*")]


def _objection(content: Content, data: bytes, label: bytes | None, digest: str | None) -> str:
    if hashlib.sha256(data).hexdigest() != digest:
        return "not the bytes of its line"
    if label != content.label:
        return f"label {label!r}"
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            size, about = image.size, json.loads(image.info["nst_batch"])
    except (OSError, ValueError, KeyError) as error:
        return f"no picture of ours: {error}"
    if size != content.size:
        return f"{size} pixels"
    return "" if about["content"] == Path(content.name).name else f"made of {about['content']}"


def compare(folder: Path, pipeline: Path, contents: list[Content], figures: Figures) -> None:
    """With pictures of a run that nobody disturbs, byte by byte: those of a list, as plain files."""
    spec = json.loads(pipeline.read_text())
    listed = [f"{content.shard}.tar/{content.name}" for content in contents]
    (folder / "in" / "some.txt").write_text("\n".join(listed))  # a content draws its style by its path from here on
    spec |= {"content": "@in/some.txt", "output": {"dir": "calm", "name": "{shard}/{content}__{style}.png"}}
    (folder / "calm.yaml").write_text(json.dumps(spec))
    _Run(folder / "calm.yaml", folder / "calm", Figures(0, 0, 0)).end()
    for path in sorted((folder / "calm").rglob("*.png")):
        figures.compared += 1
        with tarfile.open(folder / "out" / f"{path.parent.name}.tar") as tar:
            try:
                file = tar.extractfile(path.name)
            except KeyError:
                file = None
            if file is None or file.read() != path.read_bytes():
                figures.other_than_calm.append(f"{path.parent.name}/{path.name}")


def _lines(out: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in (out / "manifest").glob("*.jsonl"))


def _records(out: Path) -> list[dict[str, Any]]:
    """Lines of pictures that were rendered."""
    found = []
    for path in (out / "manifest").glob("*.jsonl"):
        for text in path.read_bytes().split(b"\n"):
            try:
                line = json.loads(text)
            except ValueError:  # torn by a kill
                continue
            if line.get("status") == "done":
                found.append(line)
    return found


def _outputs(out: Path) -> set[str]:
    """Pictures that are there, loose or packed."""
    found = set()
    for folder in out.glob("*.tar.loose"):
        found |= {f"{folder.name[:-6]}/{path.name}" for path in folder.glob("*.png")}
    for path in out.glob("*.tar"):
        with tarfile.open(path) as tar:
            found |= {f"{path.name}/{name}" for name in tar.getnames() if name.endswith(".png")}
    return found


def _names(out: Path) -> list[str]:
    try:
        return [path.name for path in out.iterdir()]
    except OSError:
        return []
