"""What becomes of a pipeline on this machine: its file, its pictures, and the memory that they take."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nst_batch.doctor.computing import Probed
from nst_batch.doctor.findings import Finding, Level
from nst_batch.errors import NstError, SpecError, WeightsError
from nst_batch.memory import free, in_words
from nst_batch.pipeline import Choices, Pipeline, prepare
from nst_batch.pipeline_file.spec import PipelineSpec, load_spec
from nst_batch.planning.forecasts import Forecaster

_LISTED = 3


def loaded(file: Path, overrides: Mapping[str, str]) -> tuple[Finding, PipelineSpec | None]:
    """The pipeline file, and what is wrong with it."""
    try:
        spec = load_spec(file, overrides)
    except SpecError as error:
        count = len(error.mistakes)
        told = f"{file}: {count} mistake{'s' * (count > 1)}"
        return Finding("pipeline", "problem", told, "\n".join(error.mistakes)), None
    left_out = [f"left out of {kind}: {told}" for kind, what in spec.left_out().items() if (told := what.told())]
    return Finding("pipeline", "ok", "; ".join([f"{file}: {spec.name}", *left_out])), spec


def planned(file: Path, overrides: Mapping[str, str]) -> tuple[Finding, Pipeline | None]:
    """Its tasks, and pictures that cannot be read."""
    try:
        ready = _prepared(file, overrides)
    except NstError as error:
        return Finding("tasks", "problem", str(error), error.hint), None
    contents, styles = _rows(ready)
    counts, unusable = ready.counts(), ready.unusable()
    told = f"{len(contents)} contents, {len(styles)} styles: {counts['tasks']} tasks, {counts['done']} done"
    if not unusable:
        return Finding("tasks", "ok", told), ready
    more = f"; and {len(unusable) - _LISTED} more" if len(unusable) > _LISTED else ""
    remedy = "; ".join(f"{path}: {why}" for path, why in unusable.first(_LISTED)) + more
    level: Level = "problem" if _all_broken(ready) else "warning"
    return Finding("tasks", level, f"{told}; {len(unusable)} files cannot be used: their tasks fail", remedy), ready


def _prepared(file: Path, overrides: Mapping[str, str]) -> Pipeline:
    """Weights that cannot be had are told elsewhere; there is more to see with others."""
    try:
        return prepare(file, overrides, Choices(), lambda _: None)
    except WeightsError:
        return prepare(file, {**overrides, "weights": "random"}, Choices(), lambda _: None)


def _rows(ready: Pipeline) -> tuple[set[int], set[int]]:
    """Contents and styles, by their rows among the sources."""
    tasks = ready.tasks
    groups = np.unique(tasks.group_of).tolist()
    return set(np.unique(tasks.contents).tolist()), {share.source for each in groups for share in tasks.groups[each]}


def _all_broken(ready: Pipeline) -> bool:
    tasks = ready.tasks
    first = np.array([group[0].source for group in tasks.groups], np.int64)
    widths = tasks.sources.widths
    return not (widths[tasks.contents] * widths[first[tasks.group_of]]).any()


def devices(spec: PipelineSpec, asked: Probed) -> Finding:
    """Those of the pipeline file, against those of this machine."""
    there = ["cpu", *(f"cuda:{index}" for index in range(len(asked.gpus)))]
    there += ["mps"] if asked.of("gpus").get("mps") else []
    missing = sorted(set(spec.run.devices) - set(there))
    if missing:
        told = f"run.devices: no {', '.join(missing)} on this machine"
        return Finding("devices", "problem", told, f"it has: {', '.join(there)}; run.devices: auto takes what there is")
    wanted = spec.run.devices or tuple(there[1:]) or ("cpu",)
    return Finding("devices", "ok", ", ".join(wanted))


def forecast(ready: Pipeline, asked: Probed) -> Finding:
    """Memory that tasks take, against what there is."""
    todo, ahead = ready.todo(), ready.forecaster()
    if not len(todo):
        return Finding("forecast", "ok", "nothing is left to render")
    total, workers = ahead.total(todo.tasks, todo.rows), ahead.here.workers
    each = f"{in_words(total.bytes)} at most" + (f" for each of {workers} workers" if workers > 1 else "")
    there, where = _room(ahead, asked)
    told = f"{each}, {in_words(there)} free{where}" if there else each
    smaller = "a smaller transfer.size, fewer workers (run.devices), or run.tile: auto"
    if total.too_large:
        level: Level = "problem" if total.too_large == len(todo) else "warning"
        return Finding("forecast", level, f"{told}: {total.too_large} of {len(todo)} tasks do not fit", smaller)
    if total.strips:
        told += f": {total.strips} of {len(todo)} in strips, which takes longer"
    elif there and not ahead.here.is_cpu and total.bytes > there:
        told += ": the largest in strips, which takes longer"
    return Finding("forecast", "ok", told)


def _room(ahead: Forecaster, asked: Probed) -> tuple[int, str]:
    """Bytes that are free where pictures are computed, in the fullest of several GPUs; 0 where nobody says."""
    if ahead.here.is_cpu:
        return free(), ""
    gpus = [each["free"] for each in asked.gpus if not each["error"]]
    return min(gpus, default=0), " on the fullest GPU" if len(gpus) > 1 else ""
