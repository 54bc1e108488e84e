"""Input files whose headers show that their tasks will fail, and why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nst_batch.planning.source_table import SourceTable
from nst_batch.records import Limits


class Unusable:
    """Files that are no pictures, or larger than they may be.

    Args:
        sources: every input file.
        limits: what a picture may be.
    """

    def __init__(self, sources: SourceTable, limits: Limits) -> None:
        self._limits = limits
        pixels = sources.widths * sources.heights
        self.paths = [sources.paths[row] for row in np.flatnonzero((pixels == 0) | (pixels > limits.pixels)).tolist()]

    def __len__(self) -> int:
        return len(self.paths)

    def first(self, most: int) -> Iterator[tuple[str, str]]:
        """Some of them, each with its reason, for which its header is read again."""
        from nst_batch.transfer.images import problem

        for path in self.paths[:most]:
            yield path, problem(Path(path), self._limits) or "could not be read while planning"
