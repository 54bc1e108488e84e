"""Values by the million: strings in one block, rows by hashes, files of columns."""

from __future__ import annotations

import io
import json
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nst_batch import columns
from nst_batch.columns import NONE, Index, Strings, digests_of, halves, hashes, key_of, load, places_in, rows_of, save
from tests import runs

ODD = ["", "a", "é日😀", "\udcff\udc80.png", "new\nline", "\0", "a" * 5000, "", "ä\udcc3"]


def many(count: int) -> list[str]:
    """Of all lengths, some with other letters."""
    numbers = random.Random(count)
    return [numbers.choice(ODD[:6]) + str(numbers.randrange(10**6)) * numbers.randrange(3) for _ in range(count)]


@pytest.mark.parametrize("values", [[], [""], ["", ""], ODD, many(70)], ids=len)
def test_strings_are_what_they_were(values: list[str]) -> None:
    found = Strings.of(iter(values))
    assert len(found) == len(values) and list(found) == values
    assert [found[place] for place in range(len(values))] == values
    assert found[1:-1] == values[1:-1] and found[::-2] == values[::-2]
    assert list(reversed(found)) == values[::-1]
    assert found.hashes().tolist() == [hash(each) for each in values]


def test_strings_are_made_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks that are ASCII alone are made in another way: both have to meet."""
    values = [*map(str, range(9)), *ODD, *map(str, range(9))]
    for chunk in (1, 2, 3, 7, 100):
        monkeypatch.setattr(columns, "_CHUNK", chunk)
        found = Strings.of(values)
        assert list(found) == values
        rows = np.array([5, 5, 0, len(values) - 1, 9, 10, 11], np.int64)
        assert list(found.only(rows)) == [values[row] for row in rows]


def test_no_such_string_is_an_error() -> None:
    for place in (3, -4):
        with pytest.raises(IndexError):
            Strings.of("abc")[place]
    assert Strings.of("abc")[-1] == "c" and Strings.of("abc")[np.int64(1)] == "b"


@pytest.mark.parametrize("rows", [[], [0], [3, 1, 1, 0], list(range(9))], ids=str)
def test_some_strings_in_another_order(rows: list[int]) -> None:
    found = Strings.of(ODD).only(np.array(rows, np.int64))
    assert list(found) == [ODD[row] for row in rows]


@pytest.mark.parametrize(("one", "two"), [([], []), (["a"], []), ([], ["é", ""]), (ODD, ODD)])
def test_strings_one_behind_another(one: list[str], two: list[str]) -> None:
    assert list(Strings.of(one).joined(Strings.of(two))) == [*one, *two]


def test_whether_any_mentions_a_text() -> None:
    assert Strings.of(["a.tar/b", "c"]).mention(".tar/") and not Strings.of(["a.tar", "b"]).mention(".tar/")
    assert not Strings.of([]).mention("x")


def test_rows_are_found_by_hash_and_of_equal_ones_the_last() -> None:
    keys = np.array([5, -7, 5, 2**63 - 1, -(2**63), 0], np.int64)
    found = Index(keys)
    assert found.rows(np.array([5, -7, 2**63 - 1, -(2**63), 0, 1, -8], np.int64)).tolist() == [
        2,
        1,
        3,
        4,
        5,
        NONE,
        NONE,
    ]
    assert found.all_rows(5).tolist() == [0, 2] and found.all_rows(6).tolist() == []
    assert (found.row(5), found.row(6), found.repeated) == (2, NONE, True)
    assert not Index(np.array([1, 2, 3], np.int64)).repeated


def test_nothing_is_found_in_nothing() -> None:
    found = Index(np.zeros(0, np.int64))
    assert found.rows(np.array([1, 2], np.int64)).tolist() == [NONE, NONE]
    assert found.row(1) == NONE and not len(found.all_rows(1)) and not found.repeated
    assert Index(np.array([1], np.int64)).rows(np.zeros(0, np.int64)).tolist() == []


def test_digests_and_their_halves() -> None:
    texts = [f"{number:064x}" for number in (1, 2**255 + 7, 0)]
    found = digests_of(texts, 32)
    assert [row.tobytes().hex() for row in found] == texts
    assert halves(found).tolist() == [key_of(bytes.fromhex(text)) for text in texts]
    assert digests_of([], 32).shape == (0, 32) and halves(digests_of([], 32)).tolist() == []


# --- files


def test_a_file_of_columns_comes_back(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {"a": np.arange(5), "b": np.zeros((0, 16), np.uint8), "c": np.array([b"x", b"yy"])}
    save(tmp_path / "f.npz", {"é": ["\udcff", None, 1.5]}, arrays)
    header, found = load(tmp_path / "f.npz")
    assert header == {"é": ["\udcff", None, 1.5]} and list(found) == ["a", "b", "c"]
    assert all((found[name] == arrays[name]).all() and found[name].dtype == arrays[name].dtype for name in arrays)
    assert [path.name for path in tmp_path.iterdir()] == ["f.npz"]


class Bomb:
    """What must never be made of a file."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return Path.mkdir, (Path("was-executed"),)  # type: ignore[return-value]


def zipped(method: int = zipfile.ZIP_STORED, **files: bytes) -> bytes:
    """A zip file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(f"{name}.npy", data)
    return stream.getvalue()


def npy(array: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


HEADER = npy(np.frombuffer(b"1", np.uint8))
PICKLED = npy(np.array([Bomb()], object), allow_pickle=True)
HUGE = npy(np.zeros(3)).replace(b"(3,)", b"(%d,)" % 10**15)
ENCRYPTED = bytearray(zipped(header=HEADER))
ENCRYPTED[6] |= 1
ENCRYPTED[ENCRYPTED.index(b"PK\x01\x02") + 8] |= 1
DEFLATED = bytearray(zipped(zipfile.ZIP_DEFLATED, header=HEADER, a=npy(np.zeros(5000))))
DEFLATED[DEFLATED.index(b"a.npy") + 8] ^= 0xFF

HOSTILE = {
    "nothing": b"",
    "a brace": b"{",
    "zeros": bytes(5000),
    "a pickle": pickle.dumps(Bomb()),
    "one array": npy(np.arange(5)),
    "one array of objects": PICKLED,
    "no zip": b"PK\x03\x04" + bytes(100),
    "no header": zipped(a=npy(np.arange(5))),
    "a header that is no array": zipped(header=b"x"),
    "a header that is no JSON": zipped(header=npy(np.frombuffer(b"{", np.uint8))),
    "a header without end": zipped(header=npy(np.frombuffer(b"[" * 100_000, np.uint8))),
    "objects inside": zipped(header=HEADER, a=PICKLED),
    "a header of objects": zipped(header=PICKLED),
    "more than memory has": zipped(header=HEADER, a=HUGE),
    "encrypted": bytes(ENCRYPTED),
    "damaged in its compression": bytes(DEFLATED),
    "an odd description": zipped(header=HEADER, a=npy(np.zeros(3)).replace(b"{'descr'", b"{('escr'")),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_file_of_something_else_is_damaged_and_executes_nothing(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.npz").write_bytes(HOSTILE[kind])
    with pytest.raises(ValueError):
        load(tmp_path / "f.npz")
    assert not (tmp_path / "was-executed").exists()


def test_cut_or_changed_anywhere_it_is_damaged_or_the_same(tmp_path: Path) -> None:
    save(tmp_path / "f.npz", {"a": 1}, {"a": np.arange(40), "b": np.zeros((3, 16), np.uint8)})
    data, numbers = (tmp_path / "f.npz").read_bytes(), random.Random(3)
    known = {json.dumps([header, {name: array.tolist() for name, array in arrays.items()}])
             for header, arrays in [load(tmp_path / "f.npz")]}  # fmt: skip
    for _ in range(400):
        bad = bytearray(data[: numbers.randrange(len(data))] if numbers.random() < 0.3 else data)
        if bad and len(bad) == len(data):
            bad[numbers.randrange(len(bad))] ^= numbers.randrange(1, 256)
        (tmp_path / "f.npz").write_bytes(bad)
        try:
            header, arrays = load(tmp_path / "f.npz")
        except ValueError:
            continue
        assert set(arrays) <= {"a", "b"} or len(arrays) == 2  # names are the only thing that no checksum is about
        assert (
            json.dumps([header, {name: each.tolist() for name, each in zip("ab", arrays.values(), strict=True)}])
            in known
        )


def test_a_file_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "f.npz")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    save(tmp_path / "f.npz", 1, {})
    with runs.files_end_at(1000), pytest.raises(OSError):
        save(tmp_path / "f.npz", 2, {"a": np.zeros(5000)})
    assert load(tmp_path / "f.npz")[0] == 1 and len(list(tmp_path.iterdir())) == 1


KINDS: dict[str, tuple[Any, int | None]] = {"a": (np.int64, None), "b": (np.uint8, 16)}
GOOD: dict[str, Any] = {"a": np.arange(3), "b": np.zeros((3, 16), np.uint8)}


@pytest.mark.parametrize(
    "changes",
    [
        {"a": np.arange(4)},
        {"a": np.arange(3.0)},
        {"a": np.arange(3, dtype=np.int32)},
        {"a": np.zeros((3, 1), np.int64)},
        {"b": np.zeros((3, 15), np.uint8)},
        {"b": np.zeros(48, np.uint8)},
        {"b": b"bytes"},
        {"a": None},
    ],
    ids=str,
)
def test_columns_that_do_not_belong_together_are_refused(changes: dict[str, Any]) -> None:
    assert set(rows_of({**GOOD, "c": np.zeros(9)}, KINDS)) == {"a", "b"}
    with pytest.raises(ValueError):
        rows_of({name: array for name, array in {**GOOD, **changes}.items() if array is not None}, KINDS)


@pytest.mark.parametrize("ends", [[1, 3], [3, 1, 4], [1, 2, 5], [-1, 4]], ids=str)
def test_strings_that_end_elsewhere_are_refused(ends: list[int]) -> None:
    arrays: dict[str, Any] = {"data": np.frombuffer(b"abcd", np.uint8), "ends": np.array([1, 1, 4], np.int64)}
    assert list(columns.strings_of(arrays, "data", "ends")) == ["a", "", "bcd"]
    with pytest.raises(ValueError):
        columns.strings_of({**arrays, "ends": np.array(ends, np.int64)}, "data", "ends")


def test_rows_that_are_not_there_are_refused() -> None:
    assert places_in(np.array([0, 2]), 3).tolist() == [0, 2] and places_in(np.zeros(0, np.int64), 0).tolist() == []
    assert places_in(np.array([NONE, 2]), 3, or_none=True).tolist() == [NONE, 2]
    for rows, or_none in (([NONE], False), ([3], True), ([-2], True)):
        with pytest.raises(ValueError):
            places_in(np.array(rows), 3, or_none=or_none)


def test_hashes_of_strings() -> None:
    assert hashes(iter(ODD)).tolist() == hashes(ODD, len(ODD)).tolist() == Strings.of(ODD).hashes().tolist()
