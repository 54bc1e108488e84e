"""How well a run foretells its own end: replayed runs of any speed, and real ones on the CPU."""

from __future__ import annotations

import heapq
import itertools
import os
import random
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from typing_extensions import override

from benchmarks.closure import REPOSITORY
from benchmarks.pictures import DATA, squares
from nst_batch.paths import RunPaths
from nst_batch.recorded.decisions import Decision
from nst_batch.records import Source, Style, Task, TaskResult, Weights
from nst_batch.running.expectations import Expectations
from nst_batch.running.live import read
from nst_batch.running.messages import Progress
from nst_batch.running.tally import Tally
from nst_batch.running.todo import hand_out_order
from nst_batch.settings import TransferSettings

SHARES = (0.1, 0.25, 0.5)
"""Of a run's time, at which what it foretells is noted."""

_STEPS = 100
_REPORT_SECONDS = 0.2  # between two words of a worker
_PICTURE = Source("a.png", "0" * 64, 1, 512, 512)


def replays(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Runs of 1 to 8 workers and 12 to 200 tasks of mixed sizes: each run 50 % slower to 50 % faster than was foretold,
    each task's seconds 10 % off beside, each worker some seconds late. Shares are of the time since the first began."""
    chance = random.Random(seed)
    return [_replay(workers=1 + place % 8, chance=chance) for place in range(count)]


@dataclass(frozen=True)
class _Foretold(Expectations):
    """What tasks are expected to take, by id."""

    seconds_of: dict[str, float]

    @property
    @override
    def is_measured(self) -> bool:
        return True

    @override
    def seconds(self, task: Task) -> float:
        return self.seconds_of[task.id]

    @override
    def share(self, task: Task, step: int) -> float:
        return step / _STEPS


def _replay(workers: int, chance: random.Random) -> dict[str, Any]:
    tasks, slowness = max(2 * workers, chance.choice((12, 25, 50, 100, 200))), chance.uniform(0.5, 1.5)
    foretold = {f"{number}": 4.0 * 4 ** chance.choice((0, 0.5, 1, 1.5)) for number in range(tasks)}
    really = {name: seconds * slowness * chance.gauss(1, 0.1) for name, seconds in foretold.items()}
    now = [0.0]
    todo = [_decision(name, seconds) for name, seconds in foretold.items()]
    tally = Tally(todo, 0, workers, _Foretold(foretold), now=lambda: now[0])
    begins = [chance.uniform(2, 4) for _ in range(workers)]
    looks: list[tuple[float, float]] = []
    events = [(when, place, "free", slot, "") for place, (slot, when) in enumerate(enumerate(begins))]
    order, waiting, since = (
        itertools.count(workers),
        iter([todo[place] for place in hand_out_order(todo)]),
        dict[int, float](),
    )
    heapq.heapify(events)
    while events:
        now[0], _, what, slot, name = heapq.heappop(events)
        if what == "step":
            step = int(_STEPS * (now[0] - since[slot]) / really[name])
            tally.progressed(slot, Progress((name,), step, _STEPS, 1.0, 1.0))
        elif what == "done":
            tally.finished(slot, TaskResult(name, "done", f"{name}.png"), final=True)
        elif (following := next(waiting, None)) is not None:
            since[slot], name = now[0], following.task.id
            tally.started(slot, "cpu", [following])
            end = now[0] + really[name]
            for turn in range(1, int(really[name] / _REPORT_SECONDS)):
                heapq.heappush(events, (now[0] + turn * _REPORT_SECONDS, next(order), "step", slot, name))
            heapq.heappush(events, (end, next(order), "done", slot, name))
            heapq.heappush(events, (end, next(order), "free", slot, ""))
        if not looks or now[0] - looks[-1][0] > _REPORT_SECONDS:
            left = tally.seconds_left()
            looks += [(now[0], left)] if left is not None else []
    return {
        "workers": workers,
        "tasks": tasks,
        "seconds": now[0],
        "slowness": slowness,
        **_errors(looks, min(begins), now[0]),
    }


def _decision(name: str, cost: float) -> Decision:
    task = Task(name, _PICTURE, (Style(_PICTURE),), TransferSettings(), Weights("w", "0"), f"{name}.png", cost=cost)
    return Decision(task, "todo", "new")


def _errors(looks: list[tuple[float, float]], begin: float, end: float) -> dict[str, Any]:
    """At each share of a run, by how much of the time that really was left what was foretold was off."""
    found = {}
    for share in SHARES:
        at = begin + share * (end - begin)
        when, left = min(looks, key=lambda look: abs(look[0] - at))
        found[f"{share:.0%}"] = left / (end - when) - 1
    return {"errors": found}


def runs(folder: Path, devices: list[list[str]], sizes: tuple[int, ...], steps: int) -> list[dict[str, Any]]:
    """Real runs of 12 tasks of mixed sizes, read from outside by their live files; one picture is known before."""
    for name in ("content", "style"):
        (folder / name).mkdir(parents=True)
    for place, size in enumerate(sizes):
        squares(DATA / "content", size, len(sizes))[place].save(folder / "content" / f"{place}.png")
    for place, image in enumerate(squares(DATA / "style", max(sizes), 2)):
        image.save(folder / "style" / f"{place}.png")
    found = []
    for number, names in enumerate(devices):
        fields = {
            "version": 1, "name": "eta", "content": "content", "style": "style", "weights": "random",
            "transfer": {"size": max(sizes), "steps": steps, "stop": None},
            "output": {"dir": f"out{number}"}, "run": {"devices": names, "threads": 1},
        }  # fmt: skip
        pipeline = folder / f"{number}.yaml"
        pipeline.write_text(yaml.safe_dump(fields))
        if number == 0:  # builds the kernels, and shows how fast this machine is
            _begin(pipeline, folder, "--limit", "1", "--set", f"output.dir={folder / 'first'}").wait()
        found.append({"devices": names, **_watched(_begin(pipeline, folder), RunPaths(folder / f"out{number}"))})
    return found


def _begin(pipeline: Path, folder: Path, *more: str) -> subprocess.Popen[bytes]:
    """With a cache of its own: what other runs took here, perhaps beside others, is not to tell."""
    return subprocess.Popen(
        [sys.executable, "-m", "nst_batch", "run", str(pipeline), *more],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "XDG_CACHE_HOME": str(folder / "cache")},
    )


def _watched(process: subprocess.Popen[bytes], paths: RunPaths) -> dict[str, Any]:
    begun = time.time()
    looks: dict[float, float] = {}
    while process.poll() is None:
        for each in read(paths):
            if each.state.seconds_left is not None and not each.ended:
                looks[datetime.fromisoformat(each.updated).timestamp()] = each.state.seconds_left
        time.sleep(0.2)
    (last,) = read(paths)
    end = datetime.fromisoformat(last.updated).timestamp()
    return {"tasks": last.state.rendered, "seconds": end - begun, **_errors(sorted(looks.items()), begun, end)}


def worst_and_median(found: list[dict[str, Any]]) -> dict[str, tuple[float, float, float]]:
    """Of the errors at each share: the worst, the median, and how many are within 20 %."""
    table = {}
    for share in found[0]["errors"]:
        errors = [abs(each["errors"][share]) for each in found]
        table[share] = max(errors), statistics.median(errors), sum(error <= 0.2 for error in errors) / len(errors)
    return table
