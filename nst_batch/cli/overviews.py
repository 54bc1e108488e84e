"""A run's overview as lines for people, and as an object for programs."""

from __future__ import annotations

import dataclasses
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from nst_batch.cli.cluster import job_lines
from nst_batch.cli.console import folded, in_words, printable, tasks
from nst_batch.cli.failures import altered_line, failure_lines
from nst_batch.cli.figures import (
    Column,
    Line,
    ahead,
    bar,
    clock,
    count,
    joined,
    per_hour,
    picture,
    pictures,
    short,
    table,
)
from nst_batch.memory import in_words as size_in_words

if TYPE_CHECKING:
    from nst_batch.running.overview import Overview

_WORKER = (
    *(Column("cyan", needs=60), Column("cyan"), Column(right=True), Column(gives_way=True), Column(right=True)),
    *(Column("bright_black", right=True, needs=90), Column("bright_black", right=True, needs=70), Column(right=True)),
)
_SLOW = (Column(right=True), Column("bright_black", right=True), Column(gives_way=True))
_LOUD, _QUIET = "bold", "bright_black"
_WORKERS = 16  # that are listed; of more, only devices' shares


def facts(seen: Overview, jobs: list[dict[str, Any]], begun: float) -> dict[str, Any]:
    """As ``--json`` prints it; ``begun`` is when the command was, by the monotonic clock."""
    common = {"rendered": 0, "skipped": seen.done, "seconds": round(time.monotonic() - begun, 3)}
    return {**dataclasses.asdict(seen), **common, "running": not seen.is_over, "jobs": jobs}


def lines(seen: Overview, jobs: list[dict[str, Any]], width: int | None) -> list[Line]:
    """An overview, line by line.

    Args:
        seen: what is told.
        jobs: of a cluster.
        width: of the terminal; None: there is none.
    """
    head: Line = ((f"{printable(seen.name)}: {tasks(seen.tasks)}: {in_words(_counts(seen))}", _LOUD),)
    parts = [
        [head],
        _progress(seen, width),
        _means(seen, width),
        _workers(seen, width),
        _slowest(seen, width),
        _last(seen, width),
    ]
    if seen.altered:
        told = altered_line(seen.altered, seen.altered_outputs)
        parts.append([((line, ""),) for line in folded(told, width).split("\n")])
    parts += [failure_lines(seen.groups, width, again=seen.is_over), [((line, ""),) for line in job_lines(jobs)]]
    return [line for part in parts for line in part]


def one_line(seen: Overview) -> str:
    """For logs."""
    failed = f", {seen.failed} failed" if seen.failed else ""
    rate = f", {per_hour(seen.pictures_per_hour)}" if seen.pictures_per_hour is not None else ""
    working = sum(bool(worker.outputs) for each in seen.writers for worker in each.state.workers)
    return (
        f"{seen.done} of {tasks(seen.tasks)} done{failed} | {seen.fraction:.0%} | {ahead(seen.seconds_left)} | "
        f"{count(len(seen.writers), 'writer')}, {working} working, "
        f"{seen.evaluations_per_second:.1f} evaluations/s{rate}"
    )


def _counts(seen: Overview) -> dict[str, int]:
    return {"done": seen.done, "todo": seen.todo, "failed": seen.failed}


def _progress(seen: Overview, width: int | None) -> list[Line]:
    found = list[Line]()
    if not seen.is_over:
        times = f"{seen.fraction:4.0%}  {ahead(seen.seconds_left)}"
        room = 30 if width is None else max(8, min(60, width - len(times) - 2))
        found.append((*bar(seen.fraction, room), (f"  {times}", "")))
        rates = [per_hour(seen.pictures_per_hour)] if seen.pictures_per_hour is not None else []
        hosts = len({each.host for each in seen.writers})
        where = f" on {hosts} machines" if hosts > 1 else ""
        rates += [f"{seen.evaluations_per_second:.1f} evaluations/s", f"{count(len(seen.writers), 'writer')}{where}"]
        found.append(((joined(rates, width), ""),))
    return found


def _means(seen: Overview, width: int | None) -> list[Line]:
    """Disk and memory."""
    room = seen.disk
    needed = [f"disk: {size_in_words(room.needed)} still needed"] if room.needed else []
    free = [] if room.free is None else [f"{'' if needed else 'disk: '}{size_in_words(room.free)} free"]
    memory = [f"memory: {size_in_words(seen.peak_memory_bytes)} at most"] if seen.peak_memory_bytes else []
    if not seen.tasks:
        return []
    style = "bold red" if room.is_short else _QUIET
    short_of = ["NOT ENOUGH ROOM"] if room.is_short else []
    return [((joined([*short_of, *needed, *free, *memory], width), style),)]


def _workers(seen: Overview, width: int | None) -> list[Line]:
    """What each device does; where there are many, by host."""
    rows = []
    for each in seen.writers:
        for worker in each.state.workers:
            busy = f"{min(1.0, worker.busy / max(each.state.elapsed, 1e-9)):.0%} busy"
            name = pictures(worker.outputs, 10_000 if width is None else width) if worker.outputs else "idle"
            step = f"{worker.step}/{worker.steps}" if worker.steps else ""
            loss = "" if worker.loss is None else f"loss {worker.loss:.4g}"
            rate = f"{worker.rate:.1f} ev/s" if worker.steps else ""
            left = "" if worker.left is None or not worker.outputs else clock(worker.left)
            rows.append([printable(each.host), printable(worker.device), busy, name, step, loss, rate, left])
    if len(rows) > _WORKERS:
        return _by_host(seen, width)
    return table(rows, _WORKER, width)


def _by_host(seen: Overview, width: int | None) -> list[Line]:
    rows = []
    for host in sorted({each.host for each in seen.writers}):
        workers = [worker for each in seen.writers if each.host == host for worker in each.state.workers]
        shares = [device.busy for device in seen.devices if device.host == host]
        busy = f"{sum(shares) / len(shares):.0%} busy" if shares else ""
        working = f"{sum(bool(worker.outputs) for worker in workers)} of {count(len(workers), 'worker')} at work"
        rows.append([printable(host), working, busy, f"{sum(worker.rate for worker in workers):.1f} ev/s"])
    columns = (Column("cyan", gives_way=True), Column(right=True), Column(right=True), Column(right=True))
    return table(rows, columns, width)


def _slowest(seen: Overview, width: int | None) -> list[Line]:
    rows = [[clock(took.seconds), f"{took.width}x{took.height}", picture(took.output)] for took in seen.slowest]
    found = table(rows, _SLOW, None if width is None else width - 2)
    return [(("slowest:", _QUIET),), *((("  ", ""), *line) for line in found)] if found else []


def _last(seen: Overview, width: int | None) -> list[Line]:
    if seen.last is None:
        return []
    ago = _ago(seen.last.finished)
    behind = f", {ago}" if ago else ""
    name = picture(seen.last.output)
    return [((f"last: {name if width is None else short(name, width - 6 - len(behind))}{behind}", _QUIET),)]


def _ago(finished: str) -> str:
    try:
        seconds = (datetime.now(timezone.utc) - datetime.fromisoformat(finished)).total_seconds()
    except (ValueError, TypeError):
        return ""
    return f"{clock(max(0.0, seconds))} ago" if seconds < 86400 else finished[:16].replace("T", " ") + " UTC"
