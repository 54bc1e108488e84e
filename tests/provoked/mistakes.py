"""Pipeline files with something wrong in each, for every mistake that can be named."""

from __future__ import annotations

import functools
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from nst_batch.errors import SpecError
from nst_batch.spec import load_spec
from tests import runs

BASE = "name: n\ncontent: content\nstyle: style\n"
PAIR = "name: n\npairs:\n  - content: content\n"

FILES = (
    "content: content\nstyle: style\n",
    "name: two words\ncontent: content\nstyle: style\n",
    "name: n\n",
    "name: n\ncontent: nowhere\nstyle: [empty, 'empty/*.png', pipe]\n",
    "name: n\ncontent: ~no-such-user/x\nstyle: " + "x" * 300 + "\n",
    BASE + "name: n\n",
    BASE + "yes: 3\noutputs: here\n",
    BASE + "pairs: crossed\n",
    BASE + "pairs: zip\n",
    BASE + "pairs: {sample: 9}\n",
    BASE + "pairs: {samples: 3}\n",
    BASE + "pairs: []\n",
    BASE + "pairs: [a]\n",
    PAIR,
    PAIR + "    styles: [{path: none.png}, {path: style/s0.png, region: red}]\n",
    BASE + "transfer: {preset: gaty, style_layer: [relu1_1], steps: many, content_layers: [relu4_9]}\n",
    BASE + "transfer: {style_layers: []}\n",
    BASE + "transfer: {size: 4, style_scale: 0, strength: 2, style_weight: .inf, seed: yes}\n",
    BASE + "transfer: {stop: {rel: 2}, scales: small, octaves: [1]}\n",
    BASE + "transfer: {stop: {windo: 2}, history: long}\n",
    BASE + "transfer: {stop: {window: 0}, init: nowhere.png, masks: perhaps}\n",
    BASE + "transfer: {init: '{contents}.png'}\n",
    BASE + "transfer: {adam_betas: [0.9]}\n",
    BASE + "transfer: {content_weight: 0, style_weight: 0}\n",
    BASE + "transfer: {line_search: strong_wolfe, optimizer: adam}\n",
    BASE + "transfer: {style_layer_weights: [1, 2]}\n",
    BASE + "sweep: {size: 256, steps: []}\n",
    BASE + "weights: imagnet\n",
    BASE + "weights: {path: none.pth}\n",
    BASE + "output: {dir: content/c0.png, name: '{contents}.png', bits: 12, quality: 0}\n",
    BASE + "output: {name: 'a.gif'}\n",
    BASE + "output: {name: '{.png'}\n",
    BASE + "output: {name: '{steps:04d}.png'}\n",
    BASE + 'output: {name: "a\\n.png"}\n',
    BASE + "output: {name: 'a.jpg', bits: 16}\n",
    BASE + "run: {devices: [gpu], retrys: 3, batch: few, tile: 4, memory_limit: much, compile: maybe}\n",
    BASE + "run: {memory_limit: 3 MB}\n",
    BASE + "cluster: {time: soon, mem: much, partition: ' ', extra: [mail, --array=1-3], setup: \"a\\0b\"}\n",
    BASE + "cluster: {time: 0, account: true}\n",
    "name: [1, 2\nb: 3\n",
    "name: 2024-13-45\n",
    "name: &a [*a]\n",
    "name: a\0b\n",
    "name: " + "[" * 5000 + "\n",
    "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 10)}]\n" for n in range(5)),
)  # fmt: skip


@dataclass(frozen=True)
class Mistake:
    """``where``: a file and its line, or ``--set``; ``key`` may be empty."""

    line: str
    where: str
    rest: str
    hint: str


@functools.cache
def all_mistakes() -> list[Mistake]:
    """What is said of each of the files."""
    found = []
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr("nst_batch.yaml_lines.MOST_PLACES", 1000)
        folder = Path(name)
        runs.make_pictures(folder, contents=2, styles=3)
        (folder / "empty").mkdir()
        os.mkfifo(folder / "pipe")
        for text in FILES:
            found += _mistakes_of(folder, text, {})
        for key, value in {"transfer.sizes": "64", "name.first": "x"}.items():
            found += _mistakes_of(folder, BASE, {key: value})
    return found


def _mistakes_of(folder: Path, text: str, sets: dict[str, str]) -> list[Mistake]:
    file = folder / "p.yaml"
    file.write_text(text)
    try:
        load_spec(file, sets)
    except SpecError as error:
        lines = [line.replace(f"{folder}/", "") for line in error.mistakes]
        return [Mistake(line, *line.partition(": ")[::2], error.hint) for line in lines]
    raise AssertionError(f"nothing is wrong with {text!r}")
