"""PipelineSpec to tasks: pairs, sweeps, ids, names, costs. Pure: the same spec and inputs give the same tasks."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from nst_batch.errors import PlanError
from nst_batch.records import ALGORITHM_VERSION, CONV_LAYERS, Source, Task, TransferSettings, Weights
from nst_batch.sizes import target_size
from nst_batch.spec import PipelineSpec, Sample, sweep_points

_LONGEST_NAME = 200  # bytes; file systems allow 255, temporary names need some
_LONGEST_PART = 90  # bytes of a picture's own name in an output's name, so that two of them fit


def plan(spec: PipelineSpec, source: Callable[[Path], Source], weights: Weights) -> tuple[Task, ...]:
    """Every picture that ``spec`` asks for, in its order.

    Args:
        spec: checked.
        source: digest and size of an input file; asked once for each file.
        weights: what ``spec.weights`` came to.

    Raises:
        PlanError: two tasks would write one file, or a name leaves the output folder.
    """
    known: dict[Path, Source] = {}
    points = sweep_points(spec.sweep)
    base = spec.settings()
    tasks = []
    for content, style, overrides in _pairs(spec):
        for path in (content, style):
            if path not in known:
                known[path] = source(path)
        for point in points:
            settings = resolve(dataclasses.replace(base, **{**overrides, **point}), weights)
            tasks.append(_task(spec, known[content], known[style], settings, point, weights))
    _refuse_collisions(tasks, spec.output.name)
    return tuple(tasks)


def resolve(settings: TransferSettings, weights: Weights) -> TransferSettings:
    """``auto`` values replaced by what they come to with these weights."""
    if settings.pooling == "auto":
        pooling: Literal["avg", "max"] = "avg" if weights.path is None else "max"
        return dataclasses.replace(settings, pooling=pooling)
    return settings


def task_id(content: Source, style: Source, settings: TransferSettings, weights: Weights, suffix: str) -> str:
    """blake2b of the canonical JSON of all that changes pixels: not paths, devices or worker counts."""
    made_of = {
        "algorithm": ALGORITHM_VERSION,
        "content": content.digest,
        "style": style.digest,
        "settings": dataclasses.asdict(settings),
        "weights": weights.digest,
        "format": suffix,
    }
    canonical = json.dumps(made_of, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()


def cost(source: Source, settings: TransferSettings) -> float:
    """Floating-point operations of a transfer, about: VGG forward, and twice that backward, at every step."""
    if not source.width:
        return 0.0
    width, height = target_size(source.width, source.height, settings)
    depth = max(_depth(layer) for layer in (*settings.content_layers, *settings.style_layers))
    return 3.0 * settings.steps * width * height * _FORWARD[depth]


def _depth(layer: str) -> int:
    """How many convolutions a tap needs."""
    return CONV_LAYERS.index(layer.replace("relu", "conv")) + 1


def _forward_operations() -> list[float]:
    """Operations a pixel of VGG-19's first n convolutions, for n from 0: 2 · 9 · Cin · Cout / 4^(block - 1)."""
    totals, channels = [0.0], 3
    for name in CONV_LAYERS:
        block = int(name[4])
        width = min(64 << (block - 1), 512)
        totals.append(totals[-1] + 18 * channels * width / 4 ** (block - 1))
        channels = width
    return totals


_FORWARD = _forward_operations()


def _pairs(spec: PipelineSpec) -> Iterator[tuple[Path, Path, dict[str, Any]]]:
    """(content, style, overrides) in the file's order."""
    if isinstance(spec.pairs, tuple):
        for pair in spec.pairs:
            yield from ((c, s, pair.overrides()) for c in pair.content for s in pair.style)
    elif spec.pairs == "zip":
        yield from ((c, s, {}) for c, s in zip(spec.content, spec.style, strict=True))
    elif isinstance(spec.pairs, Sample):
        yield from _sampled(spec, spec.pairs)
    else:
        yield from ((c, s, {}) for c in spec.content for s in spec.style)


def _sampled(spec: PipelineSpec, sample: Sample) -> Iterator[tuple[Path, Path, dict[str, Any]]]:
    """Each content draws by its own name, so that adding contents does not change what others drew."""
    for content in spec.content:
        drawn = random.Random(f"{sample.seed}/{content.name}").sample(range(len(spec.style)), sample.sample)
        yield from ((content, spec.style[index], {}) for index in sorted(drawn))


def _task(
    spec: PipelineSpec,
    content: Source,
    style: Source,
    settings: TransferSettings,
    point: dict[str, Any],
    weights: Weights,
) -> Task:
    suffix = Path(spec.output.name).suffix.lower()
    identity = task_id(content, style, settings, weights, suffix)
    output = _name(spec.output.name, Path(content.path), Path(style.path), settings, point, identity)
    return Task(identity, content, style, settings, weights, output, cost(content, settings))


def _name(
    template: str, content: Path, style: Path, settings: TransferSettings, point: dict[str, Any], identity: str
) -> str:
    """The output's name, relative to the run folder; refused when it would leave it or cannot be a file's name."""
    values = {name: _word(value) for name, value in dataclasses.asdict(settings).items()}
    values.update(
        content=_part(content.stem),
        style=_part(style.stem),
        content_suffix=content.suffix[1:],
        style_suffix=style.suffix[1:],
        content_folder=_part(content.parent.name),
        style_folder=_part(style.parent.name),
        sweep="".join(f"__{name}={_word(value)}" for name, value in point.items()),
        task=identity[:12],
    )
    output = template.format_map(values)
    path = PurePosixPath(output)
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise PlanError(f"output.name: {output!r} leaves the output folder", hint="use names without '..' or '/' first")
    if _folded(path.parts[0]) in ("manifest", "state") and len(path.parts) > 1:
        raise PlanError(f"output.name: {output!r} is in a folder that nst_batch keeps for itself")
    if any(len(part.encode(errors="surrogateescape")) > _LONGEST_NAME for part in path.parts):
        raise PlanError(f"output.name: longer than {_LONGEST_NAME} bytes: {output!r}", hint="use {task} in output.name")
    return str(path)


def _part(text: str) -> str:
    """A file's stem as a part of a name: no control characters, no separators, not hidden, not too long."""
    clean = "".join("_" if unicodedata.category(c) == "Cc" or c in "/\\" else c for c in text).lstrip(".")
    encoded = clean.encode(errors="surrogateescape")
    if len(encoded) > _LONGEST_PART:
        digest = hashlib.blake2b(encoded, digest_size=4).hexdigest()
        clean = f"{encoded[: _LONGEST_PART - 9].decode(errors='ignore')}~{digest}"
    return clean or "_"


def _word(value: Any) -> str:
    """A setting's value inside a file name."""
    if isinstance(value, tuple):
        return "+".join(_word(item) for item in value)
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _refuse_collisions(tasks: list[Task], template: str) -> None:
    """Two tasks must not write one file, on any file system (some fold case and accents)."""
    taken: dict[str, Task] = {}
    for task in tasks:
        name = _folded(task.output)
        other = taken.setdefault(name, task)
        if other is not task:
            raise PlanError(
                f"output.name: two tasks would write {task.output!r}: {_made_of(other)} and {_made_of(task)}",
                hint=_tell_apart(other, task, template),
            )


def _made_of(task: Task) -> str:
    return f"{task.content.path} x {task.style.path}"


def _folded(name: str) -> str:
    """Equal for names that are one file on some file system."""
    return unicodedata.normalize("NFC", name).casefold()


def _tell_apart(one: Task, other: Task, template: str) -> str:
    """Which placeholder that ``template`` lacks would give two tasks two names."""
    if one.id == other.id:
        return "both are the same picture: ask for it once"
    for kind, first, second in (("content", one.content, other.content), ("style", one.style, other.style)):
        a, b = Path(first.path), Path(second.path)
        parts = {kind: (a.stem, b.stem), f"{kind}_suffix": (a.suffix, b.suffix)}
        parts[f"{kind}_folder"] = (a.parent.name, b.parent.name)
        for field, (x, y) in parts.items():
            if f"{{{field}}}" not in template and _folded(x) != _folded(y):
                return f"add {{{field}}}{'/' if field.endswith('folder') else ''} to output.name"
    return "add {task} to output.name" if "{sweep}" in template else "add {sweep} or {task} to output.name"
