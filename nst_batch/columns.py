"""Values of a kind in one block of memory: a million names take their bytes and eight more each, where a million Python
objects would take ten times as much; and files of such blocks.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from nst_batch.atomic import writing

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Arrays = Mapping[str, npt.NDArray[Any]]

NONE = -1  # the row of what is not there
_CHUNK = 1 << 14  # strings that are made at once
_HEADER = "header"


class Strings(Sequence[str]):
    """Many strings, end to end. Names of files may be no text: their bytes are kept as Python escapes them.

    Args:
        data: all of them, UTF-8.
        ends: of each, in ``data``.
    """

    def __init__(self, data: Bytes, ends: Ints) -> None:
        self.data, self.ends = data, ends

    @classmethod
    def of(cls, values: Iterable[str]) -> Strings:
        """Of any strings, which are not kept."""
        data, lengths, left = bytearray(), [np.zeros(0, np.int64)], iter(values)
        while chunk := [value.encode("utf-8", "surrogateescape") for value in islice(left, _CHUNK)]:
            lengths.append(np.fromiter(map(len, chunk), np.int64, len(chunk)))
            data += b"".join(chunk)
        return cls(np.frombuffer(data, np.uint8), np.cumsum(np.concatenate(lengths)))

    def __len__(self) -> int:
        """How many."""
        return len(self.ends)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[str]: ...
    def __getitem__(self, place: int | slice) -> str | Sequence[str]:
        """One, or several as a list."""
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        place = range(len(self))[place]
        begin = int(self.ends[place - 1]) if place else 0
        return self.data[begin : int(self.ends[place])].tobytes().decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        """All, made some thousands at a time."""
        for first in range(0, len(self), _CHUNK):
            yield from self._chunk(first)

    def _chunk(self, first: int) -> Iterable[str]:
        begin = int(self.ends[first - 1]) if first else 0
        ends = (self.ends[first : first + _CHUNK] - begin).tolist()
        data = self.data[begin : begin + ends[-1]].tobytes()
        begins = [0, *ends[:-1]]
        if data.isascii():
            text = data.decode("ascii")
            return [text[a:b] for a, b in zip(begins, ends, strict=True)]
        return [data[a:b].decode("utf-8", "surrogateescape") for a, b in zip(begins, ends, strict=True)]

    def only(self, rows: Ints) -> Strings:
        """Some of them, in another order."""
        begins = np.concatenate([np.zeros(1, np.int64), self.ends[:-1]])[: len(self)][rows]
        lengths = self.ends[rows] - begins
        ends = np.cumsum(lengths)
        found = np.empty(int(lengths.sum()), np.uint8)
        for first in range(0, len(rows), _CHUNK):
            some = slice(first, first + _CHUNK)
            before = int(ends[first] - lengths[first])
            shifts = begins[some] - (ends[some] - lengths[some])
            places = np.arange(before, int(ends[some][-1])) + np.repeat(shifts, lengths[some])
            found[before : int(ends[some][-1])] = self.data[places]
        return Strings(found, ends)

    def joined(self, others: Strings) -> Strings:
        """These, and others behind them."""
        return Strings(
            np.concatenate([self.data, others.data]), np.concatenate([self.ends, len(self.data) + others.ends])
        )

    def mention(self, text: str) -> bool:
        """Whether any of them has it in it, or any two next to each other."""
        return text.encode() in self.data.tobytes()

    def hashes(self) -> Ints:
        """Python's hash of each: 64 bits, other ones in each process."""
        return hashes(self, len(self))


def numbers(column: npt.NDArray[np.integer[Any]]) -> Iterator[int]:
    """A column's values as Python's own, without a list of all of them."""
    return chain.from_iterable(column[first : first + _CHUNK].tolist() for first in range(0, len(column), _CHUNK))


def distinct(*columns: npt.NDArray[np.integer[Any]]) -> tuple[Ints, Ints]:
    """The first row of each distinct combination, and which of these combinations each row has."""
    first, kinds = np.zeros(1, np.int64), np.zeros(len(columns[0]), np.int64)
    for column in columns:
        values, places = np.unique(column, return_inverse=True)
        keys = kinds * max(1, len(values)) + places
        _, first, kinds = np.unique(keys, return_index=True, return_inverse=True)
    return first, kinds


def hashes(values: Iterable[str], count: int = -1) -> Ints:
    """Python's hash of each string, for an ``Index``."""
    return np.fromiter(map(hash, values), np.int64, count)


class Index:
    """In which row a value stands, by its hash: 16 bytes a row.

    Two values of one hash are met in a million million millions. Who cannot bear that compares the values.

    Args:
        keys: hashes, a row each. Of rows with equal ones, the last is found.
    """

    def __init__(self, keys: Ints) -> None:
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def rows(self, keys: Ints) -> Ints:
        """The row of each, or ``NONE``."""
        if not len(self._keys):
            return np.full(len(keys), NONE, np.int64)
        order = np.argsort(keys)  # in order, they are found near each other
        found = np.empty(len(keys), np.int64)
        found[order] = np.maximum(np.searchsorted(self._keys, keys[order], "right") - 1, 0)
        return np.where(self._keys[found] == keys, self._order[found], NONE)

    def all_rows(self, key: int) -> Ints:
        """Every row with this hash."""
        first, last = np.searchsorted(self._keys, key, "left"), np.searchsorted(self._keys, key, "right")
        return self._order[first:last]

    def row(self, key: int) -> int:
        """As ``rows``, for one."""
        return int(self.rows(np.array([key], np.int64))[0])

    def shared(self) -> Ints:
        """Rows whose hash others have, too, in their order."""
        same = self._keys[1:] == self._keys[:-1]
        found = np.zeros(len(self._keys), np.bool_)
        found[1:] |= same
        found[:-1] |= same
        return np.sort(self._order[found])

    @property
    def repeated(self) -> bool:
        """Whether a hash stands in several rows."""
        return bool((self._keys[1:] == self._keys[:-1]).any())


def digests_of(texts: Iterable[str], size: int) -> Bytes:
    """Hexadecimal digests of ``size`` bytes each, as an array with a row for each."""
    return np.frombuffer(bytes.fromhex("".join(texts)), np.uint8).reshape(-1, size)


def halves(digests: Bytes) -> Ints:
    """The first 64 bits of each row, for an ``Index``."""
    return np.ascontiguousarray(digests[:, :8]).view(np.int64).reshape(-1)


def key_of(digest: bytes) -> int:
    """The same of one digest."""
    return int.from_bytes(digest[:8], sys.byteorder, signed=True)


def save(path: Path, header: Any, arrays: Arrays, *, durable: bool = True) -> None:
    """Write arrays, and a header that JSON can hold, in place of the file that is there, if any.

    Raises:
        OSError: they cannot be written.
    """
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with writing(path, durable=durable) as file:
        everything: dict[str, Any] = {_HEADER: text, **arrays}
        np.savez(file, **everything)


def load(path: Path) -> tuple[Any, dict[str, npt.NDArray[Any]]]:
    """What ``save`` has written.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or something else.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return json.loads(arrays.pop(_HEADER).tobytes()), arrays
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"damaged: {error}") from error


def rows_of(arrays: Arrays, kinds: Mapping[str, tuple[npt.DTypeLike, int | None]]) -> dict[str, npt.NDArray[Any]]:
    """Columns of one table.

    Args:
        arrays: as they were read.
        kinds: by name, what a column has to hold, and how many of these in a row; None: one.

    Raises:
        ValueError: one of them is missing, of another kind, or not as long as the others.
    """
    found = {name: arrays.get(name) for name in kinds}
    for name, (kind, width) in kinds.items():
        column = found[name]
        if not isinstance(column, np.ndarray) or column.dtype != kind or column.ndim != (1 if width is None else 2):
            raise ValueError(f"{name}: missing, or not what it should be")
        if width is not None and column.shape[1] != width:
            raise ValueError(f"{name}: {column.shape[1]} in a row, not {width}")
    lengths = {len(column) for column in found.values() if column is not None}
    if len(lengths) > 1:
        raise ValueError("columns of several lengths")
    return {name: column for name, column in found.items() if column is not None}


def strings_of(arrays: Arrays, data: str, ends: str) -> Strings:
    """Strings that were kept as two columns.

    Raises:
        ValueError: they are something else.
    """
    found = {**rows_of(arrays, {data: (np.uint8, None)}), **rows_of(arrays, {ends: (np.int64, None)})}
    begins = np.concatenate([np.zeros(1, np.int64), found[ends]])
    if (begins[1:] < begins[:-1]).any() or begins[-1] != len(found[data]):
        raise ValueError(f"{ends}: not where strings end")
    return Strings(found[data], found[ends])


def places_in(rows: Ints, count: int, *, or_none: bool = False) -> Ints:
    """Rows of a table that has so many.

    Raises:
        ValueError: one is none of them.
    """
    if len(rows) and (rows.min() < (NONE if or_none else 0) or rows.max() >= count):
        raise ValueError("rows that are not there")
    return rows
