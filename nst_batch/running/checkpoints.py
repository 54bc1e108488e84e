"""Pictures in the middle, kept on disk so that a run that ends early goes on where it was.

One file for each task in hand, replaced as it goes on and removed when its picture is in place: never more of them than
tasks in hand, but for those that an ended run left, and the next one takes up.
"""

from __future__ import annotations

from nst_batch.atomic import write_atomic
from nst_batch.paths import RunPaths
from nst_batch.records import Task
from nst_batch.transfer.snapshot import State, from_file, to_bytes


class Checkpoints:
    """The checkpoints of a run.

    Args:
        paths: of the run.
    """

    def __init__(self, paths: RunPaths) -> None:
        self._paths = paths

    def has(self, task: Task) -> bool:
        """Whether a task was begun; its checkpoint may turn out to be damaged."""
        return self._paths.checkpoint(task.id).is_file()

    def find(self, task: Task) -> State | None:
        """Where a task was; None: nothing is known, it begins anew."""
        return from_file(self._paths.checkpoint(task.id), task=task.id)

    def keep(self, task: Task, state: State) -> None:
        """Remember where a task is.

        Raises:
            OSError: it cannot be written; what was kept before stays.
        """
        write_atomic(self._paths.checkpoint(task.id), to_bytes(state, task=task.id))

    def drop(self, task: Task) -> None:
        """A task needs none any more."""
        self._paths.checkpoint(task.id).unlink(missing_ok=True)
