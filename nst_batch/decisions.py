"""Whether each task is to be rendered, and why, from what is recorded and what is there. Pure but for looking."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nst_batch.history import Attempts, History, Rendered, digests, last_words
from nst_batch.inputs import sha256_of
from nst_batch.manifest import inputs_of
from nst_batch.paths import RunPaths
from nst_batch.records import Task
from nst_batch.settings import SETTINGS

DEATHS_TO_QUARANTINE = 2
"""A task that was in hand when this many workers died is not handed out again unless asked."""


@dataclass(frozen=True)
class Decision:
    """Whether a task is to be rendered, and why.

    ``state`` is ``done``, ``todo``, or ``failed`` (given up, until ``--retry-failed``). ``reason`` is the group that
    ``plan`` counts by, ``detail`` the rest of the sentence.
    """

    task: Task
    state: str
    reason: str = ""
    detail: str = ""
    attempts: int = 0  # failed so far
    hint: str = ""  # what may be done about the last failure


def decide(
    tasks: Iterable[Task],
    history: History,
    paths: RunPaths,
    *,
    retries: int,
    verify: bool = False,
    force: bool = False,
    retry_failed: bool = False,
) -> list[Decision]:
    """What to do with each task.

    Done means: the last line about the task's output is a ``done`` line of this very task, and the file is there with
    the recorded size (``verify``: and SHA-256).
    """
    size_of = output_sizes(paths)
    decisions = []
    for task in tasks:
        attempts = history.attempts.get(task.id, Attempts())
        why = _why_render(task, history.rendered.get(task.output), paths, size_of, verify)
        if force:
            why = ("forced", "")
        if why is None:
            decisions.append(Decision(task, "done"))
        elif attempts.failed and not force:
            decisions.append(_after_failures(task, attempts, retries, retry_failed))
        else:
            decisions.append(Decision(task, "todo", *why))
    return decisions


def _after_failures(task: Task, attempts: Attempts, retries: int, retry_failed: bool) -> Decision:
    message, hint = last_words(attempts)
    count = f"{attempts.failed} of {retries + 1}: {message}" if attempts.transient else message
    if attempts.deaths >= DEATHS_TO_QUARANTINE:
        reason, given_up = "quarantined", True
        count = f"{attempts.deaths} workers died with it: {message}"
    else:
        reason, given_up = "failed", not attempts.transient or attempts.failed > retries
    if given_up and not retry_failed:
        return Decision(task, "failed", reason, count, attempts.failed, hint)
    return Decision(task, "todo", reason, count, attempts.failed, hint)


def output_sizes(paths: RunPaths) -> Callable[[str], int | None]:
    """A file's size by its output name (None: not there), from one listing a folder, not one call a file."""
    folders: dict[str, dict[str, int]] = {}

    def size_of(output: str) -> int | None:
        folder, _, name = output.rpartition("/")
        if folder not in folders:
            try:
                with os.scandir(paths.output(folder)) as entries:
                    folders[folder] = {e.name: size for e in entries if (size := _size(e)) is not None}
            except OSError:
                folders[folder] = {}
        return folders[folder].get(name)

    return size_of


def _size(entry: os.DirEntry[str]) -> int | None:
    """A file's size; None for what is no file, or has gone since it was listed."""
    try:
        return entry.stat().st_size if entry.is_file() else None
    except OSError:
        return None


def _why_render(
    task: Task, rendered: Rendered | None, paths: RunPaths, size_of: Callable[[str], int | None], verify: bool
) -> tuple[str, str] | None:
    """(reason, detail) why the picture of ``task`` is not there, or None when it is."""
    if rendered is None:
        return "new", ""
    if rendered.task != task.id:
        return _what_changed(task, json.loads(rendered.inputs))
    size = size_of(task.output)
    if size is None:
        return "output missing", task.output
    if size != rendered.bytes:
        return "output altered", f"{size} bytes, {rendered.bytes} recorded"
    if verify and sha256_of(paths.output(task.output)) != rendered.sha256:
        return "output altered", "same size, other bytes"
    return None


def _what_changed(task: Task, before: Mapping[str, Any]) -> tuple[str, str]:
    after, earlier = digests(inputs_of(task)), before["digests"]
    inputs = [_called(part, task) for part in {**after, **earlier} if after.get(part) != earlier.get(part)]
    if inputs:
        return "input changed", ", ".join(inputs)
    if [task.weights.digest, task.weights.format] != before["weights"]:
        return "weights changed", f"now {task.weights.name}"
    now = json.loads(json.dumps(dataclasses.asdict(task.settings)))
    later = {name: item.default for name, item in SETTINGS.items() if item.metadata.get("added")}
    then = {**later, **before["settings"]}
    fields = [
        f"{name}: {then.get(name, 'unset')} -> {now.get(name, 'unset')}"
        for name in sorted(now.keys() | then.keys())
        if now.get(name) != then.get(name)
    ]
    if fields:
        return "settings changed", ", ".join(fields)
    return "algorithm changed", "another format, or a newer nst_batch, renders these settings otherwise"


def _called(part: str, task: Task) -> str:
    """An input for people: ``style monet.jpg``, or ``mask of content``."""
    source = {"content": task.content, "style": task.style}.get(part)
    return f"{part} {Path(source.path).name}" if source else part
