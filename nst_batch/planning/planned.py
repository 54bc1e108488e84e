"""What runs set out to do in a folder: all that ``status``, ``export`` and ``report`` know of tasks that nobody has
rendered yet.
"""

from __future__ import annotations

from nst_batch import columns
from nst_batch.errors import UsageError
from nst_batch.paths import RunPaths
from nst_batch.planning.task_table import TaskTable

_FORMAT = 1


def write_plan(paths: RunPaths, tasks: TaskTable) -> None:
    """Put a plan in place of the one that is there, if any.

    Raises:
        OSError: it cannot be written.
    """
    columns.save(paths.plan, {"format": _FORMAT, **tasks.header()}, tasks.arrays())


def read_plan(paths: RunPaths) -> TaskTable:
    """The last plan.

    Raises:
        UsageError: no run was ever started there, or the file is damaged.
    """
    try:
        header, arrays = columns.load(paths.plan)
        if header["format"] != _FORMAT:
            raise ValueError("another version's")
        return TaskTable.read(header, arrays)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{paths.root}: no run has been started here: {paths.plan.name} is missing or broken",
            hint="name a pipeline file, or the folder that its output.dir names",
        ) from error
