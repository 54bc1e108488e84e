"""What is given to a cluster: a frozen plan, a script, and a job's number, in a folder of the run's."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from nst_batch.atomic import write_atomic
from nst_batch.cluster import slurm
from nst_batch.cluster.script import Grace, Shape, script, shape_of
from nst_batch.errors import WRITABLE, UsageError
from nst_batch.paths import RunPaths, SubmissionPaths, new_name
from nst_batch.pipeline import Pipeline
from nst_batch.planning.frozen import save
from nst_batch.records import utc_now


@dataclass(frozen=True)
class Submitted:
    """What is remembered of a job."""

    job: str
    elements: int
    gpus: int  # of each
    tasks: int
    at: str  # ISO 8601, UTC


class Submission:
    """A job to be, for what a pipeline has to do.

    Args:
        ready: the pipeline; it has something to do.
        retry_failed: whether elements try tasks again that were given up.

    Raises:
        UsageError: the cluster's options do not go together.
    """

    def __init__(self, ready: Pipeline, *, retry_failed: bool = False) -> None:
        self.paths = SubmissionPaths(ready.paths.submissions / new_name())
        self.tasks = len(ready.todo())
        self.shape: Shape = shape_of(ready.cluster, ready.run, self.tasks)
        cluster = ready.cluster
        limit = slurm.seconds_of(cluster.time) if cluster.time else slurm.usual(cluster.partition)
        self.grace = Grace.of(cluster, limit)
        self.script = script(
            self.paths, ready.name, self.tasks, cluster, self.shape, self.grace, retry_failed=retry_failed
        )  # fmt: skip
        self._frozen, self._cluster = ready.frozen, ready.cluster

    def submit(self) -> Submitted:
        """Freeze the plan, and give the job to Slurm, once it has said that it would take it.

        Raises:
            UsageError: it would not, or the folder cannot be written; then nothing of it is left.
        """
        self._refuse_what_slurm_cannot()
        try:
            self.paths.logs.mkdir(parents=True)
            self.paths.elements.mkdir()
            write_atomic(self.paths.script, self.script.encode(errors="surrogateescape"))
            save(self._frozen, self.paths.tasks)
            slurm.try_out(self.paths.script, self.paths.run.root)
            job = slurm.submit(self.paths.script, self.paths.run.root)
        except OSError as error:
            self._leave_nothing()
            raise UsageError(f"output.dir: {error.filename}: cannot be written: {error.strerror}", WRITABLE) from error
        except UsageError:
            self._leave_nothing()
            raise
        submitted = Submitted(job, self.shape.elements, self.shape.gpus, self.tasks, utc_now())
        write_atomic(self.paths.job, json.dumps(asdict(submitted)).encode())
        return submitted

    def _refuse_what_slurm_cannot(self) -> None:
        if set("%\\") & set(str(self.paths.run.root)):
            raise UsageError(
                f"output.dir: {self.paths.run.root}: Slurm takes '%' and '\\' in a folder's name for codes of its own",
                hint="choose another output.dir; pictures' names may have it",
            )
        self._refuse_long_times()
        most = slurm.most_elements()
        if most is not None and self.shape.elements > most:
            raise UsageError(
                f"cluster.nodes: {self.shape.elements} elements, but an array may have {most} here (MaxArraySize)",
                hint="ask for fewer nodes, or for more GPUs in each element (cluster.gpus_per_element)",
            )

    def _refuse_long_times(self) -> None:
        asked = slurm.seconds_of(self._cluster.time) if self._cluster.time else 0.0
        limit = slurm.longest(self._cluster.partition)
        if asked > limit:
            raise UsageError(
                f"cluster.time: {self._cluster.time} is more than the partition's limit of {limit / 3600:g} hours",
                hint="ask for less: what is not done then goes on where it was",
            )

    def _leave_nothing(self) -> None:
        shutil.rmtree(self.paths.root, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.paths.root.parent.rmdir()  # if it is empty


def submitted(paths: RunPaths) -> list[tuple[SubmissionPaths, Submitted]]:
    """A run's jobs, the latest last."""
    found = []
    with contextlib.suppress(OSError):
        for folder in paths.submissions.iterdir():
            with contextlib.suppress(OSError, ValueError, TypeError):
                each = SubmissionPaths(Path(folder))
                found.append((each, Submitted(**json.loads(each.job.read_bytes()))))
    return sorted(found, key=lambda one: one[1].at)
