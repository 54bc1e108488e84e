"""Input files by the million: what ``Source`` says of one, as columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nst_batch.columns import NONE, Bytes, Ints, Strings, digests_of, places_in, rows_of, strings_of
from nst_batch.records import Source

DIGEST_BYTES = 32
_KEPT = 4096  # Source objects


@dataclass(frozen=True, eq=False)
class SourceTable:
    """Input files, a row each; masks have rows of their own.

    Attributes:
        paths: of each.
        digests: SHA-256, Nx32.
        sizes: bytes of each file.
        widths, heights: in pixels, upright; 0 where they are not known.
        masks: the row of the mask beside a picture, or ``NONE``.
    """

    paths: Strings
    digests: Bytes
    sizes: Ints
    widths: Ints
    heights: Ints
    masks: Ints
    _made: dict[tuple[int, bool], Source] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, sources: Iterable[Source]) -> SourceTable:
        """A row for each source, in their order, and then one for each mask."""
        found = list(sources)
        masked = [place for place, each in enumerate(found) if each.mask is not None]
        masks = np.full(len(found) + len(masked), NONE, np.int64)
        masks[masked] = np.arange(len(found), len(masks))
        rows = [*found, *(each.mask for each in found if each.mask is not None)]
        return cls(
            Strings.of(each.path for each in rows),
            digests_of((each.digest for each in rows), DIGEST_BYTES),
            np.array([each.bytes for each in rows], np.int64),
            np.array([each.width for each in rows], np.int64),
            np.array([each.height for each in rows], np.int64),
            masks,
        )

    def __len__(self) -> int:
        """Rows, those of masks among them."""
        return len(self.sizes)

    def source(self, row: int, *, masked: bool = True) -> Source:
        """One of them, with its mask or without."""
        found = self._made.get((row, masked))
        if found is None:
            mask = int(self.masks[row])
            found = Source(
                self.paths[row], self.digest(row), int(self.sizes[row]), int(self.widths[row]), int(self.heights[row]),
                self.source(mask) if masked and mask != NONE else None,
            )  # fmt: skip
            if len(self._made) >= _KEPT:
                self._made.clear()
            self._made[row, masked] = found
        return found

    def digest(self, row: int) -> str:
        """64 hex digits."""
        return str(self.digests[row].tobytes().hex())

    def only(self, rows: Ints) -> SourceTable:
        """Some of them, in that order; the masks of these must be among them."""
        places = np.full(len(self) + 1, NONE, np.int64)  # the last is where NONE leads
        places[rows] = np.arange(len(rows))
        return SourceTable(
            self.paths.only(rows), self.digests[rows], self.sizes[rows], self.widths[rows], self.heights[rows],
            places[self.masks[rows]],
        )  # fmt: skip

    def joined(self, others: SourceTable) -> SourceTable:
        """These rows, and others behind them."""
        masks = np.where(others.masks == NONE, NONE, others.masks + len(self))
        return SourceTable(
            self.paths.joined(others.paths),
            np.concatenate([self.digests, others.digests]),
            np.concatenate([self.sizes, others.sizes]),
            np.concatenate([self.widths, others.widths]),
            np.concatenate([self.heights, others.heights]),
            np.concatenate([self.masks, masks]),
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All of it, for a file of columns."""
        return {
            "source_paths": self.paths.data, "source_path_ends": self.paths.ends, "source_digests": self.digests,
            "source_sizes": self.sizes, "source_widths": self.widths, "source_heights": self.heights,
            "source_masks": self.masks,
        }  # fmt: skip

    @classmethod
    def read(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> SourceTable:
        """What ``arrays`` gave.

        Raises:
            ValueError: it is something else.
        """
        found = rows_of(arrays, _COLUMNS)
        paths = strings_of(arrays, "source_paths", "source_path_ends")
        masks = places_in(found["source_masks"], len(paths), or_none=True)
        return cls(
            paths, found["source_digests"], found["source_sizes"], found["source_widths"], found["source_heights"],
            masks,
        )  # fmt: skip


_COLUMNS = {
    "source_path_ends": (np.int64, None), "source_digests": (np.uint8, DIGEST_BYTES), "source_sizes": (np.int64, None),
    "source_widths": (np.int64, None), "source_heights": (np.int64, None), "source_masks": (np.int64, None),
}  # fmt: skip
