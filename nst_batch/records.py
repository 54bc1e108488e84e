"""The values that flow: ``pipeline.yaml → PipelineSpec → (Task, …) → TaskResult → one manifest line``.

Frozen, picklable, and free of torch and pydantic: the planner, the workers and the algorithm all share them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Literal

from nst_batch.errors import NstError, TaskError, in_words
from nst_batch.settings import TransferSettings

ALGORITHM_VERSION = 5
"""Part of every task id. Raise it by hand when the same settings begin to give different pixels."""


@dataclass(frozen=True)
class Source:
    """An input picture's file: where it lies, and what it holds.

    ``width`` and ``height`` are in pixels, upright (EXIF applied), 0 when the header cannot be read: the task is
    planned all the same, and fails with the reason. ``mask`` is the picture of regions beside it.
    """

    path: str
    digest: str  # SHA-256 of the bytes, 64 hex digits
    bytes: int
    width: int = 0
    height: int = 0
    mask: Source | None = None


@dataclass(frozen=True)
class Limits:
    """What an input picture may be at most; what is larger may be a bomb, and fails."""

    pixels: int = 1 << 28  # 16,384 x 16,384: telephones of 200 megapixels make 16,320 x 12,240
    bytes: int = 1 << 30


@dataclass(frozen=True)
class Style:
    """One of a task's styles.

    ``weight`` is its share where several styles meet; ``region`` the colour (``#rrggbb``) of the part of the
    content's mask that it is for, empty for all of the picture.
    """

    source: Source
    weight: float = 1.0
    region: str = ""


@dataclass(frozen=True)
class Weights:
    """VGG-19 weights, by what they are: ``name`` (vgg19, torchvision, random, or a file's path), and a digest of the
    bytes."""

    name: str
    digest: str
    path: str | None = None  # None: what every environment has: vgg19, random
    format: Literal["torchvision", "caffe"] = "torchvision"  # caffe: trained on BGR, 0 to 255, minus the mean


@dataclass(frozen=True)
class OutputFormat:
    """How a picture is written; part of a task's id."""

    suffix: str = ".png"  # .png .jpg .jpeg .webp .tif .tiff
    bits: int = 8  # a channel: 8, or 16 (PNG and TIFF only)
    quality: int = 95  # 1 to 100, of JPEG and WebP (WebP: 100 is lossless)
    metadata: tuple[str, ...] = ()  # what of the content's own goes along; no part of an id

    @property
    def most_a_side(self) -> int:
        """Pixels that a side may have: of WebP (RFC 9649, 2.7), of JPEG as libjpeg has it, of PNG and TIFF."""
        return {".webp": 16_383, ".jpg": 65_500, ".jpeg": 65_500}.get(self.suffix, 2**31 - 1)

    def refusal(self, width: int, height: int) -> str:
        """Why a picture of so many pixels cannot be written, and what can; empty where it can."""
        if max(width, height) <= self.most_a_side:
            return ""
        return (
            f"{width:,} x {height:,} pixels, and {self.suffix} holds {self.most_a_side:,} a side; "
            "end output.name in .png or .tif, or take a smaller transfer.size"
        )


@dataclass(frozen=True)
class Task:
    """One picture to render: everything that decides its pixels, and where it goes."""

    id: str  # blake2b of all that changes pixels, 32 hex digits
    content: Source
    styles: tuple[Style, ...]  # at least one
    settings: TransferSettings
    weights: Weights
    output: str  # relative to the run's folder, with '/'
    format: OutputFormat = OutputFormat()
    start: Source | None = None  # the picture to start from, when settings.init is a file
    cost: float = 0.0  # floating-point operations, about; orders tasks and predicts time

    @property
    def style(self) -> Source:
        """The first style, which names the task."""
        return self.styles[0].source

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
class Balance:
    """What ``balance: auto`` came to.

    ``ratio`` is the weight of style against content, both as shares of what an empty picture's loss would be;
    ``remaining`` the style loss of the result against that of the content picture itself: 1 is no stylisation, 0 the
    style's very statistics.
    """

    ratio: float
    remaining: float


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
        hint = "not foreseen: see whether another device or run.compile: off helps, and report it"
        if isinstance(error, OSError):
            message = in_words(error)
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
    terms: dict[str, tuple[float | None, ...]] = field(default_factory=dict)  # by name: at the curve's points
    evaluations: int = 0
    resumed: int = 0  # of these, made before the run was ended and taken up again
    restarts: int = 0  # times the guard went back to the best picture
    taken_back: int = 0  # steps that the guard took back
    scales: tuple[tuple[int, int, int], ...] = ()  # (width, height, evaluations) of each, coarse first
    settled: bool = False  # whether ``stop`` ended the last scale early
    balance: Balance | None = None
    notes: tuple[str, ...] = ()  # what a user should know of its inputs
    precision: str = ""  # of the network; what ``precision: auto`` came to
    width: int = 0
    height: int = 0
    bytes: int = 0
    sha256: str = ""
    seconds: float = 0.0  # of the device, shared out among the tasks rendered together, and of writing the file
    together: int = 1  # tasks that were rendered together, this one among them
    strips: int = 0  # in which the picture was computed at last; 0: as a whole
    history: int = 0  # pairs that L-BFGS had room for at the last scale
    history_precision: str = ""  # in which they were kept
    given_up: tuple[str, ...] = ()  # where memory was short, as ``history 100 -> 25``
    peak_memory_bytes: int = 0
    device: str = ""
    host: str = ""
    started: str = ""  # ISO 8601, UTC
    finished: str = ""
    versions: dict[str, str] = field(default_factory=dict)


def utc_now() -> str:
    """The time, ISO 8601 in UTC; strings sort as times do."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")
