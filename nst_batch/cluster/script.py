"""The script that sbatch is given, as text."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from nst_batch.errors import UsageError
from nst_batch.paths import SubmissionPaths
from nst_batch.pipeline_file.spec_run import Cluster, Run
from nst_batch.running.deadline import shortened


@dataclass(frozen=True)
class Shape:
    """An array of so many elements, each with so many GPUs (0: it computes on CPUs)."""

    elements: int
    gpus: int

    @property
    def in_words(self) -> str:
        """``6 elements with 1 GPU each``."""
        gpus = f" with {self.gpus} GPU{'s' * (self.gpus > 1)} each" if self.gpus else ""
        return f"{self.elements} element{'s' * (self.elements > 1)}{gpus}"


def shape_of(cluster: Cluster, run: Run, tasks: int) -> Shape:
    """What an array for so many tasks looks like: as many elements as there are shares of GPUs, or machines without.

    Raises:
        UsageError: numbers that do not go together.
    """
    on_cpus = bool(run.devices) and all(device == "cpu" for device in run.devices)
    there = cluster.gpus_per_node if cluster.gpus_per_node is not None else 0 if on_cpus else 1
    if there == 0:
        return Shape(min(cluster.nodes, tasks), 0)
    each = cluster.gpus_per_element or run.devices_per_task
    if there % each:
        raise UsageError(
            f"cluster.gpus_per_node: {there} GPUs cannot be shared out to elements of {each}",
            hint="set cluster.gpus_per_element or run.devices_per_task to what divides it",
        )
    if each % run.devices_per_task:
        raise UsageError(
            f"cluster.gpus_per_element: tasks of {run.devices_per_task} GPUs (run.devices_per_task) do not fill {each}",
            hint="set it to a multiple of run.devices_per_task",
        )
    beyond = [d for d in run.devices if d.startswith("cuda") and int(d.partition(":")[2]) >= each]
    if beyond:
        raise UsageError(
            f"run.devices: {beyond[0]}, but each element of the job sees {each} of them, from cuda:0",
            hint="with Slurm, leave run.devices at auto",
        )
    return Shape(min(cluster.nodes * there // each, tasks), each)


@dataclass(frozen=True)
class Grace:
    """Seconds before the time limit: of an element, to keep what it has in hand, and of Slurm's signal."""

    seconds: int
    signal: int

    @classmethod
    def of(cls, cluster: Cluster, limit: float) -> Grace:
        """As asked for; of a limit (in seconds) not much longer, a third.

        Slurm looks for whom to signal twice a minute, and signals up to that much earlier, which is nothing in hours,
        and most of two minutes. A short grace is kept by the element itself, which asks for its limit; the signal comes
        last.
        """
        found = int(shortened(cluster.grace, limit))
        return cls(found, found if found == cluster.grace else max(1, found - _EARLY_SECONDS))


_EARLY_SECONDS = 30  # PERIODIC_TIMEOUT of slurmctld


def script(
    paths: SubmissionPaths,
    name: str,
    tasks: int,
    cluster: Cluster,
    shape: Shape,
    grace: Grace,
    *,
    retry_failed: bool = False,
) -> str:
    """Bash, with sbatch's options in its head; to be run in the run's folder, which logs are relative to."""
    directives = "\n".join(f"#SBATCH --{option}" for option in _options(paths, name, cluster, shape, grace))
    command = cluster.command or shlex.join([sys.executable, "-m", "nst_batch"])
    more = " --retry-failed" if retry_failed else ""
    what = f"{tasks} task{'s' * (tasks > 1)} of {name}, by {shape.in_words}"
    setup = f"{cluster.setup}\n" if cluster.setup else ""
    return f"""#!/bin/bash
# {what}; made by `nst-batch submit`.
# Elements share the tasks through the run's folder: any number of them may be added, requeued, killed or submitted
# again. Before its time is up, and when it is pre-empted, an element keeps the pictures that it has in hand.
{directives}

set -e
trap "" USR1 # until nst-batch listens to it
{setup}exec {command} work {shlex.quote(str(paths.root))} --grace {grace.seconds}{more}
"""


def _options(paths: SubmissionPaths, name: str, cluster: Cluster, shape: Shape, grace: Grace) -> list[str]:
    limit = f"%{cluster.array_limit}" if cluster.array_limit else ""
    kind = f"{cluster.gpu_type}:" if cluster.gpu_type else ""
    named = {
        "job-name": name,
        "array": f"0-{shape.elements - 1}{limit}",
        "partition": cluster.partition,
        "account": cluster.account,
        "qos": cluster.qos,
        "constraint": cluster.constraint,
        "time": cluster.time,
        "nodes": 1,
        "ntasks": 1,
        "cpus-per-task": cluster.cpus_per_task,
        "mem": cluster.mem,
        "gres": f"gpu:{kind}{shape.gpus}" if shape.gpus else None,
        "signal": f"B:USR1@{grace.signal}",
        "requeue": "",
        "open-mode": "append",
        "output": f"{Path(paths.root.parent.name, paths.root.name, paths.logs.name)}/%A_%a.log",
    }
    ours = [f"{key}={_quoted(str(value))}" if value != "" else key for key, value in named.items() if value is not None]
    return ours + [_extra(option) for option in cluster.extra]


def _extra(option: str) -> str:
    name, sign, value = option.removeprefix("--").partition("=")
    return f"{name}={_quoted(value)}" if sign else name


def _quoted(value: str) -> str:
    """As sbatch reads it: in its options, '#' begins a comment, and quotes and backslashes mean something."""
    if re.fullmatch(r"[\w@%+=:,./-]+", value):
        return value
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
