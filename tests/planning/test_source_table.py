"""Input files as columns."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from nst_batch.columns import NONE
from nst_batch.planning import source_table
from nst_batch.planning.source_table import SourceTable
from nst_batch.records import Source

MASK = Source("m\udcff.mask.png", "2" * 64, 7, 5, 5)
SOURCES = [
    Source("a.png", "0" * 64, 9, 640, 480, MASK),
    Source("é\n\udcff.png", "1" * 64, 1 << 40),
    Source("a.png", "0" * 64, 9, 640, 480, MASK),
    Source("", "f" * 64, 0),
]


def rows(table: SourceTable) -> list[Source]:
    return [table.source(row) for row in range(len(table))]


def test_sources_are_what_they_were_and_masks_stand_behind_them() -> None:
    table = SourceTable.of(SOURCES)
    assert rows(table) == [*SOURCES, MASK, MASK]
    assert table.source(0, masked=False) == dataclasses.replace(SOURCES[0], mask=None)
    assert table.digest(3) == "f" * 64
    assert len(SourceTable.of([])) == 0


def test_a_source_is_made_once_and_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_table, "_KEPT", 3)
    table = SourceTable.of(Source(f"{number}", f"{number:064x}", number) for number in range(10))
    assert table.source(1) is table.source(1)
    assert [each.bytes for each in rows(table)] == list(range(10)) and len(table._made) <= 3


def test_a_changed_table_makes_no_sources_of_the_old_one() -> None:
    table = SourceTable.of(SOURCES)
    before = table.source(0)
    other = dataclasses.replace(table, widths=table.widths + 1)
    assert other.source(0).width == before.width + 1 and table.source(0).width == before.width


def test_others_behind_keep_their_masks() -> None:
    one, two = SourceTable.of(SOURCES[:1]), SourceTable.of(SOURCES)
    assert rows(one.joined(two)) == [*rows(one), *rows(two)]
    none = SourceTable.of([])
    assert rows(none.joined(two)) == rows(two) == rows(two.joined(none))


def test_some_in_another_order_keep_their_masks() -> None:
    table = SourceTable.of(SOURCES)
    assert rows(table.only(np.array([5, 1, 4, 2, 0]))) == [MASK, SOURCES[1], MASK, SOURCES[2], SOURCES[0]]
    assert len(table.only(np.zeros(0, np.int64))) == 0


@pytest.mark.parametrize("sources", [SOURCES, []], ids=len)
def test_columns_come_back(sources: list[Source]) -> None:
    table = SourceTable.of(sources)
    assert rows(SourceTable.read({**table.arrays(), "more": np.zeros(1)})) == rows(table)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source_paths", np.zeros(3, np.uint8)),
        ("source_digests", np.zeros((6, 31), np.uint8)),
        ("source_sizes", np.zeros(5, np.int64)),
        ("source_widths", np.zeros(6, np.float64)),
        ("source_masks", np.array([4, NONE, 5, NONE, NONE, 6])),
        ("source_masks", None),
    ],
)
def test_columns_of_something_else_are_refused(name: str, value: Any) -> None:
    arrays = {**SourceTable.of(SOURCES).arrays(), name: value}
    with pytest.raises(ValueError):
        SourceTable.read({key: array for key, array in arrays.items() if array is not None})
