"""Pipeline files with something wrong in each, for every mistake that can be named."""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from nst_batch.errors import SpecError
from nst_batch.pipeline_file.spec import load_spec
from tests import runs

TOGETHER = "transfer: {style_layers: [relu1_1], style_layer_weights: [1]}\n"
BASE = "name: n\ncontent: content\nstyle: style\n"
PAIR = "name: n\npairs:\n  - content: content\n"

FILES = (
    "content: content\nstyle: style\n",
    "name: two words\ncontent: content\nstyle: style\n",
    "name: n\n",
    "name: n\ncontent: nowhere\nstyle: [empty, 'empty/*.png', pipe]\n",
    "name: n\ncontent: ~no-such-user/x\nstyle: " + "x" * 300 + "\n",
    "name: n\ncontent: $NST_BATCH_NOT_SET/x\nstyle: text\nexclude: {a: b}\n",
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
    "name: n\nstyle: style\ncontent: @list.txt\n",
    BASE.replace("content: content", "content: '@none.txt'"),
    BASE + "pairs: '@content/c0.png'\n",
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
    BASE + "weights: vgg16\n",
    BASE + "weights: auto\n",
    BASE + "weights: imagenet\n",
    BASE + "weights: {path: none.pth}\n",
    BASE + "output: {dir: content/c0.png, name: '{contents}.png', bits: 12, quality: 0}\n",
    BASE + "output: {name: 'a.gif'}\n",
    BASE + "output: {name: '{.png'}\n",
    BASE + "output: {name: '{steps:04d}.png'}\n",
    BASE + 'output: {name: "a\\n.png"}\n',
    BASE + "output: {name: 'a.jpg', bits: 16}\n",
    BASE + "output: {name: 'a.tif', metadata: gps}\n",
    BASE + "output: {metadata: all}\n",
    "name: n\ncontent: '{0..9999999}.png'\nstyle: style\n",
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

LISTS = {
    "empty.txt": b"# nothing\n \n",
    "latin.txt": b"a.png\n\xe9.png\n",
    "zero.txt": b"a\0b.png\n",
    "gone.txt": b"\nx.png\ny.png\n",
}
"""By name, each with something wrong."""

PAIRED = b"content,style\ncontent/c0.png,style/s0.png\n"
TABLES = {
    "gone.csv": b"content,style\nx.png,y.png\n",
    "none.csv": b"",
    "bare.csv": b"content,style\n",
    "latin.csv": PAIRED + b"\xe9,b\n",
    "twice.csv": b"content,style,style\na,b,c\n",
    "open.csv": PAIRED + b'"a,b\n',
    "ragged.csv": PAIRED + b"\na\na,b,c\n",
    "stile.csv": b"content,stile\na,b\n",
    "stepps.csv": b"content,style,stepps\ncontent/c0.png,style/s0.png,3\n",
    "values.csv": b"content,style,steps,style_layers,stop,init\ncontent/c0.png,,many,[relu9_9],{rel: 2},x.png\n",
    "apart.csv": b'content,style,style_layers\ncontent/c0.png,style/s0.png,"[relu1_1, relu2_1]"\n',
    "many.csv": b"content,style,steps\n" + b"".join(b"content/c0.png,style/s0.png,-%d\n" % n for n in range(99)),
    "odd.jsonl": b'{"content": 3, "style": "\\ud800"}\n[1]\n{"content": "content/c0.png", "style": "a", "stile": 1}\n',
    "cut.parquet": b"PAR1",
}
"""The same, for ``pairs``."""

INDEXES = {
    "bare.csv": b"content\n",
    "paths.csv": b"path\na.png\n",
    "pairs.csv": PAIRED,
    "gone.jsonl": b'{"content": "x.png"}\n',
}
"""The same, for ``content``."""


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
        patch.setattr("nst_batch.pipeline_file.yaml_lines.MOST_PLACES", 1000)
        folder = Path(name)
        runs.make_pictures(folder, contents=2, styles=3)
        (folder / "empty").mkdir()
        os.mkfifo(folder / "pipe")
        (folder / "text").mkdir()
        (folder / "text" / "notes.txt").write_text("no picture")
        for text in FILES:
            found += _mistakes_of(folder, text, {})
        for key, files in {"content": LISTS | INDEXES, "pairs": TABLES}.items():
            for each, data in files.items():
                (folder / each).write_bytes(data)
                found += _mistakes_of(folder, BASE + TOGETHER, {key: f"@{each}"})
        with pytest.MonkeyPatch.context() as without:
            without.setitem(sys.modules, "pyarrow", None)
            found += _mistakes_of(folder, BASE, {"pairs": "@cut.parquet"})
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
