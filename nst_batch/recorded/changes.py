"""What has changed since a picture was rendered: its inputs, its weights, its settings, or how pictures are made."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nst_batch.columns import NONE
from nst_batch.planning.task_table import TaskTable
from nst_batch.recorded.lines import WholeLines, digests, inputs_digest
from nst_batch.recorded.manifest import inputs_of
from nst_batch.recorded.rendered import RenderedTable
from nst_batch.records import Task, Weights
from nst_batch.settings import SETTINGS, TransferSettings

INPUT, WEIGHTS, SETTINGS_CHANGED, ALGORITHM = (
    "input changed", "weights changed", "settings changed", "algorithm changed",
)  # fmt: skip
REASONS = (INPUT, WEIGHTS, SETTINGS_CHANGED, ALGORITHM)


def what_changed(task: Task, record: Mapping[str, Any]) -> tuple[str, str]:
    """(reason, detail): how ``task`` differs from what a manifest's line says was rendered under its name."""
    after, before = digests(inputs_of(task)), digests(record)
    inputs = [_called(part, task) for part in {**after, **before} if after.get(part) != before.get(part)]
    if inputs:
        return INPUT, ", ".join(inputs)
    if _weights(task.weights) != _recorded_weights(record):
        return WEIGHTS, f"now {task.weights.name}"
    if fields := _fields(task.settings, record["settings"]):
        return SETTINGS_CHANGED, fields
    return ALGORITHM, "another format, or a newer nst_batch, renders these settings otherwise"


def _weights(weights: Weights) -> str:
    return f"{weights.digest} {weights.format}"


def _recorded_weights(record: Mapping[str, Any]) -> str:
    return f"{record['weights']['digest']} {record['weights'].get('format', 'torchvision')}"


def _fields(settings: TransferSettings, before: Mapping[str, Any]) -> str:
    now = json.loads(json.dumps(dataclasses.asdict(settings)))
    later = {name: item.default for name, item in SETTINGS.items() if item.metadata.get("added")}
    then = {**later, **before}
    return ", ".join(
        f"{name}: {then.get(name, 'unset')} -> {now.get(name, 'unset')}"
        for name in sorted(now.keys() | then.keys())
        if now.get(name) != then.get(name)
    )


def _called(part: str, task: Task) -> str:
    """An input for people: ``style monet.jpg``, or ``mask of content``."""
    source = {"content": task.content, "style": task.style}.get(part)
    return f"{part} {Path(source.path).name}" if source else part


class Changes:
    """The reasons alone, of as many tasks as there are, without reading their lines again.

    Args:
        tasks: as they are now.
        rendered: what stands under their names.
        lines: of the manifest, for what cannot be told otherwise.
    """

    def __init__(self, tasks: TaskTable, rendered: RenderedTable, lines: WholeLines) -> None:
        self._tasks, self._rendered, self._lines = tasks, rendered, lines
        bases = [rendered.weights_kinds.find(_weights(each.weights)) for each in tasks.variants.bases]
        self._weights = np.array(bases, np.int64)[tasks.variants.base_of]
        self._differ = functools.cache(self._settings_differ)

    def reason(self, row: int, before: int) -> str:
        """Why the task in ``row`` is another than what the ``before``-th row of what was rendered says."""
        tasks, rendered = self._tasks, self._rendered
        weights, settings = int(rendered.weights[before]), int(rendered.settings[before])
        if NONE in (weights, settings):
            return self._by_line(row, before)
        if inputs_digest(self._inputs(row)) != rendered.inputs[before].tobytes():
            return INPUT
        variant = int(tasks.variant_of[row])
        if self._weights[variant] != weights:
            return WEIGHTS
        return SETTINGS_CHANGED if self._differ(variant, settings) else ALGORITHM

    def _inputs(self, row: int) -> Mapping[str, Any]:
        """As ``inputs_of``; of most tasks, without making them."""
        tasks = self._tasks
        content, group = int(tasks.contents[row]), tasks.groups[tasks.group_of[row]]
        masks, style = tasks.sources.masks, group[0].source
        plain = len(group) == 1 and not group[0].region and tasks.starts[row] == NONE
        if not plain or max(masks[content], masks[style]) != NONE:
            return inputs_of(tasks[row])
        return {"content": {"digest": tasks.sources.digest(content)}, "style": {"digest": tasks.sources.digest(style)}}

    def _settings_differ(self, variant: int, settings: int) -> bool:
        return bool(
            _fields(self._tasks.variants[variant].settings, json.loads(self._rendered.settings_kinds.values[settings]))
        )

    def _by_line(self, row: int, before: int) -> str:
        try:
            return what_changed(self._tasks[row], self._lines.at(self._rendered.place(before)))[0]
        except (OSError, ValueError):  # its part was merged into another meanwhile
            return ALGORITHM
