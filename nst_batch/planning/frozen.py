"""What a pipeline file came to, and the file that keeps it: its tasks, and how they are run.

A job of a cluster begins hours after it was submitted, and again after each pre-emption. It renders what was submitted,
whatever has become of the pipeline file since.

The file has columns: see ``task_table``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from nst_batch import columns
from nst_batch.errors import UsageError
from nst_batch.pipeline_file.spec_run import Run
from nst_batch.planning.task_table import TaskTable
from nst_batch.records import Limits, Weights

VERSION = 2


@dataclass(frozen=True)
class Frozen:
    """A pipeline, planned: its name, how it is run, what its inputs may be, its weights and its tasks."""

    name: str
    run: Run
    limits: Limits
    weights: Weights
    tasks: TaskTable


def save(frozen: Frozen, path: Path) -> None:
    """Write to a file.

    Raises:
        OSError: it cannot be written.
    """
    header = {
        "v": VERSION,
        "name": frozen.name,
        "run": frozen.run.model_dump(mode="json"),
        "limits": dataclasses.asdict(frozen.limits),
        "weights": dataclasses.asdict(frozen.weights),
        **frozen.tasks.header(),
    }
    columns.save(path, header, frozen.tasks.arrays())


def load(path: Path) -> Frozen:
    """Read what ``save`` has written.

    Raises:
        UsageError: the file is missing, damaged, or of another version of nst_batch.
    """
    try:
        header, arrays = columns.load(path)
        if header["v"] != VERSION:
            raise UsageError(f"{path}: written by another version of nst_batch", hint="submit it again")
        run, limits, weights = (
            Run.model_validate(header["run"]),
            Limits(**header["limits"]),
            Weights(**header["weights"]),
        )
        return Frozen(str(header["name"]), run, limits, weights, TaskTable.read(header, arrays))
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read: {error.strerror}", hint="name a folder in RUN/submissions"
        ) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: damaged: {error}", hint="submit it again") from error
