"""Settings by the million: what variants have in common is there once, what they differ in are columns.

A sweep has a handful of variants; of a table whose rows have a strength or a seed of their own, each task has one. A
``Variant`` is made when it is asked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from nst_batch.columns import NONE, Ints, distinct, places_in, rows_of
from nst_batch.errors import SettingsError
from nst_batch.pipeline_file.pair_table import Variants as RowSettings
from nst_batch.records import OutputFormat, Weights
from nst_batch.settings import SETTINGS, TOGETHER, Stop, TransferSettings, checked, plain

_KEPT = 4096  # variants, made
_COLUMN = "variant_"  # begins the names of a table's columns
_MATTERS_WHETHER = (
    "seed", "strength", "content_weight", "style_weight", "tv_weight", "mean_weight", "std_weight", "init_noise",
    "noise_std", "learning_rate", "adam_rate", "averaging",
)  # fmt: skip
"""Settings that change neither the time nor the memory a picture takes, but in whether they are 0."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """What tasks have in common that are not about other pictures."""

    settings: TransferSettings
    weights: Weights
    format: OutputFormat = dataclasses.field(default_factory=OutputFormat)


class Variants(Sequence[Variant]):
    """Variants, each of them one of a few but for some settings.

    Args:
        bases: of which they are.
        base_of: of each, which of these; none given: each base is a variant.
        values: of each setting in which they differ from these: all its values, checked.
        codes: likewise: of each variant, which of the values it has, ``NONE``: its base's.
    """

    def __init__(
        self,
        bases: Sequence[Variant],
        base_of: Ints | None = None,
        values: Mapping[str, Sequence[Any]] | None = None,
        codes: Mapping[str, Ints] | None = None,
    ) -> None:
        self.bases = list(bases)
        self.base_of: Ints = np.arange(len(self.bases)) if base_of is None else base_of
        self.values, self.codes = dict(values or {}), dict(codes or {})
        self._made: dict[int, Variant] = {}

    def __len__(self) -> int:
        """How many."""
        return len(self.base_of)

    @overload
    def __getitem__(self, place: int) -> Variant: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Variant]: ...
    def __getitem__(self, place: int | slice) -> Variant | Sequence[Variant]:
        """One, the same object as when it was last asked for, if that is not long ago; or some, as a list."""
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        place = range(len(self))[place]
        found = self._made.get(place)
        if found is None:
            if len(self._made) >= _KEPT:
                self._made.clear()
            found = self._made[place] = self._make(place)
        return found

    def _make(self, place: int) -> Variant:
        base: Variant = self.bases[self.base_of[place]]
        given = ((name, int(codes[place])) for name, codes in self.codes.items())
        values = {name: self.values[name][code] for name, code in given if code != NONE}
        return Variant(base.settings.but(values), base.weights, base.format) if values else base

    def __getstate__(self) -> tuple[Any, ...]:
        """Without those that were made."""
        return self.bases, self.base_of, self.values, self.codes

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """As ``__getstate__`` gave it."""
        Variants.__init__(self, *state)

    # --- one setting of all of them

    def setting(self, name: str) -> tuple[list[Any], Ints]:
        """Values that a setting has, not each once, and which of them each variant has."""
        values = [getattr(base.settings, name) for base in self.bases]
        if name not in self.codes:
            return values, self.base_of
        codes = self.codes[name]
        return [*values, *self.values[name]], np.where(codes == NONE, self.base_of, codes + len(values))

    def changed(self, name: str, function: Callable[[Any], Any]) -> Variants:
        """The same, with another value of a setting for each that there is."""
        bases = list[Variant]()
        for base in self.bases:
            before = getattr(base.settings, name)
            after = function(before)
            settings = base.settings if after == before else dataclasses.replace(base.settings, **{name: after})
            bases.append(base if after == before else dataclasses.replace(base, settings=settings))
        if name not in self.codes:
            return Variants(bases, self.base_of, self.values, self.codes)
        values, codes = _once(list(map(function, self.values[name])), self.codes[name])
        return Variants(bases, self.base_of, {**self.values, name: values}, {**self.codes, name: codes})

    def differing(self, used: Ints) -> dict[str, tuple[list[Any], Ints]]:
        """Settings in which those that are ``used`` differ, as ``setting`` gives them."""
        bases = [self.bases[place].settings for place in np.unique(self.base_of[used]).tolist()]
        found = dict[str, tuple[list[Any], Ints]]()
        for name in SETTINGS:
            if name in self.codes or any(getattr(base, name) != getattr(bases[0], name) for base in bases):
                values, codes = self.setting(name)
                first, *others = (values[code] for code in np.unique(codes[used]).tolist())
                if any(other != first for other in others):
                    found[name] = values, codes
        return found

    @cached_property
    def taking(self) -> Ints:
        """A number for each variant, the same for those with which a picture takes the same time and memory."""
        columns = [self.base_of]
        for name, codes in self.codes.items():
            values, own = self.setting(name)
            if name in _MATTERS_WHETHER:
                columns.append(np.array([bool(value) for value in values], np.int64)[own])
            else:
                columns.append(codes)
        return distinct(*columns)[1]

    # --- some of them, and more

    def only(self, rows: Ints) -> Variants:
        """Some of them, and nothing that none of these needs."""
        bases, base_of = np.unique(self.base_of[rows], return_inverse=True)
        values, codes = dict[str, list[Any]](), dict[str, Ints]()
        for name, column in self.codes.items():
            kept, places = np.unique(column[rows], return_inverse=True)
            less = int(len(kept) > 0 and kept[0] == NONE)
            if len(kept) > less:
                values[name] = [self.values[name][code] for code in kept[less:].tolist()]
                codes[name] = places.astype(np.int64) - less
        return Variants([self.bases[place] for place in bases.tolist()], base_of.astype(np.int64), values, codes)

    def joined(self, others: Variants) -> Variants:
        """These, and others behind them."""
        values, codes = dict[str, list[Any]](), dict[str, Ints]()
        for name in {**self.codes, **others.codes}:
            ours, theirs = (each.codes.get(name, np.full(len(each), NONE, np.int64)) for each in (self, others))
            before = list(self.values.get(name, []))
            values[name] = [*before, *others.values.get(name, [])]
            codes[name] = np.concatenate([ours, np.where(theirs == NONE, NONE, theirs + len(before))])
        base_of = np.concatenate([self.base_of, others.base_of + len(self.bases)])
        return Variants([*self.bases, *others.bases], base_of, values, codes)

    # --- in a file of columns

    def header(self) -> dict[str, Any]:
        """What JSON can hold of them."""
        return {"variants": [dataclasses.asdict(each) for each in self.bases],
                "values": {name: list(map(plain, values)) for name, values in self.values.items()}}  # fmt: skip

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All else."""
        return {"variant_bases": self.base_of, **{f"{_COLUMN}{name}": codes for name, codes in self.codes.items()}}

    @classmethod
    def read(cls, header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Variants:
        """What ``header`` and ``arrays`` gave; of files of before, every variant is a base.

        Raises:
            ValueError, LookupError or TypeError: it is something else.
        """
        bases = [_variant(each) for each in header["variants"]]
        if "values" not in header:
            return cls(bases)
        values = {str(name): [checked(name, each) for each in given] for name, given in dict(header["values"]).items()}
        names = {"variant_bases": len(bases), **{f"{_COLUMN}{name}": len(given) for name, given in values.items()}}
        found = rows_of(arrays, dict.fromkeys(names, (np.int64, None)))
        base_of, *codes = (
            places_in(found[name], count, or_none=name != "variant_bases") for name, count in names.items()
        )
        return cls(bases, base_of, values, dict(zip(values, codes, strict=True)))


def variants_of(base: Variant, overrides: Sequence[Mapping[str, Any]], points: Sequence[Mapping[str, Any]]) -> Variants:
    """Every point of a sweep with each of the pairs' own settings: the first of these with all points, then the next.

    Args:
        base: without any of them.
        overrides: of pairs; the columns of a table, or a few.
        points: of the sweep, at least one; what is in both, the point says.

    Raises:
        SettingsError: a pair's own settings and a point's do not agree.
        ValueError: a value is out of its setting's limits.
    """
    many, count = len(points), len(overrides)
    values, codes = dict[str, list[Any]](), dict[str, Ints]()
    for name, (given, column) in _columns_of(overrides).items():
        values[name], codes[name] = [checked(name, value) for value in given], column.repeat(many)
    for name, (given, own) in _columns_of(points).items():
        first = len(values.setdefault(name, []))
        values[name] += [checked(name, value) for value in given]
        column = codes.get(name, np.full(count * many, NONE, np.int64))
        of_points = np.tile(own, count)
        codes[name] = np.where(of_points == NONE, column, of_points + first)
    found = Variants([base], np.zeros(count * many, np.int64), values, codes)
    if together := [codes[name] for name in TOGETHER if name in codes]:
        for place in distinct(*together)[0].tolist():
            if disagreements := found[place].settings.disagreements():
                raise SettingsError(f"pairs and sweep do not agree: {'; '.join(disagreements)}")
    return found


def _columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Sequence[Any], Ints]]:
    """Of each setting that a row has, its values, and which of them each row has."""
    if isinstance(rows, RowSettings):  # of which 0 is an empty cell
        return {name: (rows.values[name][1:], codes.astype(np.int64) - 1) for name, codes in rows.codes.items()}
    found = dict[str, tuple[list[Any], Ints]]()
    for place, row in enumerate(rows):
        for name, value in row.items():
            if name not in found:
                found[name] = [], np.full(len(rows), NONE, np.int64)
            values, codes = found[name]
            codes[place] = len(values)
            values.append(value)
    return {name: _once(*each) for name, each in found.items()}


def _once(values: Sequence[Any], codes: Ints) -> tuple[list[Any], Ints]:
    """The same with each value once; 0.0 and -0.0 are two."""
    places = dict[str, int]()
    of_values = [places.setdefault(repr(value), len(places)) for value in values]
    first = {place: value for place, value in zip(reversed(of_values), reversed(values), strict=True)}
    new = np.array([*of_values, NONE], np.int64)[codes]  # NONE is the last
    return [first[place] for place in range(len(places))], new


def _variant(values: Mapping[str, Any]) -> Variant:
    form: dict[str, Any] = {**values["format"], "metadata": tuple(values["format"].get("metadata", ()))}
    return Variant(_settings(values["settings"]), Weights(**values["weights"]), OutputFormat(**form))


def _settings(values: Mapping[str, Any]) -> TransferSettings:
    """Lists are tuples again: JSON knows no others."""
    found: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    found["stop"] = Stop(**values["stop"]) if values["stop"] else None
    return TransferSettings(**found)
