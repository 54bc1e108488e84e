"""A pipeline file made ready: checked, its inputs digested, its weights found, its tasks planned and compared with
what is done. Everything before the first worker; nothing here imports torch unless weights must be downloaded.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nst_batch.archives import tars
from nst_batch.archives.tar_memory import TarMemory
from nst_batch.atomic import remove_temporaries
from nst_batch.columns import NONE
from nst_batch.errors import RunLocked, UsageError, WeightsError
from nst_batch.paths import RunPaths
from nst_batch.pipeline_file.left_out import LeftOut
from nst_batch.pipeline_file.spec import FORMER_NAME, PipelineSpec, WeightsFile, load_spec
from nst_batch.pipeline_file.spec_run import Cluster, Run
from nst_batch.planning import disk
from nst_batch.planning.disk import Room
from nst_batch.planning.fanout import by_folder, crowded
from nst_batch.planning.forecasts import Forecaster
from nst_batch.planning.frozen import Frozen
from nst_batch.planning.input_cache import InputCache, Progress
from nst_batch.planning.plan import plan
from nst_batch.planning.planned import read_plan, write_plan
from nst_batch.planning.shares import Part, shard
from nst_batch.planning.task_table import TaskTable
from nst_batch.planning.unusable import Unusable
from nst_batch.recorded import decisions, status
from nst_batch.recorded.decisions import Decision, Decisions
from nst_batch.recorded.history import History, ManifestReader
from nst_batch.recorded.rendered import Rendered
from nst_batch.recorded.writers import Writer, describe, entered, entrance
from nst_batch.records import Task, Weights
from nst_batch.running import claims, live
from nst_batch.running.backlog import News
from nst_batch.transfer import weights as vgg_weights
from nst_batch.transfer.user_cache import digests_before

Say = Callable[[str], None]


@dataclass(frozen=True)
class Choices:
    """How a command wants tasks to be looked at; ``part``: these alone, of so many shards."""

    verify: bool = False
    force: bool = False
    retry_failed: bool = False
    part: Part | None = None


@dataclass(frozen=True)
class Pipeline:
    """A pipeline, ready to run or to be reported on."""

    frozen: Frozen
    cluster: Cluster
    paths: RunPaths
    reader: ManifestReader
    decisions: Decisions  # of this shard's tasks
    left_out: Mapping[str, LeftOut]  # of contents and of styles: what lies beside them and is not rendered

    @property
    def name(self) -> str:
        """Of the run."""
        return self.frozen.name

    @property
    def tasks(self) -> TaskTable:
        """All that was planned, of every shard."""
        return self.frozen.tasks

    @property
    def weights(self) -> Weights:
        """Of all tasks."""
        return self.frozen.weights

    @property
    def run(self) -> Run:
        """How its tasks are run."""
        return self.frozen.run

    @property
    def history(self) -> History:
        """What the manifest says."""
        return self.reader.history

    def todo(self) -> Decisions:
        """What is to be rendered now."""
        return self.decisions.only("todo")

    def given_up(self) -> Decisions:
        """Failed tasks that are not tried again unless asked."""
        return self.decisions.only("failed")

    def counts(self) -> dict[str, int]:
        """Tasks by state."""
        return {"tasks": len(self.decisions), **self.decisions.counts()}

    def altered(self) -> Decisions:
        """What is done by a picture that somebody has changed since, and that is left as it is."""
        return self.decisions.altered()

    def reasons(self) -> dict[str, int]:
        """Tasks to do, by why."""
        return self.decisions.counts_of_reasons()

    def left_out_facts(self) -> dict[str, list[dict[str, Any]]]:
        """What was left out, for programs."""
        return {kind: what.facts() for kind, what in self.left_out.items()}

    def unusable(self) -> Unusable:
        """Pictures that cannot be rendered, by headers of input files."""
        return Unusable(self.tasks, self.frozen.limits)

    def forecaster(self) -> Forecaster:
        """What its tasks will take."""
        run = self.run
        return Forecaster(run.devices, run.threads, run.tile, run.memory_limit, run.devices_per_task)

    def room(self) -> Room:
        """What its pictures and checkpoints will take on the disk, about, and what is free there."""
        tasks, history, done = self.decisions.tasks, self.history, self.decisions.only("done")
        todo = disk.total_bytes(tasks, self.todo().rows)
        written = int(status.recorded_sizes(history, history.rendered.rows(tasks.output_hashes[done.rows])).sum())
        factor = disk.correction(written, disk.total_bytes(tasks, done.rows))
        kept = disk.checkpoints_bytes(tasks, self.todo().rows, self.forecaster().here.workers)
        return Room(int(factor * todo) + kept, disk.free(self.paths.root))

    def owned(self) -> Mapping[str, Rendered]:
        """What this run has written before, by output names."""
        return self.history.rendered

    @contextmanager
    def entered(self, say: Say) -> Iterator[Writer]:
        """Write into the run's folder, alone or beside others; what killed runs left is cleared away by who is alone.

        Raises:
            UsageError: the folder cannot be written.
            RunLocked: another run renders other pictures under the same names.
        """
        with entered(self.paths) as writer:
            with entrance(self.paths):
                writer.bury_dead()
                live.bury(self.paths, writer.is_alive)
                others = writer.others()
                if not others:
                    self._clear_away(say)
                self._save_plan(others)
                if others:
                    say(f"{self.name}: sharing the work with {', '.join(describe(self.paths, o) for o in others)}")
                self.reader.follow(writer.name, writer.is_alive)
            yield writer

    def news(self) -> News:
        """What others record, while this is entered."""
        return News(self.reader.more, self._decide)

    def _decide(self, task: Task) -> Decision:
        return decisions.decide_now(task, self.history, self.paths, retries=self.run.retries)

    def _clear_away(self, say: Say) -> None:
        if removed := remove_temporaries(self.paths.root):
            say(f"removed {removed} temporary files of a run that was killed")
        claims.remove_all(self.paths)
        decided = self.decisions
        for path in self.paths.all_checkpoints():
            task = self.paths.task_of(path)
            done = any(decided.states[row] == status.DONE for row in decided.tasks.rows_of(task))
            if done or not self.tasks.rows_of(task):
                path.unlink(missing_ok=True)

    def _save_plan(self, others: list[str]) -> None:
        """Write what this run is about, for ``status`` on the folder alone; others' tasks stay in it."""
        plan = self.tasks
        if others:
            with contextlib.suppress(UsageError):  # they have not written one yet
                plan = self._beside(read_plan(self.paths), others)
        write_plan(self.paths, plan)

    def _beside(self, theirs: TaskTable, others: list[str]) -> TaskTable:
        """All tasks of both plans."""
        ours = self.tasks
        if otherwise := theirs.rendered_otherwise(ours):
            raise RunLocked(
                f"{self.paths.root}: {describe(self.paths, others[0])} is rendering {min(otherwise)} here, "
                "from other pictures or with other settings",
                hint="wait for it, or stop it; both can render if they have different output.dir",
            )
        rest = theirs.only(np.flatnonzero(ours.by_output.rows(theirs.output_hashes) == NONE))
        return rest.pruned().joined(ours)  # without what is ours already: a hundred writers may enter one after another


def prepare(
    file: Path,
    overrides: Mapping[str, str],
    choices: Choices,
    say: Say,
    *,
    to_run: bool = False,
    progress: Progress = lambda *_: None,
) -> Pipeline:
    """Read, check, digest, plan and compare.

    Args:
        file: the pipeline file.
        overrides: as ``--set``.
        choices: of the command.
        say: for warnings.
        to_run: whether a run is to follow: torchvision's weights are downloaded where they are wanted and missing,
            and the run's folder is made.
        progress: told while input files are read.

    Raises:
        UsageError: something in the file, or the weights.
    """
    with tars.remembering() as memory:
        frozen, reader, cluster, left_out = _planned(file, overrides, say, to_run, progress, memory)
        with contextlib.closing(reader):
            return _compared(frozen, reader, choices, cluster, left_out)


def _planned(
    file: Path, overrides: Mapping[str, str], say: Say, to_run: bool, progress: Progress, memory: TarMemory
) -> tuple[Frozen, ManifestReader, Cluster, Mapping[str, LeftOut]]:
    """All that there is to know before the folder is looked at. A million names of inputs are left behind here."""
    spec = load_spec(file, overrides)
    left_out = spec.left_out()
    for kind, what in left_out.items():
        if told := what.told():
            say(f"left out of {kind}: {told}")
    if spec.goes_on:
        say(f"{spec.output_dir}: begun under the names of before, {FORMER_NAME}, and goes on under them")
    reader = ManifestReader(RunPaths(Path(os.path.abspath(spec.output_dir))))
    try:
        reader.begin()
        frozen = _frozen(spec, reader.paths, say, to_run, progress, memory)
    except BaseException:
        reader.close()
        raise
    return frozen, reader, spec.cluster, left_out


def _frozen(
    spec: PipelineSpec, paths: RunPaths, say: Say, to_run: bool, progress: Progress, memory: TarMemory
) -> Frozen:
    limits = spec.limits.records()
    cache = InputCache(paths.digests, limits, progress, digests_before(paths.root))
    weights = find_weights(spec, cache, say, download=to_run)
    try:
        tasks = plan(spec, cache.sources, weights)
    finally:
        cache.save(make_folder=to_run)  # what was read is known, whatever comes
        memory.save(paths.archives)
    for archive, what in memory.damaged().items():
        say(f"{archive} {what}; the pictures that can be read are rendered")
    if told := crowded(by_folder(tasks.outputs), spec.output.name):
        say(told)
    return Frozen(spec.name, spec.run, limits, weights, tasks)


def compare(frozen: Frozen, paths: RunPaths, choices: Choices) -> Pipeline:
    """Look at what is done of what was planned."""
    return _compared(frozen, ManifestReader(paths), choices, Cluster(), {})


def _compared(
    frozen: Frozen, reader: ManifestReader, choices: Choices, cluster: Cluster, left_out: Mapping[str, LeftOut]
) -> Pipeline:
    paths = reader.paths
    tasks = frozen.tasks if choices.part is None else shard(frozen.tasks, choices.part)
    decided = decisions.decide(
        tasks, reader.read(), paths, retries=frozen.run.retries,
        verify=choices.verify, force=choices.force, retry_failed=choices.retry_failed,
    )  # fmt: skip
    return Pipeline(frozen, cluster, paths, reader, decided, left_out)


def find_weights(spec: PipelineSpec, cache: InputCache, say: Say, *, download: bool) -> Weights:
    """What ``weights`` in the spec comes to on this machine.

    Args:
        spec: whose ``weights`` are meant.
        cache: remembers digests of files.
        say: told of a download.
        download: whether torchvision's weights are downloaded where torch's cache has none.

    Raises:
        WeightsError: they cannot be had, or a file is damaged.
    """
    choice = spec.weights
    if isinstance(choice, WeightsFile):
        return vgg_weights.file_weights(Path(os.path.abspath(choice.path)), cache.digest, choice.format)
    if choice == "random":
        return vgg_weights.RANDOM
    if choice == "vgg19":
        return vgg_weights.checked_vgg19(cache.digest)
    found = vgg_weights.torchvision_weights(cache.digest)
    if found is None and download:
        say("weights: downloading torchvision's VGG-19 (548 MB), once for this machine")
        vgg_weights.fetch_torchvision()
        found = vgg_weights.torchvision_weights(cache.digest)
    if found is None:
        path = vgg_weights.torchvision_path()
        raise WeightsError(f"weights: no VGG-19 of torchvision at {path}", hint=vgg_weights.remedies())
    return found
