"""Tasks by the million, as columns: a ``Task`` is made when it is asked for.

What many tasks share is there once: input files, groups of styles, and variants (settings, weights and format).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypeVar, overload

import numpy as np
import numpy.typing as npt

from nst_batch.columns import (
    NONE,
    Bytes,
    Index,
    Ints,
    Strings,
    digests_of,
    distinct,
    halves,
    key_of,
    places_in,
    rows_of,
    strings_of,
)
from nst_batch.demands import work
from nst_batch.planning.source_table import SourceTable
from nst_batch.planning.variants import Variant, Variants
from nst_batch.records import Source, Style, Task
from nst_batch.settings import plain
from nst_batch.sizes import target_size

T = TypeVar("T")

ID_BYTES = 16
_KEPT = 4096  # groups of styles, made


class Share(NamedTuple):
    """A style of a group: the row of its file, its part in the picture, and its region."""

    source: int
    weight: float = 1.0
    region: str = ""


class Kind(NamedTuple):
    """Tasks that take the same time and memory: one of them, and how many there are."""

    row: int
    tasks: int


class Spread(NamedTuple):
    """How many tasks each style has, or each group of styles that meet in one picture."""

    styles: int
    least: int
    most: int


@dataclasses.dataclass(frozen=True, eq=False)
class TaskTable(Sequence[Task]):
    """Tasks, a row each.

    Attributes:
        sources: every input file of any of them.
        groups: styles that meet in one picture.
        variants: settings, weights and formats.
        contents, group_of, variant_of, starts: rows of these; ``NONE`` where there is no start.
        ids: Nx16.
        outputs: names, relative to the run's folder.
        kept: JSON objects of what a table of pairs keeps for ``export``; None where none does.
    """

    sources: SourceTable
    groups: Sequence[tuple[Share, ...]]
    variants: Variants
    contents: Ints
    group_of: Ints
    variant_of: Ints
    starts: Ints
    ids: Bytes
    outputs: Strings
    kept: Strings | None = None
    _styles: dict[tuple[int, bool], tuple[Style, ...]] = dataclasses.field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, tasks: Iterable[Task]) -> TaskTable:
        """The same tasks as columns."""
        if isinstance(tasks, TaskTable):
            return tasks
        sources, groups, variants = _Places[Source](), _Places[tuple[Share, ...]](), _Places[Variant]()
        rows, ids, outputs = list[tuple[int, ...]](), list[str](), list[str]()
        for each in tasks:
            group = tuple(Share(sources.of(style.source), style.weight, style.region) for style in each.styles)
            start = NONE if each.start is None else sources.of(each.start)
            variant = Variant(each.settings, each.weights, each.format)
            rows.append((sources.of(each.content), groups.of(group), variants.of(variant), start))
            ids.append(each.id)
            outputs.append(each.output)
        content_of, group_of, variant_of, starts = np.array(rows, np.int64).reshape(-1, 4).T
        return cls(
            SourceTable.of(sources), list(groups), Variants(list(variants)), content_of, group_of, variant_of, starts,
            digests_of(ids, ID_BYTES), Strings.of(outputs),
        )  # fmt: skip

    def __len__(self) -> int:
        """How many."""
        return len(self.contents)

    @overload
    def __getitem__(self, row: int) -> Task: ...
    @overload
    def __getitem__(self, row: slice) -> TaskTable: ...
    def __getitem__(self, row: int | slice) -> Task | TaskTable:
        """One task, or some of them as a table."""
        if isinstance(row, slice):
            return self.only(np.arange(len(self))[row])
        row = range(len(self))[row]
        variant = self.variants[self.variant_of[row]]
        masks, start = variant.settings.masks, int(self.starts[row])
        return Task(
            self.id(row),
            self.sources.source(int(self.contents[row]), masked=masks),
            self.styles(int(self.group_of[row]), masked=masks),
            variant.settings,
            variant.weights,
            self.outputs[row],
            variant.format,
            None if start == NONE else self.sources.source(start, masked=False),
            float(self.costs[row]),
        )

    def spread(self) -> Spread:
        """How evenly styles are used."""
        counts = np.bincount(self.group_of, minlength=len(self.groups))
        return Spread(len(counts), int(counts.min(initial=len(self))), int(counts.max(initial=0)))

    def __iter__(self) -> Iterator[Task]:
        """All, one after another."""
        return map(self.__getitem__, range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Whether they are the same tasks in the same order."""
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __getstate__(self) -> dict[str, Any]:
        """Columns alone: hashes of names are other ones in another process."""
        return {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}

    def id(self, row: int) -> str:
        """32 hex digits."""
        return str(self.ids[row].tobytes().hex())

    def styles(self, group: int, *, masked: bool = True) -> tuple[Style, ...]:
        """The styles of a group."""
        found = self._styles.get((group, masked))
        if found is None:
            shares = self.groups[group]
            found = tuple(Style(self.sources.source(row, masked=masked), share, where) for row, share, where in shares)
            if len(self._styles) >= _KEPT:
                self._styles.clear()
            self._styles[group, masked] = found
        return found

    @cached_property
    def by_output(self) -> Index:
        """Of output names."""
        return Index(self.output_hashes)

    @cached_property
    def output_hashes(self) -> Ints:
        """Of output names, in this process."""
        return self.outputs.hashes()

    @cached_property
    def by_id(self) -> Index:
        """Of ids."""
        return Index(halves(self.ids))

    def row_of(self, output: str) -> int:
        """The row of an output's name, or ``NONE``."""
        return next(
            (row for row in self.by_output.all_rows(hash(output)).tolist() if self.outputs[row] == output), NONE
        )

    def rows_of(self, identity: str) -> list[int]:
        """Every row with that id: equal pictures under several names."""
        try:
            digest = bytes.fromhex(identity)
        except ValueError:
            return []
        return [row for row in self.by_id.all_rows(key_of(digest)).tolist() if self.ids[row].tobytes() == digest]

    @cached_property
    def shapes(self) -> Ints:
        """(width, height) of each picture, in pixels, Nx2; 0 where the content's header could not be read."""
        shapes, kinds = self._shapes_by_kind
        return shapes[kinds]

    @cached_property
    def costs(self) -> npt.NDArray[np.float64]:
        """Floating-point operations of each, about."""
        shapes, kinds = self._shapes_by_kind
        known: dict[tuple[int, int, int], float] = {}
        found = np.zeros(len(shapes))
        for place, (variant, width, height) in enumerate(self._sized.tolist()):
            key = (variant, *shapes[place].tolist())
            if width and key not in known:
                known[key] = work(self.variants[variant].settings, width, height)
            found[place] = known.get(key, 0.0)
        return found[kinds]

    @cached_property
    def _kinds(self) -> tuple[Ints, Ints]:
        """Of what takes the same, (a variant, width and height of the content), and which of these each row is."""
        width, height = self.sources.widths[self.contents], self.sources.heights[self.contents]
        first, kinds = distinct(self.variants.taking[self.variant_of], width, height)
        return np.stack([self.variant_of[first], width[first], height[first]], 1), kinds

    @property
    def _sized(self) -> Ints:
        return self._kinds[0]

    @cached_property
    def _shapes_by_kind(self) -> tuple[Ints, Ints]:
        found, kinds = self._kinds
        shapes = np.zeros((len(found), 2), np.int64)
        for place, (variant, width, height) in enumerate(found.tolist()):
            if width:
                shapes[place] = target_size(width, height, self.variants[variant].settings)
        return shapes, kinds

    @cached_property
    def _by_kind(self) -> tuple[Ints, Ints]:
        """The first row of each kind, and which kind each row is."""
        return distinct(self.variants.taking[self.variant_of], *self.shapes.T)

    def kinds(self, rows: Ints) -> list[Kind]:
        """Tasks that take the same time and memory, for they have the same shape and, where it matters, settings."""
        first, kinds = self._by_kind
        found, counts = np.unique(kinds[rows], return_counts=True)
        return [Kind(int(first[kind]), int(count)) for kind, count in zip(found, counts, strict=True)]

    def by_kind(self, function: Callable[[Task], float]) -> npt.NDArray[np.float64]:
        """A number for each task that is the same for those of a kind."""
        first, kinds = self._by_kind
        return np.array([function(self[row]) for row in first.tolist()], np.float64)[kinds]

    def only(self, rows: Ints) -> TaskTable:
        """Some of them, in that order."""
        return dataclasses.replace(
            self, contents=self.contents[rows], group_of=self.group_of[rows], variant_of=self.variant_of[rows],
            starts=self.starts[rows], ids=self.ids[rows], outputs=self.outputs.only(rows),
            kept=self.kept and self.kept.only(rows),
        )  # fmt: skip

    def pruned(self) -> TaskTable:
        """The same tasks, without what none of them needs any more: sources, groups and variants of others."""
        groups, group_of = np.unique(self.group_of, return_inverse=True)
        variants, variant_of = np.unique(self.variant_of, return_inverse=True)
        kept = [self.groups[group] for group in groups.tolist()]
        shares = np.array([share.source for group in kept for share in group], np.int64)
        needed = np.concatenate([self.contents, shares, self.starts[self.starts != NONE]])
        masks = self.sources.masks[needed]
        sources = np.unique(np.concatenate([needed, masks[masks != NONE]]))
        places = np.full(len(self.sources) + 1, NONE, np.int64)  # the last is where NONE leads
        places[sources] = np.arange(len(sources))
        return TaskTable(
            self.sources.only(sources),
            [tuple(share._replace(source=int(places[share.source])) for share in group) for group in kept],
            self.variants.only(variants),
            places[self.contents], group_of.astype(np.int64), variant_of.astype(np.int64), places[self.starts],
            self.ids, self.outputs, self.kept,
        )  # fmt: skip

    def joined(self, others: TaskTable) -> TaskTable:
        """These, and others behind them."""
        behind = len(self.sources)
        groups = [tuple(share._replace(source=share.source + behind) for share in each) for each in others.groups]
        starts = np.where(others.starts == NONE, NONE, others.starts + behind)
        return TaskTable(
            self.sources.joined(others.sources),
            [*self.groups, *groups],
            self.variants.joined(others.variants),
            np.concatenate([self.contents, others.contents + behind]),
            np.concatenate([self.group_of, others.group_of + len(self.groups)]),
            np.concatenate([self.variant_of, others.variant_of + len(self.variants)]),
            np.concatenate([self.starts, starts]),
            np.concatenate([self.ids, others.ids]),
            self.outputs.joined(others.outputs),
            self._kept().joined(others._kept()) if self.kept or others.kept else None,
        )

    def _kept(self) -> Strings:
        return Strings.of([""] * len(self)) if self.kept is None else self.kept

    def rendered_otherwise(self, others: TaskTable) -> list[str]:
        """The output names under which ``others`` have another picture than these."""
        rows = others.by_output.rows(self.output_hashes)
        both = np.flatnonzero(rows != NONE)
        differ = both[(others.ids[rows[both]] != self.ids[both]).any(1)]
        return [self.outputs[row] for row in differ.tolist()]

    @cached_property
    def _differing(self) -> dict[str, tuple[list[Any], Ints]]:
        return self.variants.differing(np.unique(self.variant_of)) if len(self) else {}

    def point(self, row: int) -> dict[str, Any]:
        """What is particular to a task's settings: those in which tasks differ, as a sweep's values."""
        variant = self.variant_of[row]
        return {name: plain(values[codes[variant]]) for name, (values, codes) in self._differing.items()}

    def header(self) -> dict[str, Any]:
        """What JSON can hold of it, for a file of columns."""
        return self.variants.header()

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All else."""
        shares = [share for group in self.groups for share in group]
        return {
            **self.sources.arrays(), **self.variants.arrays(),
            "group_ends": np.cumsum([len(group) for group in self.groups]).astype(np.int64),
            "share_sources": np.array([share.source for share in shares], np.int64),
            "share_weights": np.array([share.weight for share in shares], np.float64),
            "share_regions": np.array([share.region.encode() for share in shares] or [b""]),
            "contents": self.contents, "groups": self.group_of, "variants": self.variant_of, "starts": self.starts,
            "ids": self.ids, "outputs": self.outputs.data, "output_ends": self.outputs.ends,
            **({"kept": self.kept.data, "kept_ends": self.kept.ends} if self.kept else {}),
        }  # fmt: skip

    @classmethod
    def read(cls, header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> TaskTable:
        """What ``header`` and ``arrays`` gave.

        Raises:
            ValueError, LookupError or TypeError: it is something else.
        """
        found = rows_of(arrays, _COLUMNS)
        sources, variants = SourceTable.read(arrays), Variants.read(header, arrays)
        groups = _groups(arrays, len(sources))
        outputs = strings_of(arrays, "outputs", "output_ends")
        kept = strings_of(arrays, "kept", "kept_ends") if "kept" in arrays else None
        if kept is not None and len(kept) != len(outputs):
            raise ValueError("kept: not one for each task")
        return cls(
            sources, groups, variants, places_in(found["contents"], len(sources)),
            places_in(found["groups"], len(groups)), places_in(found["variants"], len(variants)),
            places_in(found["starts"], len(sources), or_none=True), found["ids"], outputs, kept,
        )  # fmt: skip


_COLUMNS = {
    "contents": (np.int64, None), "groups": (np.int64, None), "variants": (np.int64, None), "starts": (np.int64, None),
    "ids": (np.uint8, ID_BYTES), "output_ends": (np.int64, None),
}  # fmt: skip
_SHARES = {"share_sources": (np.int64, None), "share_weights": (np.float64, None)}


def _groups(arrays: Mapping[str, npt.NDArray[Any]], sources: int) -> list[tuple[Share, ...]]:
    """Groups of styles that were kept as columns of shares."""
    found = rows_of(arrays, _SHARES)
    rows, weights = places_in(found["share_sources"], sources).tolist(), found["share_weights"].tolist()
    regions = [each.decode() for each in arrays["share_regions"].tolist()[: len(rows)]]
    shares = [Share(*each) for each in zip(rows, weights, regions, strict=True)]
    ends = rows_of(arrays, {"group_ends": (np.int64, None)})["group_ends"].tolist()
    groups = [tuple(shares[begin:end]) for begin, end in zip([0, *ends], ends, strict=False)]
    if not all(groups) or [0, *ends][-1] != len(shares):
        raise ValueError("group_ends: not where groups end")
    return groups


class _Places(dict[T, int]):
    """Values, each once, by the place at which it was first met."""

    def of(self, value: T) -> int:
        return self.setdefault(value, len(self))
