"""A whole run folder for the report, written in a second: pictures that look like pictures, and lines about them.

No transfer is made. Plan and manifest are written by the project's own classes, with what a real run records: losses,
curves, terms, scales, notes; some tasks have failed, some were not begun, and some names are as bad as names can be.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from nst_batch.paths import RunPaths
from nst_batch.planning.planned import write_plan
from nst_batch.planning.task_table import TaskTable
from nst_batch.recorded.manifest import ManifestWriter
from nst_batch.records import Balance, Failure, Losses, Source, Style, Task, TaskResult
from tests.lines import task

SCRIPT = "<script>window.hacked=1</script>.png"  # a file called "script>.png" in a folder: no name holds a slash
HOSTILE = (
    SCRIPT,
    '<img src=x onerror="window.hacked=1">.png',
    "naïve 😀 \"quotes\" & 'more'.png",
    "caf\udce9.png",  # bytes that are no UTF-8
    "two\nlines.png",
    "\u202egnp.exe.png",  # from here on from right to left
)
CONTENTS = ("dusk lake.png", "a_name_that_is_long_and_goes_on_and_on_2024-08-31_final_v2 (copy).png", *HOSTILE)
STYLES = ("monet/water.png", "hokusai/water.png", "the_scream.png", "mosaic.png", "woodcut.png", "starry night.png")
SWEEP: dict[str, tuple[float, ...]] = {"strength": (0.4, 0.7), "style_scale": (1.0, 0.5)}
LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1")
TERMS = ("content/conv2_2", *(f"style/{layer}{octave}" for octave in ("", "/2", "/4") for layer in LAYERS), "tv")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Made:
    """What was written."""

    paths: RunPaths
    tasks: list[Task]
    states: dict[str, str]  # by output name

    def count(self, state: str) -> int:
        return list(self.states.values()).count(state)


def make_run(
    root: Path,
    contents: Sequence[str] = CONTENTS,
    styles: Sequence[str] = STYLES,
    sweep: dict[str, tuple[float, ...]] | None = None,
    state_of: Callable[[int], str] | None = None,
    side: int = 128,
) -> Made:
    """Contents × styles, and the last two styles at once, × a sweep; ``state_of`` says what became of the n-th task."""
    shapes = {
        name: (side, side * 3 // 4) if place % 3 else (side * 3 // 4, side) for place, name in enumerate(contents)
    }
    views = {name: landscape(place, *shapes[name]) for place, name in enumerate(contents)}
    arts = {name: art(place, side) for place, name in enumerate(styles)}
    sources = {name: _source(root / "in" / name, values) for name, values in {**views, **arts}.items()}
    mixes = [(name,) for name in styles] + ([tuple(styles[-2:])] if len(styles) > 2 else [])
    tasks = _tasks(contents, mixes, SWEEP if sweep is None else sweep, sources)
    paths, states = RunPaths(root / "run"), {}
    paths.root.mkdir(parents=True)
    write_plan(paths, TaskTable.of(each for each, _, _ in tasks))
    writer = ManifestWriter(paths)
    state_of = state_of or usual
    for place, (each, content, mix) in enumerate(tasks):
        state = states[each.output] = state_of(place)
        if state == "done":
            strength = each.settings.strength
            data = save(paths.output(each.output), styled(views[content], arts[mix[0]], strength, place))
            writer.append(each, done(each, place, shapes[content], data))
        elif state == "failed":
            writer.append(each, failed(each, place))
    writer.close()
    return Made(paths, [each for each, _, _ in tasks], states)


def usual(place: int) -> str:
    """Some fail, some are not begun."""
    return "failed" if place % 23 == 5 else "todo" if place % 17 == 9 else "done"


def _tasks(
    contents: Sequence[str],
    mixes: Sequence[tuple[str, ...]],
    sweep: dict[str, tuple[float, ...]],
    sources: dict[str, Source],
) -> list[tuple[Task, str, tuple[str, ...]]]:
    """Content by content; each with the names that made it."""
    found = []
    points = [dict(zip(sweep, values, strict=True)) for values in itertools.product(*sweep.values())]
    for place, content in enumerate(contents):
        for mix, point in itertools.product(mixes, points):
            ending = ".tif" if place == 0 and mix == mixes[0] else ".png"
            called = " + ".join(name.rpartition(".")[0] for name in mix).replace("/", "-")
            values = "".join(f"__{key}{value:g}" for key, value in point.items())
            name = f"{content.rpartition('.')[0].rpartition('/')[2]}__{called}{values}{ending}"
            parts = tuple(Style(sources[style], weight) for style, weight in zip(mix, (2.0, 1.0), strict=False))
            found.append((task(name, content=sources[content], styles=parts, **point), content, mix))
    return found


def done(each: Task, place: int, size: tuple[int, int], data: bytes) -> TaskResult:
    """With the losses, the curve and the terms that such a transfer has."""
    at = [1, *range(10, 311, 10)]
    rest = {name: 0.02 * (1 + number % 5) for number, name in enumerate(TERMS)}
    falling = [math.exp(-evaluation / (40 + place % 30)) for evaluation in at]
    terms: dict[str, list[float | None]] = {
        name: [round(least + 3 * least * fall, 7) for fall in falling] for name, least in rest.items()
    }
    terms["style/conv1_1/4"][:12] = [None] * 12  # the first scale is too small for it
    terms["content/conv2_2"] = [0.3 * (1 - fall) for fall in falling]
    totals = [sum(values[step] or 0.0 for values in terms.values()) for step in range(len(at))]
    last = {name: values[-1] or 0.0 for name, values in terms.items()}
    layers = {name.partition("/")[2]: last[name] for name in TERMS if name.startswith("style/")}
    style, content, tv = sum(layers.values()), last["content/conv2_2"], last["tv"]
    losses = Losses(totals[-1], content, style, {"content": {"conv2_2": content}, "style": layers}, tv)
    return TaskResult(
        each.id, "done", each.output, losses=losses, curve=tuple(zip(at, totals, strict=True)), evaluations=310,
        scales=((size[0] // 2, size[1] // 2, 120), (*size, 190)), balance=Balance(3.1, 0.2 + place % 7 / 100),
        notes=("photo.gif: 3 frames; the first is used",) if place % 11 == 0 else (), precision="fp32",
        width=size[0], height=size[1], bytes=len(data), sha256=hashlib.sha256(data).hexdigest(),
        seconds=7.0 + place % 13, together=1 + place % 2, peak_memory_bytes=812_345_678, device="cpu", host="studio",
        finished=f"2026-03-01T10:{place // 60:02}:{place % 60:02}.000000+00:00",
        versions={"nst_batch": "1"}, terms={name: tuple(values) for name, values in terms.items()},
    )  # fmt: skip


def failed(each: Task, place: int) -> TaskResult:
    """For one of three reasons, the last of them hostile."""
    errors = (
        Failure("ImageError", f"{each.content.path}: broken picture: image file is truncated", "replace the file"),
        Failure("TooLarge", "4096 x 3072 takes 31.2 GB, and there are 23.5", "use transfer.size=3400, or run.tile"),
        Failure("WorkerDied", "<img src=x onerror='window.hacked=1'> ended by signal 9\nsecond line", "", True),
    )
    return TaskResult(
        each.id, "failed", each.output, error=errors[place % 3], attempt=3, device="cpu", host="studio",
        finished="2026-03-01T09:00:00.000000+00:00",
    )  # fmt: skip


# --- pictures: HxWx3 in [0, 1] ----------------------------------------------------------------------------------------


def _grid(width: int, height: int) -> tuple[Floats, Floats]:
    down, across = np.mgrid[0:height, 0:width]
    return across / width, down / height


def landscape(seed: int, width: int, height: int) -> Floats:
    """Sky, sun, two ranges of hills and water: another one for each seed."""
    x, y = _grid(width, height)
    random = np.random.default_rng(seed)
    warm, cold, dark = (
        random.uniform((0.8, 0.5, 0.3), (1, 0.8, 0.6)),
        random.uniform(0.3, 0.8, 3),
        random.uniform(0, 0.3, 3),
    )
    view = cold + (warm - cold) * y[..., None]
    sun = np.hypot(x - random.uniform(0.2, 0.8), (y - 0.3) * height / width) < 0.08
    view[sun] = (1, 0.95, 0.8)
    for base, share in ((0.5, 0.5), (0.65, 0.8)):
        phase, waves = random.uniform(0, 6, 2)
        ridge = base + 0.07 * np.sin(6 * x + phase) + 0.03 * np.sin((12 + waves) * x)
        view = np.where((y > ridge)[..., None], dark * share + view * (1 - share), view)
    water = (y > 0.82)[..., None] * (0.5 + 0.2 * np.sin(y * 190 + 3 * np.sin(x * 20)))[..., None]
    found: Floats = np.clip(view * (1 - water) + warm * water * 0.9, 0, 1)
    return found


def art(seed: int, side: int) -> Floats:
    """Brush strokes that swirl, in a palette of five colours."""
    x, y = _grid(side, side)
    random = np.random.default_rng(1000 + seed)
    angle = 3 * np.sin(5 * x + random.uniform(0, 6)) + 3 * np.cos(4 * y + random.uniform(0, 6))
    strokes = np.sin(26 * (x * np.cos(angle) + y * np.sin(angle))) + 0.8 * np.sin(9 * y - 7 * x + angle)
    palette = random.uniform(0, 1, (5, 3))
    level = (strokes - strokes.min()) / (np.ptp(strokes) + 1e-9) * 3.999
    low = level.astype(int)
    found: Floats = palette[low] + (palette[low + 1] - palette[low]) * (level - low)[..., None]
    return found


def styled(content: Floats, style: Floats, strength: float, seed: int) -> Floats:
    """The content's light in the style's colours and strokes."""
    height, width = content.shape[:2]
    grey = content.mean(2)
    order = style.reshape(-1, 3)[np.argsort(style.mean(2).ravel())]
    colors = order[np.clip((grey * (len(order) - 1)).astype(int), 0, len(order) - 1)]
    shift = seed * 7 % style.shape[0]
    strokes = np.roll(style, shift, 0)[np.arange(height)[:, None] % style.shape[0], np.arange(width) % style.shape[1]]
    found: Floats = np.clip(content * (1 - strength) + strength * (0.7 * colors + 0.3 * strokes), 0, 1)
    return found


def save(path: Path, values: Floats) -> bytes:
    """Written as a picture; its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.round(values * 255).astype(np.uint8)).save(path)
    return path.read_bytes()


def _source(path: Path, values: Floats) -> Source:
    data = save(path, values)
    return Source(str(path), hashlib.sha256(data).hexdigest(), len(data), values.shape[1], values.shape[0])
