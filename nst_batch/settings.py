"""What the transfer can be told: ``TransferSettings``, its limits, and answers to values outside them.

Free of torch and pydantic: the planner, the workers and the algorithm all share it.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin, get_type_hints

from nst_batch.errors import SettingsError

CONV_LAYERS = tuple(f"conv{b}_{i}" for b, n in enumerate((2, 2, 4, 4, 4), 1) for i in range(1, n + 1))
VGG19_LAYERS = CONV_LAYERS + tuple(name.replace("conv", "relu") for name in CONV_LAYERS)
"""Where features can be tapped: ``convB_I`` before the ReLU, ``reluB_I`` after it (block B, place I)."""

MOST_PAIRS = 100  # of L-BFGS's history, with `history: auto`
BLOCK_5_WEIGHT = 0.2
"""Of style layers in block 5, where layers would count alike: a small picture has fewer positions there than channels,
so that a Gram matrix which is matched brings the style's own motifs along, such as a portrait's face into a town."""
INIT_WORDS = ("content", "style", "noise", "gray")
FROM_FILE = "file"
"""What ``init`` is once its file has been found; the file's digest then stands for it in the task's id."""


def _setting(default: Any, doc: str, **limits: Any) -> Any:
    """A field with its explanation and its limits: ``ge``, ``gt``, ``le``, ``items`` (allowed items), ``filled``;
    ``added`` later, its default being what was done before: ids know of it only where it is something else."""
    return field(default=default, metadata={"doc": doc, **limits})


@dataclass(frozen=True)
class Stop:
    """When an optimisation has settled: the best loss fell by less than ``rel`` of itself over ``window`` evaluations.

    Raises:
        SettingsError: a value out of its limits.
    """

    rel: float = 1e-4
    window: int = 20

    def __post_init__(self) -> None:
        if not (isinstance(self.rel, float | int) and 0 < self.rel < 1):
            raise SettingsError(f"rel must be between 0 and 1, not {self.rel}")
        if not (isinstance(self.window, int) and self.window >= 1):
            raise SettingsError(f"window must be a whole number of at least 1, not {self.window}")


TOGETHER = (
    "content_layers", "content_layer_weights", "content_weight", "style_layers", "style_layer_weights", "style_weight",
    "adam_betas", "line_search", "optimizer",
)  # fmt: skip
"""Settings that can be fine alone and not together: whoever sets no other need not look whether they agree."""


@dataclass(frozen=True, kw_only=True)
class TransferSettings:
    """All that the transfer can be told, and the only home of its defaults (the preset ``default``).

    Every field changes pixels, so every field is part of a task's id. Limits stand in each field's metadata; both
    this class and the pipeline file are checked by them.

    Raises:
        SettingsError: listing every value that is out of its limits.
    """

    # How large
    size: int = _setting(512, "pixels of the side that `fit` names, for content and style", ge=16, le=32768)
    fit: Literal["long", "short", "area", "exact", "native"] = _setting(
        "long",
        "what `size` measures: the longer side, the shorter side, the area (size x size pixels in the picture's own "
        "proportions), the width of an exact size (the content is cropped to size x height), "
        "or nothing (native: keep the file's size)",
    )
    height: int = _setting(0, "with `fit: exact`: pixels; 0: as `size`", ge=0, le=32768)
    upscale: bool = _setting(False, "enlarge pictures that are smaller than `size`")
    style_scale: float = _setting(1.0, "size of the style against the content's: smaller gives finer strokes", gt=0)
    scales: tuple[int, ...] | Literal["auto"] = _setting(
        "auto",
        "sizes rendered before `size`, coarse first, each the start of the next; those not smaller than `size` are "
        "passed over; auto: 128, 256, 512, … pixels; []: none",
        ge=16,
        le=32768,
    )

    # How long
    steps: int = _setting(
        120, "closure evaluations (forward and backward passes), of all scales, exactly", ge=1, le=1_000_000
    )
    scale_shares: tuple[float, ...] = _setting(
        (6.0, 4.0, 3.0),
        "how `steps` are divided among the scales, coarse first; the last counts for all that follow; empty: equally",
        gt=0,
    )
    warmup: int = _setting(
        0,
        "evaluations at the start of each scale, out of its own, in which the style weighs a tenth: the picture stays "
        "near its content on its way, and the end is reached sooner",
        ge=0,
        le=1_000_000,
    )
    stop: Stop | None = _setting(  # noqa: RUF009 - a field, as the others are
        None,
        "end a scale early once settled, as `{rel: 1.0e-4, window: 20}`: when the best loss fell by less than "
        "rel of itself over window evaluations",
    )

    # What is asked of the picture
    content_layers: tuple[str, ...] = _setting(
        ("relu4_2",), "layers whose features should equal the content's", items=VGG19_LAYERS
    )
    content_layer_weights: tuple[float, ...] = _setting(
        (), "one factor for each of `content_layers`; empty: 1 for each", ge=0
    )
    content_weight: float = _setting(1.0, "weight of the content term", ge=0)
    style_layers: tuple[str, ...] = _setting(
        ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
        "layers whose statistics should equal the style's",
        items=VGG19_LAYERS,
    )
    style_layer_weights: tuple[float, ...] = _setting(
        (),
        "one factor for each of `style_layers`; empty: 1 for each, and with `balance: auto` 0.2 for those in block 5",
        ge=0,
    )
    style_weight: float = _setting(1.0, "weight of the style term; with `balance: auto` it has no effect", ge=0)
    octaves: int = _setting(
        1, "the style is compared in the picture, at half its size, at a quarter, … : so many sizes", ge=1, le=8
    )
    style_statistic: Literal["gram", "w2"] = _setting(
        "gram", "what is compared: Gram matrices, or means and covariances by the Wasserstein-2 distance (w2)"
    )
    gram_norm: Literal["cn", "n"] = _setting(
        "cn", "what Gram matrices are divided by: channels x positions (cn), or positions alone (n)"
    )
    mean_weight: float = _setting(0.0, "weight of the difference of feature means, on the style layers", ge=0)
    std_weight: float = _setting(0.0, "weight of the difference of feature deviations, on the style layers", ge=0)
    tv_weight: float = _setting(20.0, "weight of the total variation of the picture, in [0, 1]", ge=0)
    tv: Literal["l1", "l2"] = _setting(
        "l2",
        "total variation: sum of absolute differences of neighbours (l1), or mean of squares over 8 neighbours (l2)",
    )
    balance: Literal["none", "auto"] = _setting(
        "auto",
        "weigh the terms of each pair so that `strength` means the same for all, and each style layer, before its own "
        "weight, as much as another (auto); or by the weights (none)",
    )
    strength: float = _setting(
        0.6, "with `balance: auto`: from the content alone (0) to the style alone (1)", ge=0, le=1
    )

    # Colour and regions
    color: Literal["style", "content", "style_match"] = _setting(
        "style",
        "whose colours the result has: what the transfer gives (style), the content's, or the style's, matched "
        "before rendering (style_match)",
    )
    color_method: Literal["match", "luminance", "ycbcr"] = _setting(
        "match",
        "how `color: content` is kept: a linear match of mean and covariance (match), rendering luminance alone "
        "(luminance), or putting the content's chroma back afterwards (ycbcr)",
    )
    color_transform: Literal["symmetric", "pca", "cholesky"] = _setting(
        "symmetric", "which of the linear maps that match colours"
    )
    masks: bool = _setting(
        True, "use NAME.mask.png beside content and style: each region takes the style of its colour"
    )

    # Where it starts
    init: str = _setting(
        "content",
        "the picture to start from: `content`, `style`, `noise`, `gray`, or a file (`{content}` and `{style}` "
        "in its name stand for theirs)",
    )
    init_noise: float = _setting(0.0, "share of noise mixed into the start", ge=0, le=1)
    noise_std: float = _setting(0.0, "noise: normal around ImageNet's mean colour; 0: uniform over [0, 1]", ge=0)
    seed: int = _setting(0, "varies noise; each task draws its own from this and its id", ge=0)

    # The network
    pooling: Literal["max", "avg"] = _setting("max", "VGG pooling, over 2x2 features")
    pooling_scale: float = _setting(1.0, "factor on what each pooling gives; 2 with avg is close to max", gt=0)
    padding: Literal["zeros", "replicate", "reflect"] = _setting(
        "zeros", "what the first layer sees beyond the picture's edge"
    )

    # The optimiser
    optimizer: Literal["lbfgs", "adam"] = _setting("lbfgs", "L-BFGS, or Adam")
    learning_rate: float = _setting(1.0, "length of L-BFGS steps, in units of its own direction", gt=0)
    history: int | Literal["auto"] = _setting(
        100,
        "L-BFGS curvature pairs kept; each takes 24 bytes a pixel; auto: up to 100, as many as memory has room for, "
        "in bf16 where that is few",
        ge=1,
        le=1000,
    )
    history_precision: Literal["fp32", "bf16"] = _setting(
        "fp32", "in which curvature pairs are kept; bf16 takes half the memory", added=True
    )
    metric: Literal["pixels", "smooth", "adaptive"] = _setting(
        "pixels",
        "L-BFGS: what counts as near before curvature is known: pictures with near pixels (pixels), or with near broad "
        "strokes, which come first then and fine noise last (smooth); or what each band of frequencies has shown "
        "itself to be (adaptive: the fewest evaluations)",
    )
    line_search: Literal["none", "strong_wolfe"] = _setting(
        "none", "L-BFGS: take each step as it is, or search along it (each trial is one of `steps`)"
    )
    guard: bool = _setting(
        True, "L-BFGS: shorten wild steps, and restart from the best picture when the loss explodes (at most 3 times)"
    )
    adam_rate: float = _setting(0.02, "Adam's step, in [0, 1] pixel values", gt=0)
    adam_betas: tuple[float, ...] = _setting((0.9, 0.99), "decay of Adam's two means", ge=0, le=1)
    averaging: float = _setting(
        0.0, "decay of the running mean of pictures that is kept in place of the best one; 0: off", ge=0, le=0.9999
    )
    clamp: Literal["step", "closure", "end"] = _setting(
        "step",
        "how pixels are kept in [0, 1]: after each step, with curvature measured along the clamped step (step); "
        "in the closure, unknown to the optimiser, as the PyTorch tutorial does (closure); only at the end (end)",
    )
    precision: Literal["auto", "fp32", "tf32", "fp16", "bf16", "fp64"] = _setting(
        "auto",
        "arithmetic of the network (fp32; tf32, fp16 and bf16: faster on GPUs), the rest is in fp32; fp64: all of it, "
        "for reference runs on a CPU; auto: fp32 on CPUs, on GPUs fp16, or tf32 where L-BFGS has no guard",
    )

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):  # YAML and callers write 1000 for 1000.0; ids must not care
            value = getattr(self, item.name)
            object.__setattr__(self, item.name, _canonical(value, _WANTS_FLOATS[item.name]))
        found = [f"{f.name}: {m}" for f in dataclasses.fields(self) for m in mistakes(f.name, getattr(self, f.name))]
        found += self.disagreements()
        if found:
            raise SettingsError("; ".join(found))

    def disagreements(self) -> list[str]:
        """Fields that are fine alone and not together: of those in ``TOGETHER``."""
        for kind in ("content", "style"):
            weights, layers = len(getattr(self, f"{kind}_layer_weights")), len(getattr(self, f"{kind}_layers"))
            if weights not in (0, layers):
                return [
                    f"{kind}_layer_weights: {weights} weights for {layers} {kind}_layers; give one for each, or none"
                ]
        if len(self.adam_betas) != 2:
            return [f"adam_betas: must be two numbers, not {len(self.adam_betas)}"]
        if self.content_weight == 0 and self.style_weight == 0:
            return ["content_weight and style_weight are both 0: nothing to optimise; set one of them"]
        if self.line_search != "none" and self.optimizer != "lbfgs":
            return ["line_search: strong_wolfe is for optimizer: lbfgs; set line_search: none with adam"]
        return []

    def but(self, values: Mapping[str, Any]) -> TransferSettings:
        """The same with other values, as ``checked`` gives them: whether they agree with the rest is not looked at, and
        so it takes a hundredth of what ``dataclasses.replace`` takes."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__, **values)
        return made

    def pairs(self, steps: int) -> int:
        """How many of L-BFGS's curvature pairs are kept at most in so many evaluations; none by Adam."""
        if self.optimizer != "lbfgs":
            return 0
        return max(1, min(MOST_PAIRS if self.history == "auto" else self.history, steps))

    def layer_weights(self, kind: Literal["content", "style"]) -> tuple[float, ...]:
        """One factor for each of ``content_layers`` or ``style_layers``."""
        given: tuple[float, ...] = getattr(self, f"{kind}_layer_weights")
        if given or kind == "content" or self.balance == "none":
            return given or (1.0,) * len(getattr(self, f"{kind}_layers"))
        return tuple(BLOCK_5_WEIGHT if layer[4] == "5" else 1.0 for layer in self.style_layers)


SETTINGS: dict[str, dataclasses.Field[Any]] = {f.name: f for f in dataclasses.fields(TransferSettings)}
TYPES: dict[str, Any] = get_type_hints(TransferSettings)


@functools.cache
def words_of(name: str) -> tuple[str, ...]:
    """The words that a setting may be, when it is one of some words; ``auto`` for a list that may be auto."""
    kinds = (TYPES[name], *get_args(TYPES[name]))
    return tuple(word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind))


def or_else(kind: Any) -> str:
    """What may stand in place of a word: ``, or a number``, ``, or a list``; nothing where there are words alone."""
    parts = get_args(kind)
    if not any(get_origin(part) is Literal for part in parts):
        return ""
    return ", or a number" if int in parts else ", or a list"


def is_list(name: str) -> bool:
    """Whether a setting takes a list of values."""
    return any(get_origin(kind) is tuple for kind in (TYPES[name], *get_args(TYPES[name])))


_WANTS_FLOATS = {name: kind in (float, tuple[float, ...]) for name, kind in TYPES.items()}


def _canonical(value: Any, floats: bool) -> Any:
    """One form for equal values: floats where floats are meant, tuples for lists, ``Stop`` for its dict."""
    if isinstance(value, list | tuple):
        return tuple(_canonical(item, floats) for item in value)
    if isinstance(value, dict):
        return Stop(**value)
    return float(value) if floats and isinstance(value, int) and not isinstance(value, bool) else value


def checked(name: str, value: Any) -> Any:
    """The form in which a setting has ``value``.

    Raises:
        ValueError: it is out of the setting's limits.
        KeyError: there is no such setting.
    """
    found = _canonical(value, _WANTS_FLOATS[name])
    if wrong := mistakes(name, found):
        raise ValueError("; ".join(f"{name}: {each}" for each in wrong))
    return found


def plain(value: Any) -> Any:
    """A setting's value as JSON can hold it, and as ``dataclasses.asdict`` of the settings has it."""
    return dataclasses.asdict(value) if isinstance(value, Stop) else value


def is_in_ids(name: str, value: Any) -> bool:
    """Whether a setting's value is told in ids: not if it is as it was before there was a setting for it."""
    item = SETTINGS[name]
    return not item.metadata.get("added") or bool(value != item.default)


def mistakes(name: str, value: Any) -> list[str]:
    """What is wrong with ``value`` for the setting called ``name``, by the limits in its metadata."""
    limits = SETTINGS[name].metadata
    if isinstance(value, tuple):
        if not value and "items" in limits:
            return ["at least one is needed"]
        return [m for item in value for m in _item_mistakes(item, limits)]
    if (words := words_of(name)) and value not in words and not _is_number(name, value):
        return [f"should not be {value!r}; {choices(value, words)}{or_else(TYPES[name])}"]
    return _item_mistakes(value, limits)


def _is_number(name: str, value: Any) -> bool:
    """Whether it is one, where a setting may be a number or a word."""
    return int in get_args(TYPES[name]) and isinstance(value, int) and not isinstance(value, bool)


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
