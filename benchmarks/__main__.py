"""nst_batch beside the plain method, side by side in one run: ``make bench``.

    python -m benchmarks                         all stages, as docs/performance.md shows them
    python -m benchmarks closure --sizes 512     one stage
    python -m benchmarks batch --contents DIR --styles DIR

Ratios are what counts: a machine's speed changes from hour to hour, and with what else it does.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import batch, busy, closure, eta, handout, overhead, precision, report, scale, shards, sizes
from benchmarks.pictures import DATA
from nst_batch.running.devices import choose_threads

STAGES = (
    "closure",
    "precision",
    "picture",
    "batch",
    "overhead",
    "handout",
    "report",
    "busy",
    "eta",
)  # sizes, shards and scale, which take long, when asked for
PRESET = "pytorch-tutorial-fast"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "stages", nargs="*", default=STAGES, help=f"of {', '.join(STAGES)} (none: these), sizes, shards, scale"
    )
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, help="of a batch; default: one for each GPU, or two on a CPU")
    parser.add_argument("--threads", type=int, default=choose_threads(["cpu"], None))
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512], help="pixels of a side, for closures")
    parser.add_argument("--batches", type=int, nargs="+", default=[1], help="pictures at once, for closures")
    parser.add_argument("--ways", nargs="+", default=["off", "256", "128", "64"], help="off, or rows of a strip")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each closure")
    parser.add_argument("--size", type=int, default=256, help="pixels of a side, for whole pictures")
    parser.add_argument("--steps", type=int, default=300, help="of the plain method")
    parser.add_argument("--contents", type=Path, default=DATA / "content")
    parser.add_argument("--styles", type=Path, default=DATA / "style")
    parser.add_argument("--tasks", type=int, nargs="+", default=[100_000, 300_000, 1_000_000], help="of scale")
    parser.add_argument("--json", type=Path, help="write all figures here too")
    given = parser.parse_args()
    if unknown := set(given.stages) - set(_STAGES):
        parser.error(f"no such stages: {', '.join(sorted(unknown))}; there are {', '.join(_STAGES)}")
    console = Console(width=140)
    console.print(f"{given.device}, {given.threads} threads, torch {torch.__version__}")
    found: dict[str, Any] = {}
    for stage in given.stages:
        with tempfile.TemporaryDirectory() as folder:
            found[stage] = _STAGES[stage](given, console, Path(folder))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


def _closure(given: argparse.Namespace, console: Console, _: Path) -> list[dict[str, Any]]:
    rows = []
    for preset in closure.LOSSES:
        for size in given.sizes:
            for many in given.batches:
                setting = closure.Setting(preset, size, given.device, given.threads, many)
                rows += closure.measure(setting, closure.kinds(given.device), given.rounds)
    table = _table("One closure", "losses", "px", "batch", "", "seconds", "against plain", "GFLOP/s", "of bf16 matmul",
                   "of fp32 matmul", "loss", "peak MB")  # fmt: skip
    for row in rows:
        table.add_row(
            row["preset"], str(row["size"]), str(row["batch"]), row["kind"], f"{row['seconds']:.3f}",
            f"{row['ratio']:.2f}x", f"{row['gflops']:.0f}", f"{row['share_of_bf16']:.0%}",
            f"{row['share_of_fp32']:.0%}", f"{row['loss']:.6g}", f"{row['memory_bytes'] / 1e6:.0f}",
        )  # fmt: skip
    console.print(table)
    console.print(f"matrix products: bf16 {rows[0]['bf16_gflops']:.0f}, fp32 {rows[0]['fp32_gflops']:.0f} GFLOP/s")
    return rows


def _precision(given: argparse.Namespace, console: Console, _: Path) -> list[dict[str, Any]]:
    size = given.size // 2  # what others have no kernels for takes long on a CPU
    rows = precision.measure(given.contents, given.styles, size=size, count=4, device=given.device)
    table = _table(
        f"Precision, default, {size} px", "pair", "start", "precision", "loss in float32", "of fp32's", "seconds"
    )
    for row in rows:
        table.add_row(
            row["pair"], row["init"], row["precision"], f"{row['loss']:.4g}", f"{row['worse']:.3f}",
            f"{row['seconds']:.1f}",
        )  # fmt: skip
    console.print(table)
    return rows


def _run(given: argparse.Namespace, console: Console, folder: Path, count: int) -> dict[str, Any]:
    workers = given.workers or (2 if given.device == "cpu" and count > 1 else 1)
    devices = [given.device] * workers
    found = batch.measure(
        folder, given.contents, given.styles, size=given.size, count=count, steps=given.steps, devices=devices,
        preset=PRESET,
    )  # fmt: skip
    table = _table(f"{count}x{count} pairs, {given.size} px", "pair", "plain: evaluations", "loss",
                   f"{PRESET}: evaluations", "loss", "ours / plain")  # fmt: skip
    for pair in found["pairs"]:
        table.add_row(
            pair["pair"], str(pair["plain_evaluations"]), f"{pair['plain_final']:.4g}", str(pair["ours_evaluations"]),
            f"{pair['ours_final']:.4g}", f"{pair['worse']:.3f}",
        )  # fmt: skip
    console.print(table)
    seconds = " and ".join(f"{value:.1f}" for value in found["ours_seconds"])
    console.print(
        f"plain loop {found['plain_seconds']:.1f} s, nst-batch run on {devices} {seconds} s (before and after): "
        f"{found['ratio']:.2f}x; worst loss {found['worst']:.3f} of the plain one"
    )
    return found


def _picture(given: argparse.Namespace, console: Console, folder: Path) -> dict[str, Any]:
    return _run(given, console, folder, 1)


def _batch(given: argparse.Namespace, console: Console, folder: Path) -> dict[str, Any]:
    return _run(given, console, folder, 4)


def _overhead(given: argparse.Namespace, console: Console, folder: Path) -> dict[str, Any]:
    found = overhead.measure(folder, side=10, device=given.device)
    console.print(
        f"{found['tasks']} tasks of {found['size']} px: {found['overhead_seconds']:.3f} s each beside closures "
        f"({found['step_seconds']:.4f} s a step), the device idle for "
        f"{found['idle_share']:.1%} of a task; peak memory {found['memory_first'] / 1e6:.0f} MB at first, "
        f"{found['memory_last'] / 1e6:.0f} MB at last ({found['memory_ratio']:.3f})"
    )
    return found


def _handout(given: argparse.Namespace, console: Console, folder: Path) -> list[dict[str, Any]]:
    found = []
    for tasks, until in ((20_000, 20_000), (1_000_000, 20_000)):
        row = handout.measure(folder / str(tasks), tasks=tasks, until=until, workers=given.workers or 2)
        found.append(row)
        memory = ", ".join(f"{(each - row['memory_before']) / 1e6:.0f}" for each in row["memory"])
        console.print(
            f"{row['done']} of {tasks} tasks whose transfers take no time: {row['per_second']:.0f} a second, "
            f"{row['processor_ms']:.3f} ms of the scheduler's processor each, {row['syncs']} flushes, the first handed "
            f"out after {row['first_after']:.1f} s; MB of memory beside what torch takes: {memory}"
        )
        table = _table("Parts", "", "ms a task")
        for name, each in row["parts_ms"].items():
            table.add_row(name, f"{each:.4f}")
        console.print(table)
    return found


def _sizes(given: argparse.Namespace, console: Console, _: Path) -> list[dict[str, Any]]:
    rows = []
    for size in given.sizes:
        rows += sizes.measure(size, given.ways, preset="gatys", steps=6, device=given.device, threads=given.threads)
    table = _table("Whole and in strips, gatys", "px", "rows", "strips", "seconds", "of the first", "peak GB",
                   "forecast GB", "forecast / peak", "loss")  # fmt: skip
    for row in rows:
        table.add_row(
            str(row["size"]), row["way"], str(row["strips"]), f"{row['seconds']:.2f}", f"{row['slower']:.2f}",
            f"{row['peak'] / 1e9:.2f}", f"{row['forecast'] / 1e9:.2f}", f"{row['forecast'] / row['peak']:.2f}",
            f"{row['loss']:.6g}",
        )  # fmt: skip
    console.print(table)
    return rows


def _report(_: argparse.Namespace, console: Console, folder: Path) -> list[dict[str, Any]]:
    rows = [
        report.measure(folder / str(contents * styles), contents=contents, styles=styles, size=256)
        for contents, styles in ((10, 20), (25, 40))
    ]
    table = _table(
        "The page, 256 px", "pictures", "s at first", "s again", "s live", "MB", "beside", "without pictures"
    )
    for row in rows:
        table.add_row(
            str(row["pictures"]), *(f"{row[key]:.2f}" for key in ("cold_seconds", "again_seconds", "live_seconds")),
            *(f"{row[key] / 1e6:.2f}" for key in ("page_bytes", "beside_bytes", "bare_bytes")),
        )  # fmt: skip
    console.print(table)
    for row in rows:
        for where, found in row["opened"].items():
            figures = ", ".join(f"{key} {value:.0f}" for key, value in found.items())
            console.print(f"{row['pictures']} pictures, thumbnails {where}, in Chromium: {figures}")
    return rows


def _busy(given: argparse.Namespace, console: Console, folder: Path) -> dict[str, Any]:
    found = [busy.measure(size, given.threads, given.rounds) for size in (64, 256)]
    title = "Evaluations/s alone, and beside as many busy loops as cores (a fair share is a half)"
    table = _table(title, "px", "threads wait as", "alone", "beside", "kept")
    for row in found:
        for way in busy.WAYS:
            alone, beside = row["alone"][way], row["beside"][way]
            table.add_row(str(row["size"]), way, f"{alone:.2f}", f"{beside:.2f}", f"{beside / alone:.0%}")
        table.add_row("", "workers, of torch", f"{row['alone_of_torch']:.3f}", "", "")
    console.print(table)
    shared = busy.together(folder, side=4, size=128, steps=100)
    table = _table(
        f"{shared['tasks']} tasks of {shared['size']} px in one folder", "one run", "two runs", "two, of one"
    )
    table.add_row(f"{shared['one']:.1f} s", f"{shared['two']:.1f} s", f"{shared['ratio']:.2f}")
    console.print(table)
    return {"beside": found, "together": shared}


def _eta(_: argparse.Namespace, console: Console, folder: Path) -> dict[str, Any]:
    replayed = eta.replays(400)
    table = _table("400 replayed runs: seconds left, against what was left", "at", "worst", "median", "within 20 %")
    for share, (worst, median, within) in eta.worst_and_median(replayed).items():
        table.add_row(share, f"{worst:.1%}", f"{median:.1%}", f"{within:.1%}")
    console.print(table)
    found = eta.runs(folder, [["cpu"], ["cpu", "cpu"]], sizes=(160, 160, 128, 128, 96, 64), steps=100)
    table = _table(
        "Real runs of 12 tasks, 64 to 160 px", "devices", "seconds", *(f"at {each:.0%}" for each in eta.SHARES)
    )
    for row in found:
        table.add_row(" ".join(row["devices"]), f"{row['seconds']:.1f}", *(f"{e:+.1%}" for e in row["errors"].values()))
    console.print(table)
    return {"replayed": replayed, "runs": found}


def _shards(_: argparse.Namespace, console: Console, folder: Path) -> dict[str, Any]:
    found = shards.measure(folder)
    console.print(found.in_words())
    return dataclasses.asdict(found)


def _scale(given: argparse.Namespace, console: Console, folder: Path) -> list[dict[str, Any]]:
    rows = []
    for pairs in scale.PAIRS:
        table = _table(f"Large runs, {pairs}", "tasks", "", "seconds", "of processors", "peak MB", "us a task")
        for tasks in given.tasks:
            for cost in scale.measure(folder / f"{pairs}{tasks}", tasks=tasks, pairs=pairs):
                rows.append({"pairs": pairs, "tasks": tasks, **dataclasses.asdict(cost)})
                table.add_row(
                    f"{tasks:,}", cost.name, f"{cost.seconds:.1f}", f"{cost.cpu_seconds:.1f}",
                    f"{cost.memory / 1e6:.0f}", f"{cost.seconds / tasks * 1e6:.1f}",
                )  # fmt: skip
        console.print(table)
    return rows


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="right")
    return table


_STAGES = {
    "closure": _closure,
    "precision": _precision,
    "picture": _picture,
    "batch": _batch,
    "overhead": _overhead,
    "handout": _handout,
    "report": _report,
    "busy": _busy,
    "eta": _eta,
    "sizes": _sizes,
    "shards": _shards,
    "scale": _scale,
}

if __name__ == "__main__":
    main()
