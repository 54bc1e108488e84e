"""A pipeline file made ready: checked, its inputs digested, its weights found, its tasks planned and compared with
what is done. Everything before the first worker; nothing here imports torch unless weights must be downloaded.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nst_batch import manifest
from nst_batch.atomic import write_atomic
from nst_batch.errors import WeightsError
from nst_batch.inputs import InputCache
from nst_batch.manifest import Decision, History
from nst_batch.paths import RunPaths
from nst_batch.plan import plan
from nst_batch.records import Task, Weights
from nst_batch.spec import PipelineSpec, WeightsFile, load_spec
from nst_batch.transfer import weights as vgg_weights

DOWNLOAD_AGAIN_SECONDS = 3600.0
"""After a download that failed, ``auto`` does not try again for so long: machines without network stay without."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Choices:
    """How a command wants tasks to be looked at."""

    verify: bool = False
    force: bool = False
    retry_failed: bool = False


@dataclass(frozen=True)
class Pipeline:
    """A pipeline, ready to run or to be reported on."""

    spec: PipelineSpec
    paths: RunPaths
    weights: Weights
    tasks: tuple[Task, ...]
    history: History
    decisions: list[Decision]

    def todo(self) -> list[Decision]:
        """What is to be rendered now."""
        return [d for d in self.decisions if d.state == "todo"]

    def given_up(self) -> list[Decision]:
        """Failed tasks that are not tried again unless asked."""
        return [d for d in self.decisions if d.state == "failed"]

    def counts(self) -> dict[str, int]:
        """Tasks by state."""
        states = Counter(d.state for d in self.decisions)
        return {"tasks": len(self.decisions), **{state: states[state] for state in ("done", "failed", "todo")}}

    def reasons(self) -> dict[str, int]:
        """Tasks to do, by why."""
        return dict(Counter(d.reason for d in self.decisions if d.state == "todo"))

    def owned(self) -> frozenset[str]:
        """Output names that this run has written before."""
        return frozenset(self.history.rendered)

    def save_plan(self) -> None:
        """Write what this run is about, for ``status`` on the folder alone."""
        lines = [
            json.dumps({"task": t.id, "output": t.output, "content": t.content.path, "style": t.style.path})
            for t in self.tasks
        ]
        write_atomic(self.paths.plan, ("\n".join(lines) + "\n").encode())


def prepare(
    file: Path, overrides: Mapping[str, str], choices: Choices, say: Say, *, download: bool = False
) -> Pipeline:
    """Read, check, digest, plan and compare.

    Args:
        file: the pipeline file.
        overrides: as ``--set``.
        choices: of the command.
        say: for warnings.
        download: whether missing ImageNet weights may be downloaded.

    Raises:
        UsageError: something in the file, or the weights.
    """
    spec = load_spec(file, overrides)
    paths = RunPaths(Path(os.path.abspath(spec.output_dir)))
    cache = InputCache(paths.digests)
    weights = find_weights(spec, paths, cache, say, download=download)
    tasks = plan(spec, lambda path: cache.source(Path(os.path.abspath(path))), weights)
    cache.save()
    history = manifest.read(paths)
    decisions = manifest.decide(
        tasks, history, paths, retries=spec.run.retries,
        verify=choices.verify, force=choices.force, retry_failed=choices.retry_failed,
    )  # fmt: skip
    return Pipeline(spec, paths, weights, tasks, history, decisions)


def find_weights(spec: PipelineSpec, paths: RunPaths, cache: InputCache, say: Say, *, download: bool) -> Weights:
    """What ``weights`` in the spec comes to on this machine.

    Raises:
        WeightsError: a file that is damaged, or ``imagenet`` where there are none.
    """
    choice = spec.weights
    if isinstance(choice, WeightsFile):
        return vgg_weights.file_weights(Path(os.path.abspath(choice.path)), cache.digest, choice.format)
    if choice == "random":
        return vgg_weights.EMBEDDED
    found = vgg_weights.imagenet_weights(cache.digest)
    if found is None and download and (choice == "imagenet" or _worth_trying(paths)):
        found = _download(paths, cache, say, strict=choice == "imagenet")
    if found is not None:
        return found
    if choice == "imagenet":
        raise WeightsError(f"weights: no ImageNet VGG-19 at {vgg_weights.imagenet_path()}", hint=vgg_weights.remedies())
    say(
        "weights: no ImageNet VGG-19 on this machine: rendering with the EMBEDDED weights, made from a seed. "
        "Pictures get the style's colours and strokes, but less of its character; they are rendered again once "
        f"ImageNet weights are there. To have them: {vgg_weights.remedies()}"
    )
    return vgg_weights.EMBEDDED


def _download(paths: RunPaths, cache: InputCache, say: Say, *, strict: bool) -> Weights | None:
    say("weights: downloading the ImageNet VGG-19 (548 MB), once for this machine")
    try:
        vgg_weights.fetch_imagenet()
    except WeightsError as error:
        if strict:
            raise
        say(f"weights: {error}")
        with contextlib.suppress(OSError):  # a note for the next run; a folder that cannot be written is not its news
            write_atomic(paths.download, json.dumps({"failed": time.time(), "error": str(error)}).encode())
        return None
    return vgg_weights.imagenet_weights(cache.digest)


def _worth_trying(paths: RunPaths) -> bool:
    """Whether the last failed download is long enough ago."""
    try:
        failed: Any = json.loads(paths.download.read_bytes())["failed"]
        return not 0 <= time.time() - failed < DOWNLOAD_AGAIN_SECONDS
    except (OSError, ValueError, KeyError, TypeError):
        return True
