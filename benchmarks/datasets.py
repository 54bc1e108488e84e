"""Folders of large runs, written in seconds: what a million finished tasks leave behind, for those who measure it.

No transfer is made. Names, ids and the plan are what the project itself makes of such a dataset; lines are as long as
real ones are, and say other things in each; pictures are a thousand blends, each under many names.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import itertools
import math
import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from nst_batch.columns import NONE, Bytes, Ints, Strings
from nst_batch.paths import RunPaths
from nst_batch.planning.fanout import bucket
from nst_batch.planning.ids import ids_of
from nst_batch.planning.planned import write_plan
from nst_batch.planning.source_table import SourceTable
from nst_batch.planning.task_table import Share, TaskTable
from nst_batch.planning.variants import Variant, Variants
from nst_batch.recorded.manifest import line
from nst_batch.records import Failure, Losses, OutputFormat, Source, Style, Task, TaskResult, Weights
from nst_batch.settings import TransferSettings

_PHOTOS, _PAINTINGS, _SIDE = 64, 16, 96
_POINTS = 32  # of each curve
_BEGAN = 1_772_359_200.0  # seconds since 1970


@dataclasses.dataclass(frozen=True)
class Dataset:
    """What there is to be.

    ``pairs``: ``sample`` has a content for each task and folders by ``{bucket}``, ``product`` every content in every
    style and a folder for each content. ``strengths``: of a sweep. ``failed`` and ``todo``: one in so many, 0: none.
    ``pictures``: whether inputs are there to be looked at; outputs always are.
    """

    tasks: int
    styles: int = 1000
    pairs: Literal["sample", "product"] = "sample"
    strengths: tuple[float, ...] = (0.6,)
    failed: int = 1000
    todo: int = 0
    parts: int = 100
    pictures: bool = False


def make(folder: Path, wanted: Dataset) -> RunPaths:
    """The folder of such a run, ``run``, beside those of its inputs."""
    paths = RunPaths(folder / "run")
    drawn = draw(folder / "drawn")
    tasks = _tasks(folder, wanted)
    if wanted.pictures:
        _link_inputs(tasks.sources, drawn)
    finish(paths, tasks, wanted, drawn)
    return paths


def finish(paths: RunPaths, tasks: TaskTable, wanted: Dataset, drawn: Drawn) -> None:
    """What a run of these tasks leaves behind; contents come first among their sources, and then styles."""
    paths.state.mkdir(parents=True, exist_ok=True)
    paths.manifest.mkdir()
    write_plan(paths, tasks)
    _write_lines(paths, tasks, wanted, drawn)
    _link_outputs(paths, tasks, wanted, drawn)


# --- pictures ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Drawn:
    """Files that are linked under other names, and the outputs' sizes."""

    photos: list[Path]
    paintings: list[Path]
    blends: list[list[Path]]
    sizes: Ints


def draw(folder: Path) -> Drawn:
    """Make them."""
    from benchmarks.pictures import DATA, squares  # torch comes with it

    folder.mkdir(parents=True)
    seen = [squares(DATA / kind, _SIDE, many) for kind, many in (("content", _PHOTOS), ("style", _PAINTINGS))]
    photos, paintings = ([_saved(each, folder) for each in images] for images in seen)
    blends = [[_saved(Image.blend(photo, art, 0.6), folder) for art in seen[1]] for photo in seen[0]]
    sizes = np.array([[path.stat().st_size for path in row] for row in blends], np.int64)
    return Drawn(photos, paintings, blends, sizes)


def _saved(image: Image.Image, folder: Path) -> Path:
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    path = folder / f"{hashlib.sha256(out.getvalue()).hexdigest()[:20]}.png"
    path.write_bytes(out.getvalue())
    return path


def _link_inputs(sources: SourceTable, drawn: Drawn) -> None:
    for row, path in enumerate(sources.paths):
        kind = drawn.photos if "/photos/" in path else drawn.paintings
        place = row if kind is drawn.photos else int(path[-8:-4])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.link(kind[place % len(kind)], path)


def _link_outputs(paths: RunPaths, tasks: TaskTable, wanted: Dataset, drawn: Drawn) -> None:
    made, root = set[str](), os.fspath(paths.root)
    for row, (output, content, group) in enumerate(_of_each(tasks)):
        if _state(row, wanted) == "done":
            folder = output.rpartition("/")[0]
            if folder not in made:
                os.makedirs(f"{root}/{folder}")
                made.add(folder)
            os.link(drawn.blends[content % _PHOTOS][group % _PAINTINGS], f"{root}/{output}")


# --- the plan ---------------------------------------------------------------------------------------------------------


def _tasks(folder: Path, wanted: Dataset) -> TaskTable:
    points = len(wanted.strengths)
    contents = wanted.tasks // points // (wanted.styles if wanted.pairs == "product" else 1)
    photos = (f"{folder}/photos/n{place // 1000:05}/img_{place:07}.jpg" for place in range(contents))
    arts = (f"{folder}/styles/style_{place:04}.jpg" for place in range(wanted.styles))
    count = contents + wanted.styles
    shape = np.full(count, _SIDE, np.int64)
    sources = SourceTable(
        Strings.of(itertools.chain(photos, arts)), _digests(count), shape * 200, shape, shape,
        np.full(count, NONE, np.int64),
    )  # fmt: skip
    if wanted.pairs == "product":
        content_of, group_of = np.divmod(np.arange(contents * wanted.styles), wanted.styles)
    else:
        content_of = np.arange(contents)
        group_of = np.random.default_rng(0).integers(wanted.styles, size=contents)
    content_of, group_of = content_of.repeat(points), group_of.repeat(points)
    groups = [(Share(contents + place),) for place in range(wanted.styles)]
    weights = Weights("imagenet", "e" * 64, "vgg19-dcbb9e9d.pth")
    variants = Variants(
        [Variant(TransferSettings(strength=each), weights, OutputFormat()) for each in wanted.strengths]
    )
    variant_of = np.tile(np.arange(points), len(content_of) // points)
    starts = np.full(len(content_of), NONE, np.int64)
    ids = ids_of(sources, groups, variants, (content_of, group_of, variant_of, starts))
    rows = zip(content_of.tolist(), group_of.tolist(), variant_of.tolist(), strict=True)
    outputs = Strings.of(_output(content, group, variant, wanted) for content, group, variant in rows)
    return TaskTable(sources, groups, variants, content_of, group_of, variant_of, starts, ids, outputs)


def _digests(count: int) -> Bytes:
    return np.random.default_rng(1).integers(0, 256, (count, 32), np.uint8)


def _output(content: int, group: int, variant: int, wanted: Dataset) -> str:
    photo, art = f"img_{content:07}", f"style_{group:04}"
    folder = photo if wanted.pairs == "product" else bucket(photo, [art])
    point = f"__strength{wanted.strengths[variant]:g}" if len(wanted.strengths) > 1 else ""
    return f"{folder}/{photo}__{art}{point}.png"


def _of_each(tasks: TaskTable) -> Iterator[tuple[str, int, int]]:
    """Output, content and style of each task."""
    return zip(tasks.outputs, tasks.contents.tolist(), tasks.group_of.tolist(), strict=True)


def _state(row: int, wanted: Dataset) -> str:
    if wanted.failed and row % wanted.failed == wanted.failed // 2:
        return "failed"
    return "todo" if wanted.todo and row % wanted.todo == wanted.todo // 3 else "done"


# --- the manifest -----------------------------------------------------------------------------------------------------

_MARKS = ("id", "output", "content", "style", "moment", "sha256", "photo", "painting")
_NUMBERS = {"loss": "4321.015625", "seconds": "4321.03125", "bytes": "987654321"}


def _write_lines(paths: RunPaths, tasks: TaskTable, wanted: Dataset, drawn: Drawn) -> None:
    """A share of the plan's order in each part."""
    digests, sources = tasks.sources.digests.tobytes().hex(), list(tasks.sources.paths)
    templates = [_templates(each) for each in tasks.variants]
    per_part, styles = -(-len(tasks) // wanted.parts), len(sources) - wanted.styles
    every = enumerate(zip(_of_each(tasks), tasks.variant_of.tolist(), strict=True))
    for part in range(wanted.parts):
        lines = list[bytes]()
        for row, ((output, content, group), variant) in itertools.islice(every, per_part):
            if (state := _state(row, wanted)) == "todo":
                continue
            photo, painting = content, styles + group
            values = {
                "id": tasks.id(row), "output": output, "moment": _moment(row),
                "content": sources[photo], "photo": digests[64 * photo : 64 * photo + 64],
                "style": sources[painting], "painting": digests[64 * painting : 64 * painting + 64],
                "sha256": digests[64 * photo : 64 * photo + 64],
                "loss": f"{0.1 + row * 7919 % 10007 / 1e4:.6f}", "seconds": f"{4 + row * 104729 % 9973 / 1e3:.6f}",
                "bytes": str(drawn.sizes[content % _PHOTOS, group % _PAINTINGS]),
            }  # fmt: skip
            lines.append(templates[variant][state] % {key.encode(): value.encode() for key, value in values.items()})
        paths.part(f"20260301T100000-{part:04}").write_bytes(b"".join(lines))


def _moment(row: int) -> str:
    return datetime.fromtimestamp(_BEGAN + row * 0.01, timezone.utc).isoformat(timespec="microseconds")


def _templates(variant: Variant) -> dict[str, bytes]:
    """A done line and a failed one, with a place for each value."""
    mark = {name: f"@{name}@" for name in _MARKS}
    content, style = (Source(mark[a], mark[b], 1) for a, b in (("content", "photo"), ("style", "painting")))
    task = Task(mark["id"], content, (Style(style),), variant.settings, variant.weights, mark["output"], variant.format)
    error = Failure("ImageError", f"{mark['content']}: broken picture: image file is truncated", "replace the file")
    failed = TaskResult(
        mark["id"], "failed", mark["output"], error=error, device="cuda:0", host="studio", started=mark["moment"],
        finished=mark["moment"],
    )  # fmt: skip
    return {"done": _with_places(line(task, _done(mark))), "failed": _with_places(line(task, failed))}


def _done(mark: dict[str, str]) -> TaskResult:
    falling = [round(3.2101 * math.exp(-step / 9) + 0.1, 7) for step in range(_POINTS)]
    names = ["content/conv2_2", *(f"style/conv{1 + n % 4}_1/{2 ** (n // 4)}" for n in range(12)), "tv"]
    values = np.random.default_rng(0).uniform(0.001, 1, (len(names), _POINTS)).round(4).tolist()
    layers = {name.partition("/")[2]: 0.1234567 for name in names[1:-1]}
    losses = Losses(float(_NUMBERS["loss"]), 0.0412345, 0.0612345, {"content": {"conv2_2": 0.0412345}, "style": layers})
    return TaskResult(
        mark["id"], "done", mark["output"], losses=losses,
        curve=tuple((10 * step + 1, loss) for step, loss in enumerate(falling)),
        terms={name: tuple(course) for name, course in zip(names, values, strict=True)},
        evaluations=311, width=_SIDE, height=_SIDE, bytes=int(_NUMBERS["bytes"]), sha256=mark["sha256"],
        seconds=float(_NUMBERS["seconds"]), device="cuda:0", scales=((48, 48, 120), (_SIDE, _SIDE, 191)),
        precision="fp16", peak_memory_bytes=812_345_678,
        versions={"nst_batch": "1.0", "torch": "2.6.0", "python": "3.12.1"}, host="studio",
        started=mark["moment"], finished=mark["moment"],
    )  # fmt: skip


def _with_places(made: bytes) -> bytes:
    found = made.replace(b"%", b"%%")
    for name in _MARKS:
        found = found.replace(f"@{name}@".encode(), f"%({name})b".encode())
    for name, number in _NUMBERS.items():
        found = found.replace(number.encode(), f"%({name})b".encode())
    return found
