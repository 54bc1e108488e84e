"""Which lines nobody looks at any more."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from nst_batch.recorded.lines import parse
from nst_batch.recorded.manifest import line
from nst_batch.recorded.superseded import DONE, FAILED, OTHER, Rows
from nst_batch.records import Task, TaskResult
from tests.histories import moment
from tests.lines import done, failed, task

A, OTHER_A, B = task("a.png"), task("a.png", steps=9), task("b.png", steps=8)


def gone(*results: tuple[Task, TaskResult], stay: tuple[int, ...] = ()) -> list[int]:
    """Places of lines that need not be kept."""
    rows = Rows()
    for each, result in results:
        assert rows.add(line(each, result), 0) is not None
    found: list[int] = np.flatnonzero(rows.superseded(np.isin(np.arange(len(rows)), stay))).tolist()
    return found


def was(each: Task, number: int, data: bytes = b"x") -> tuple[Task, TaskResult]:
    return each, done(each, data, moment(number))


def fell(each: Task, number: int) -> tuple[Task, TaskResult]:
    return each, failed(each, "OSError", moment(number))


def test_a_picture_that_was_rendered_again() -> None:
    assert gone(was(A, 1), was(B, 1), was(OTHER_A, 2), was(A, 3)) == [0, 2]
    assert gone(was(A, 3), was(OTHER_A, 2)) == [1], "by time, whatever the order"
    assert gone(was(A, 2), was(OTHER_A, 2)) == [0], "of equally late ones the last that is read"


def test_failures_before_a_success() -> None:
    assert gone(fell(A, 1), was(A, 2), fell(A, 3), fell(B, 1)) == [0]
    assert gone(fell(A, 2), was(A, 2)) == [0]
    assert gone(fell(A, 1), fell(OTHER_A, 1), was(OTHER_A, 2)) == [1], "each task has its own"


def test_a_task_under_two_names_was_done_when_it_was_last() -> None:
    renamed = task("b.png")
    assert renamed.id == A.id
    assert gone(was(A, 1), fell(A, 2), was(renamed, 3)) == [1]


def test_what_is_told_of_a_picture_stays_though_it_was_of_its_twin() -> None:
    """Commands look for the last line about a task, under whichever name."""
    twin = task("b.png")
    assert gone(was(twin, 1), was(A, 2), was(OTHER_A, 3)) == []
    assert gone(was(twin, 2), was(A, 1), was(OTHER_A, 3)) == [1]
    assert gone(was(twin, 1), was(A, 2), was(OTHER_A, 3), was(B, 4), was(A, 5)) == [0, 1, 2]


def test_what_stays_where_it_is_is_never_taken() -> None:
    assert gone(was(A, 1), was(A, 2), stay=(0,)) == []
    assert gone(was(A, 1), was(A, 2), stay=(1,)) == [0]


def test_a_success_stays_as_long_as_the_failures_that_it_outdates() -> None:
    """Who has read these, and reads on, has to find it."""
    again = was(A, 2), was(OTHER_A, 3)
    assert gone(fell(A, 1), *again) == [0] and gone(fell(A, 1), *again, stay=(0,)) == []
    assert gone(*again) == [0], "the next time"


def test_times_that_nobody_writes_supersede_nothing() -> None:
    odd = [(A, done(A, finished=text)) for text in ("x" * 33, "2026\0", "9" * 40)]
    assert gone(*odd, was(A, 1), was(A, 2)) == [3]
    assert gone((A, done(A, finished="")), (A, done(A, finished="T"))) == [0]
    assert gone((A, done(A, finished="ü")), (A, done(A, finished="z"))) == [1], (
        "texts are in the order of their letters"
    )


def test_names_that_are_no_text_are_told_apart() -> None:
    one, other = task("\udcff.png"), task("\udcfe.png", steps=2)
    assert gone(was(one, 1), was(other, 2), was(one, 3)) == [0]


def test_lines_are_of_a_kind() -> None:
    rows = Rows()
    done_line, failed_line = line(A, done(A)), line(A, failed(A))
    newer = json.dumps(json.loads(done_line) | {"v": 2}).encode()
    strange = json.dumps(json.loads(done_line) | {"status": "skipped"}).encode()
    assert [rows.add(raw, 0) for raw in (done_line, failed_line, newer, strange)] == [DONE, FAILED, OTHER, OTHER]
    for broken in (b"\n", b"{}\n", b"[1]\n", b"\0" * 50, done_line[:-9], b'{"v":"1"}', b"[" * 99999, b"\xff\n"):
        assert rows.add(broken, 0) is None
    assert len(rows) == 4 and rows.kinds.tolist() == [DONE, FAILED, OTHER, OTHER]
    rows.take_back()
    assert len(rows) == 3 and len(rows.begins) == len(rows.ends) == 3
    assert rows.superseded(np.zeros(3, np.bool_)).tolist() == [False, True, False]


@pytest.mark.parametrize("seed", range(4))
def test_no_line_counts_that_readers_skip(seed: int) -> None:
    """Else it could supersede one that they read."""
    numbers = random.Random(seed)
    for whole in (line(A, done(A)), line(task("\udcff.png"), done(task("\udcff.png"))), line(A, failed(A))):
        for _ in range(400):
            data = bytearray(whole)
            for _ in range(numbers.choice((1, 1, 3))):
                data[numbers.randrange(len(data) - 1)] = numbers.choice(b'\x00\x7f\xff{}[]",:\\0189eE.-tn\n')
            rows, read = Rows(), parse(bytes(data))
            kind = rows.add(bytes(data), 0)
            assert (kind in (DONE, FAILED)) == (read is not None)


@pytest.mark.parametrize("value", [None, True, 1.0, 5, "text", [], {}, 10**30, float("nan")], ids=str)
def test_fields_of_other_shapes_are_read_as_readers_do(value: object) -> None:
    for raw in (line(A, done(A)), line(A, failed(A))):
        record = json.loads(raw)
        for key in record:
            odd = json.dumps({**record, key: value}).encode()
            rows = Rows()
            assert (rows.add(odd, 0) in (DONE, FAILED)) == (parse(odd) is not None), key
