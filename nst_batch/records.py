"""The values that flow: ``pipeline.yaml → PipelineSpec → (Task, …) → TaskResult → one manifest line``.

Frozen, picklable, and free of torch and pydantic: the planner, the workers and the algorithm all share them.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal, get_args, get_origin, get_type_hints

from nst_batch.errors import NstError, SettingsError, TaskError

ALGORITHM_VERSION = 1
"""Part of every task id. Raise it by hand when the same settings begin to give different pixels."""

CONV_LAYERS = tuple(f"conv{b}_{i}" for b, n in enumerate((2, 2, 4, 4, 4), 1) for i in range(1, n + 1))
VGG19_LAYERS = CONV_LAYERS + tuple(name.replace("conv", "relu") for name in CONV_LAYERS)
"""Where features can be tapped: ``convB_I`` before the ReLU, ``reluB_I`` after it (block B, place I)."""


def _setting(default: Any, doc: str, **limits: Any) -> Any:
    """A field with its explanation and its limits: ``ge``, ``gt``, ``le``, ``items`` (allowed items), ``filled``."""
    return field(default=default, metadata={"doc": doc, **limits})


@dataclass(frozen=True, kw_only=True)
class TransferSettings:
    """All that the transfer can be told, and the only home of its defaults (the preset ``default``).

    Every field changes pixels, so every field is part of a task's id. Limits stand in each field's metadata; both
    this class and the pipeline file are checked by them.

    Raises:
        SettingsError: listing every value that is out of its limits.
    """

    size: int = _setting(512, "pixels of the side that `fit` names, for content and style", ge=16, le=32768)
    fit: Literal["long", "short", "native"] = _setting(
        "long", "which side `size` is: the longer, the shorter, or neither (native: keep the file's size)"
    )
    upscale: bool = _setting(False, "enlarge pictures that are smaller than `size`")
    steps: int = _setting(150, "closure evaluations (forward and backward passes), exactly", ge=1, le=1_000_000)
    content_layers: tuple[str, ...] = _setting(
        ("conv2_2",), "layers whose features should equal the content's", items=VGG19_LAYERS
    )
    style_layers: tuple[str, ...] = _setting(
        ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"),
        "layers whose Gram matrices should equal the style's",
        items=VGG19_LAYERS,
    )
    content_weight: float = _setting(1.0, "weight of the content term", ge=0)
    style_weight: float = _setting(3e6, "weight of the style term", ge=0)
    style_layer_weights: tuple[float, ...] = _setting(
        (), "one factor for each of `style_layers`; empty: 1 for each", ge=0
    )
    gram_norm: Literal["cn", "n"] = _setting(
        "cn", "what Gram matrices are divided by: channels x positions (cn), or positions alone (n)"
    )
    init: Literal["content", "style", "noise", "gray"] = _setting("content", "the picture to start from")
    seed: int = _setting(0, "varies `init: noise`; each task draws its own noise from this and its id", ge=0)
    pooling: Literal["auto", "max", "avg"] = _setting(
        "auto", "VGG pooling; auto: avg on the embedded weights, which are calibrated for it, else max"
    )
    learning_rate: float = _setting(1.0, "length of L-BFGS steps, in units of its own direction", gt=0)
    history: int = _setting(100, "L-BFGS curvature pairs kept; each takes 24 bytes a pixel", ge=1, le=1000)
    clamp: Literal["step", "closure", "end"] = _setting(
        "step",
        "how pixels are kept in [0, 1]: after each step, with curvature measured along the clamped step (step); "
        "in the closure, unknown to the optimiser, as the PyTorch tutorial does (closure); only at the end (end)",
    )
    guard: bool = _setting(
        True, "shorten wild steps, and restart from the best picture when the loss explodes (at most 3 times)"
    )
    precision: Literal["fp32", "fp64"] = _setting("fp32", "arithmetic; fp64 is for reference runs on a CPU")

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):  # YAML and callers write 1000 for 1000.0; ids must not care
            value = getattr(self, item.name)
            if isinstance(item.default, float) and isinstance(value, int):
                object.__setattr__(self, item.name, float(value))
            elif isinstance(item.default, tuple):
                floats = (float(v) if isinstance(v, int) else v for v in value)
                object.__setattr__(self, item.name, tuple(floats))
        found = [f"{f.name}: {m}" for f in dataclasses.fields(self) for m in mistakes(f.name, getattr(self, f.name))]
        found += self._disagreements()
        if found:
            raise SettingsError("; ".join(found))

    def _disagreements(self) -> list[str]:
        """Fields that are fine alone and not together."""
        weights, layers = len(self.style_layer_weights), len(self.style_layers)
        if weights not in (0, layers):
            return [f"style_layer_weights: {weights} weights for {layers} style_layers"]
        if self.content_weight == 0 and self.style_weight == 0:
            return ["content_weight and style_weight are both 0: nothing to optimise"]
        return []

    def layer_weights(self) -> tuple[float, ...]:
        """One factor for each of ``style_layers``."""
        return self.style_layer_weights or (1.0,) * len(self.style_layers)


SETTINGS: dict[str, dataclasses.Field[Any]] = {f.name: f for f in dataclasses.fields(TransferSettings)}


_WORDS = {n: get_args(kind) for n, kind in get_type_hints(TransferSettings).items() if get_origin(kind) is Literal}


def mistakes(name: str, value: Any) -> list[str]:
    """What is wrong with ``value`` for the setting called ``name``, by the limits in its metadata."""
    limits = SETTINGS[name].metadata
    if name in _WORDS and value not in _WORDS[name]:
        return [f"should not be {value!r}; {choices(value, _WORDS[name])}"]
    if isinstance(value, tuple):
        if not value and "items" in limits:
            return ["at least one is needed"]
        return [m for item in value for m in _item_mistakes(item, limits)]
    return _item_mistakes(value, limits)


def _item_mistakes(value: Any, limits: Any) -> list[str]:
    if "items" in limits and value not in limits["items"]:
        return [f"unknown layer {value!r}; {choices(value, limits['items'])}"]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return []
    if not math.isfinite(value):
        return [f"must be finite, not {value}"]
    if "ge" in limits and value < limits["ge"]:
        return [f"must be at least {limits['ge']}, not {value}"]
    if "gt" in limits and value <= limits["gt"]:
        return [f"must be more than {limits['gt']}, not {value}"]
    if "le" in limits and value > limits["le"]:
        return [f"must be at most {limits['le']}, not {value}"]
    return []


def choices(name: object, valid: Iterable[str]) -> str:
    """``did you mean relu5_1? valid: relu1_1, …``: a wrong name is answered with the right ones."""
    valid = list(valid)
    near = difflib.get_close_matches(str(name), valid, n=1, cutoff=0.6)
    guess = f"did you mean {near[0]}? " if near else ""
    return f"{guess}valid: {', '.join(valid)}"


@dataclass(frozen=True)
class Source:
    """An input picture's file: where it lies, and what it holds.

    ``width`` and ``height`` are in pixels, upright (EXIF applied), 0 when the header cannot be read: the task is
    planned all the same, and fails with the reason.
    """

    path: str
    digest: str  # SHA-256 of the bytes, 64 hex digits
    bytes: int
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class Weights:
    """VGG-19 weights, by what they are: ``name`` (imagenet, random, or a file's path), and a digest of the bytes."""

    name: str
    digest: str
    path: str | None = None  # None: the embedded default, made from a seed


@dataclass(frozen=True)
class Task:
    """One picture to render: everything that decides its pixels, and where it goes."""

    id: str  # blake2b of all that changes pixels, 32 hex digits
    content: Source
    style: Source
    settings: TransferSettings
    weights: Weights
    output: str  # relative to the run's folder, with '/'
    cost: float = 0.0  # floating-point operations, about; orders tasks and predicts time

    @property
    def seed(self) -> int:
        """63 bits for this task's random numbers: the same on any worker, in any order."""
        return (int(self.id[:16], 16) >> 1) ^ self.settings.seed


@dataclass(frozen=True)
class Losses:
    """Float32 losses of the very picture that is saved, after clamping and before rounding to 8 bits.

    ``total = content + style + tv``, each with its weight applied; ``per_layer`` splits content and style by layer
    (``{"content": {"relu4_2": …}, "style": {…}}``), with weights too, so that the parts add up.
    """

    total: float
    content: float
    style: float
    per_layer: dict[str, dict[str, float]]
    tv: float = 0.0


@dataclass(frozen=True)
class Failure:
    """Why a task has no picture."""

    type: str  # the exception's class
    message: str
    hint: str = ""
    transient: bool = False  # whether trying again can help

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Any error as a manifest's ``error``. What nst_batch did not foresee may pass, and is tried again."""
        kind, message = type(error).__name__, str(error)
        if isinstance(error, NstError):
            return cls(kind, message, error.hint, isinstance(error, TaskError) and error.transient)
        hint = ""
        if kind in ("MemoryError", "OutOfMemoryError") or "allocate memory" in message:
            hint = "use a smaller transfer.size or transfer.history, or fewer workers"
        elif isinstance(error, OSError):
            hint = "check that the disk has room and the folder can be written"
        return cls(kind, message or kind, hint, transient=True)


@dataclass(frozen=True)
class TaskResult:
    """What became of a task, success and failure alike. docs/manifest.md explains each field."""

    task: str
    status: Literal["done", "failed"]
    output: str
    attempt: int = 1
    error: Failure | None = None
    losses: Losses | None = None
    curve: tuple[tuple[int, float], ...] = ()  # (evaluation, total loss), at most 32 points
    evaluations: int = 0
    restarts: int = 0  # times the guard went back to the best picture
    width: int = 0
    height: int = 0
    bytes: int = 0
    sha256: str = ""
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    device: str = ""
    host: str = ""
    started: str = ""  # ISO 8601, UTC
    finished: str = ""
    versions: dict[str, str] = field(default_factory=dict)


def utc_now() -> str:
    """The time, ISO 8601 in UTC; strings sort as times do."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")
