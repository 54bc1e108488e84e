"""What headers of input files show of tasks that will fail: no picture, one larger than it may be, or than it can be
written.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nst_batch.planning.task_table import TaskTable
from nst_batch.records import Limits


class Unusable:
    """Input files that cannot be read, and outputs that cannot be written.

    Args:
        tasks: all of them.
        limits: what an input picture may be.
    """

    def __init__(self, tasks: TaskTable, limits: Limits) -> None:
        self._tasks, self._limits = tasks, limits
        sources, variants = tasks.sources, tasks.variants
        pixels = sources.widths * sources.heights
        self._sources = np.flatnonzero((pixels == 0) | (pixels > limits.pixels))
        most = np.array([base.format.most_a_side for base in variants.bases], np.int64)
        self._outputs = np.flatnonzero(tasks.shapes.max(1, initial=0) > most[variants.base_of][tasks.variant_of])

    def __len__(self) -> int:
        return len(self._sources) + len(self._outputs)

    def first(self, most: int) -> Iterator[tuple[str, str]]:
        """Some of them, each with its reason; for those of inputs, headers are read again."""
        from nst_batch.transfer.images import problem

        for row in self._sources[:most].tolist():
            path = self._tasks.sources.paths[row]
            yield path, problem(Path(path), self._limits) or "could not be read while planning"
        for row in self._outputs[: max(0, most - len(self._sources))].tolist():
            width, height = self._tasks.shapes[row].tolist()
            yield self._tasks.outputs[row], self._tasks[row].format.refusal(width, height)
