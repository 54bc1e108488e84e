"""What the page of a run costs: to make, to keep, and to open."""

from __future__ import annotations

import hashlib
import io
import math
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.pictures import DATA, squares
from nst_batch.paths import RunPaths
from nst_batch.planning.ids import task_id
from nst_batch.planning.planned import write_plan
from nst_batch.planning.task_table import TaskTable
from nst_batch.recorded.manifest import line
from nst_batch.records import Losses, Source, Style, Task, TaskResult, Weights
from nst_batch.report.gallery import gallery
from nst_batch.report.page import page, write_report
from nst_batch.settings import TransferSettings

CHROMIUM = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")
POINTS, STYLE_TERMS = 32, 12
"""Of each curve, and how many of them beside content and variation."""


def measure(folder: Path, *, contents: int, styles: int, size: int) -> dict[str, Any]:
    """Seconds and bytes of a page of contents x styles pictures of size x size pixels, at first and again."""
    paths = RunPaths(folder / "run")
    _make(paths, contents, styles, size)
    cold, again, live = (_seconds(paths, **options) for options in ({}, {}, {"live": True}))
    whole = paths.report.stat().st_size
    write_report(paths, where="beside")
    return {
        "pictures": contents * styles,
        "size": size,
        "cold_seconds": cold,
        "again_seconds": again,
        "live_seconds": live,
        "page_bytes": whole,
        "beside_bytes": paths.report.stat().st_size,
        "bare_bytes": len(page({**gallery(paths).values, "thumbnails": []})),
        "opened": _opened(paths, "beside") | _opened(paths, "inside"),
    }


def _seconds(paths: RunPaths, **options: Any) -> float:
    begun = time.perf_counter()
    write_report(paths, **options)
    return time.perf_counter() - begun


def _make(paths: RunPaths, contents: int, styles: int, size: int) -> None:
    """A run's folder: every picture a blend, every line as long as real ones are."""
    sources = {}
    for kind, count in (("content", contents), ("style", styles)):
        for place, image in enumerate(squares(DATA / kind, size, count)):
            path = paths.root.parent / kind / f"{place}.png"
            path.parent.mkdir(exist_ok=True, parents=True)
            image.save(path)
            sources[kind, place] = Source(str(path), f"{kind}{place}", path.stat().st_size, size, size), image
    settings, weights = TransferSettings(), Weights("random", "0" * 64)
    tasks, lines = [], []
    paths.manifest.mkdir(parents=True)
    for place in range(contents * styles):
        (content, photo), (style, painting) = sources["content", place // styles], sources["style", place % styles]
        name = f"{place // styles}__{place % styles}.png"
        identity = task_id(content, (Style(style),), settings, weights)
        task = Task(identity, content, (Style(style),), settings, weights, name)
        data = _png(Image.blend(photo, painting, 0.6))
        paths.output(name).write_bytes(data)
        tasks.append(task)
        lines.append(line(task, _result(task, place, size, data)))
    write_plan(paths, TaskTable.of(tasks))
    paths.part("benchmark").write_bytes(b"".join(lines))


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _result(task: Task, place: int, size: int, data: bytes) -> TaskResult:
    curve = tuple((10 * step + 1, 3.2101 * math.exp(-step / 9) + 0.1 + place / 1e4) for step in range(POINTS))
    layers = {f"conv{layer}_1": 0.1234567 / (layer + 1) for layer in range(STYLE_TERMS)}
    losses = Losses(curve[-1][1], 0.0412345, 0.0612345, {"content": {"conv2_2": 0.0412345}, "style": layers})
    return TaskResult(
        task.id, "done", task.output, losses=losses, curve=curve, evaluations=311, width=size, height=size,
        bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), seconds=7.123456, device="cpu", host="studio",
        terms=_terms(place),
        scales=((size // 2, size // 2, 120), (size, size, 191)), finished="2026-03-01T10:00:00.000000+00:00",
    )  # fmt: skip


def _terms(place: int) -> dict[str, tuple[float | None, ...]]:
    """The course of each term."""
    names = ["content/conv2_2", *(f"style/conv{1 + n % 4}_1/{2 ** (n // 4)}" for n in range(STYLE_TERMS)), "tv"]
    values = np.random.default_rng(place).uniform(0.001, 1, (len(names), POINTS)).round(4).tolist()
    return {name: tuple(course) for name, course in zip(names, values, strict=True)}


def _opened(paths: RunPaths, where: Any) -> dict[str, dict[str, float]]:
    """What Chromium makes of it, where there are one and playwright; nothing elsewhere."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return {}
    program = shutil.which("chromium")
    if program is None:
        return {}
    write_report(paths, where=where)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(CHROMIUM))
        tab = browser.new_page(viewport={"width": 1440, "height": 900})
        tab.goto(f"file://{os.path.abspath(paths.report)}")
        found = tab.evaluate(_LOOK)
        browser.close()
    return {where: found}


_LOOK = """async () => {
  const rest = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const main = document.getElementById("main"), loaded = () => main.querySelectorAll("img[src]").length;
  await rest();
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  const found = { first_grid_ms: paint ? paint.startTime : -1, nodes: document.querySelectorAll("*").length,
    images: main.querySelectorAll("img").length, loaded_at_first: loaded() };
  let longest = 0, frames = 0, begun = performance.now(), last = begun;
  while (main.scrollTop + main.clientHeight < main.scrollHeight - 2 && frames < 400) {
    main.scrollTop += 120;
    await new Promise(requestAnimationFrame);
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
    frames += 1;
  }
  const mean = (last - begun) / Math.max(1, frames);
  return { ...found, frames, frame_ms: mean, longest_frame_ms: longest, loaded_at_last: loaded() };
}"""
