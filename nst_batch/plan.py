"""PipelineSpec to tasks: pairs, sweeps, ids, names, costs. Pure: the same spec and inputs give the same tasks."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import random
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

from nst_batch.demands import work
from nst_batch.errors import PlanError
from nst_batch.fanout import bucket
from nst_batch.pair_table import PairTable
from nst_batch.records import ALGORITHM_VERSION, OutputFormat, Source, Style, Task, Weights
from nst_batch.settings import FROM_FILE, INIT_WORDS, SETTINGS, TransferSettings
from nst_batch.spec import PipelineSpec, Sample, sweep_points

LOSSY_SUFFIXES = (".jpg", ".jpeg", ".webp")
_LONGEST_NAME = 200  # bytes; file systems allow 255, temporary names need some
_MISLEADING = "/\\" + "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Separators, and marks that turn round what follows them, as in ``photo_gpj.exe``."""

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
    planner = _Planner(spec, functools.cache(source), weights)
    tasks = []
    points = sweep_points(spec.sweep)
    base = spec.settings()
    for pair in _pairs(spec):
        for point in points:
            settings = resolve(dataclasses.replace(base, **{**pair.overrides, **point}), weights)
            tasks.append(planner.task(pair, settings, point))
    _refuse_collisions(tasks, spec.output.name)
    return tuple(tasks)


class _Share(NamedTuple):
    """A style's file, and its part in the picture."""

    path: Path
    weight: float = 1.0
    region: str = ""


class _Pair(NamedTuple):
    """A content, the styles it gets in one picture, and settings of this pair alone."""

    content: Path
    styles: tuple[_Share, ...]
    overrides: Mapping[str, Any] = {}


class _Planner:
    """Makes tasks, given what is the same for all of them."""

    def __init__(self, spec: PipelineSpec, source: Callable[[Path], Source], weights: Weights) -> None:
        self._name = spec.output.name
        self._format = OutputFormat(Path(spec.output.name).suffix.lower(), spec.output.bits, spec.output.quality)
        self._source = source
        self._weights = weights

    def task(self, pair: _Pair, settings: TransferSettings, point: dict[str, Any]) -> Task:
        """The task of a pair at one point of the sweep."""
        content = self._masked(pair.content, settings)
        styles = tuple(Style(self._masked(path, settings), weight, region) for path, weight, region in pair.styles)
        if len(styles) == 1 and not styles[0].region:
            styles = (Style(styles[0].source),)  # alone, a weight changes nothing
        names = _names(content, styles, settings, point)
        start = None
        if settings.init not in INIT_WORDS:
            start = dataclasses.replace(self._source(Path(settings.init.format_map(names))), mask=None)
            settings = dataclasses.replace(settings, init=FROM_FILE)
        identity = task_id(content, styles, settings, self._weights, self._format, start)
        output = _name(self._name, {**names, "task": identity[:12]})
        expense = cost(content, settings)
        return Task(identity, content, styles, settings, self._weights, output, self._format, start, expense)

    def _masked(self, path: Path, settings: TransferSettings) -> Source:
        found = self._source(path)
        return found if settings.masks else dataclasses.replace(found, mask=None)


def resolve(settings: TransferSettings, weights: Weights) -> TransferSettings:
    """``auto`` values replaced by what they come to with these weights."""
    if settings.pooling == "auto":
        pooling: Literal["avg", "max"] = "avg" if weights.path is None else "max"
        return dataclasses.replace(settings, pooling=pooling)
    return settings


def task_id(
    content: Source,
    styles: Sequence[Style],
    settings: TransferSettings,
    weights: Weights,
    format: OutputFormat = OutputFormat(),  # noqa: B008 - frozen
    start: Source | None = None,
) -> str:
    """blake2b of the canonical JSON of all that changes pixels: not paths, devices or worker counts."""
    made_of = {
        "algorithm": ALGORITHM_VERSION,
        "content": _digests(content),
        "style": [[*_digests(style.source), style.weight, style.region] for style in styles],
        "start": start.digest if start else None,
        "settings": settings.for_ids(),
        "weights": [weights.digest, weights.format],
        "format": [format.suffix, format.bits, format.quality if format.suffix in LOSSY_SUFFIXES else None],
    }
    canonical = json.dumps(made_of, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()


def _digests(source: Source) -> list[str | None]:
    return [source.digest, source.mask.digest if source.mask else None]


def cost(source: Source, settings: TransferSettings) -> float:
    """Floating-point operations of a transfer, about."""
    return work(settings, source.width, source.height) if source.width else 0.0


def _pairs(spec: PipelineSpec) -> Iterator[_Pair]:
    """In the file's order."""
    if isinstance(spec.pairs, PairTable):
        yield from (_Pair(Path(c), (_Share(Path(s)),), own) for c, s, own in spec.pairs.rows())
    elif isinstance(spec.pairs, tuple):
        for pair in spec.pairs:
            together = tuple(_Share(style.path, style.weight, style.region) for style in pair.styles)
            groups = [together] if together else [(_Share(style),) for style in pair.style]
            yield from (_Pair(content, styles, pair.overrides()) for content in pair.content for styles in groups)
    elif spec.pairs == "zip":
        yield from (_Pair(c, (_Share(s),)) for c, s in zip(spec.content, spec.style, strict=True))
    elif isinstance(spec.pairs, Sample):
        yield from _sampled(spec, spec.pairs)
    else:
        yield from (_Pair(c, (_Share(s),)) for c in spec.content for s in spec.style)


def _sampled(spec: PipelineSpec, sample: Sample) -> Iterator[_Pair]:
    """Each content draws by its own name, so that adding contents does not change what others drew."""
    for content in spec.content:
        drawn = random.Random(f"{sample.seed}/{content.name}").sample(range(len(spec.style)), sample.sample)
        yield from (_Pair(content, (_Share(spec.style[index]),)) for index in sorted(drawn))


def _names(
    content: Source, styles: Sequence[Style], settings: TransferSettings, point: dict[str, Any]
) -> dict[str, str]:
    """What placeholders in ``output.name`` and ``init`` stand for."""
    names = {name: _word(value) for name, value in dataclasses.asdict(settings).items()}
    one, many = Path(content.path), [Path(style.source.path) for style in styles]
    return {
        **names,
        "content": _part(one.stem),
        "style": _part("+".join(path.stem for path in many)),
        "content_suffix": one.suffix[1:],
        "style_suffix": many[0].suffix[1:],
        "content_folder": _part(one.parent.name),
        "style_folder": _part(many[0].parent.name),
        "bucket": bucket(one.stem, [path.stem for path in many]),
        "sweep": "".join(f"__{name}={_word(value)}" for name, value in point.items()),
    }


def _name(template: str, names: dict[str, str]) -> str:
    """The output's name, relative to the run folder; refused when it would leave it or cannot be a file's name."""
    output = template.format_map(names)
    path = PurePosixPath(output)
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise PlanError(
            f"output.name: {output!r} leaves the output folder", hint="it may not begin with '/' nor go up with '..'"
        )
    if _folded(path.parts[0]) in ("manifest", "state") and len(path.parts) > 1:
        raise PlanError(
            f"output.name: {output!r} is in a folder that nst_batch keeps for itself", hint="name the folder otherwise"
        )
    if any(len(part.encode(errors="surrogateescape")) > _LONGEST_NAME for part in path.parts):
        raise PlanError(
            f"output.name: longer than {_LONGEST_NAME} bytes: {output!r}", hint="shorten it; {task} is short"
        )
    return output


def _part(text: str) -> str:
    """A file's stem as a part of a name: no control characters, no separators, not hidden, not too long."""
    clean = "".join("_" if unicodedata.category(c) == "Cc" or c in _MISLEADING else c for c in text).lstrip(".")
    encoded = clean.encode(errors="surrogateescape")
    if len(encoded) > _LONGEST_PART:
        digest = hashlib.blake2b(encoded, digest_size=4).hexdigest()
        clean = f"{encoded[: _LONGEST_PART - 9].decode(errors='ignore')}~{digest}"
    return clean or "_"


def _word(value: Any) -> str:
    """A setting's value inside a file name."""
    if isinstance(value, dict):
        return "+".join(_word(item) for item in value.values())
    if isinstance(value, tuple):
        return "+".join(_word(item) for item in value)
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else _part(str(value).replace("/", "-"))


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
    return " x ".join([task.content.path, "+".join(style.source.path for style in task.styles)])


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
    if differing := _differing(one.settings, other.settings, template):
        named = " and ".join(f"{{{name}}}" for name in differing[:3])
        return f"add {named} to output.name, or {{task}}, which always differs"
    return "add {task} to output.name"


def _differing(one: TransferSettings, other: TransferSettings, template: str) -> list[str]:
    """Settings that differ where a name can show it, and that ``template`` has not."""
    names = (name for name in SETTINGS if f"{{{name}}}" not in template)
    return [name for name in names if _word(getattr(one, name)) != _word(getattr(other, name))]
