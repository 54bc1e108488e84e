"""What headers of input files show of tasks that will fail: no picture, one larger than it may be, or than it can be
written.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nst_batch.planning.task_table import TaskTable
from nst_batch.records import Limits
from nst_batch.sizes import SMALLEST_SIDE


class Unusable:
    """Input files that cannot be read, and outputs that are too small to be rendered or too large to be written.

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
        longer, shorter = tasks.shapes.max(1, initial=0), tasks.shapes.min(1, initial=1 << 31)
        too_large = longer > most[variants.base_of][tasks.variant_of]
        self._outputs = np.flatnonzero(too_large | ((shorter > 0) & (shorter < SMALLEST_SIDE)))

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
            refusal = self._tasks[row].format.refusal(width, height)
            yield (
                self._tasks.outputs[row],
                refusal or f"{width} x {height} pixels; a side needs {SMALLEST_SIDE} at least",
            )
