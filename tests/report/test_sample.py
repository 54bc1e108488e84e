"""Which pictures stand for a run."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest

from nst_batch.columns import Ints
from nst_batch.errors import UsageError
from nst_batch.planning.task_table import TaskTable
from nst_batch.recorded.highlights import Highlights, Took
from nst_batch.recorded.history import Attempts, History
from nst_batch.recorded.status import DONE, FAILED, TODO
from nst_batch.records import Source, Style, Task
from nst_batch.report import sample
from nst_batch.report.sample import ALL, chosen, parsed
from nst_batch.settings import TransferSettings
from tests.lines import WEIGHTS

CONTENTS, STYLES, STRENGTHS = 60, 20, (0.4, 0.8)
MANY = CONTENTS * STYLES * len(STRENGTHS)

States = npt.NDArray[np.uint8]


def make() -> list[Task]:
    """Every content in every style at two strengths, with ids as good as any."""
    ids, settings = random.Random(0), [TransferSettings(strength=each) for each in STRENGTHS]
    contents, styles = ([Source(f"{kind}{n}.png", f"{n:064x}", 1, 64, 64) for n in range(many)]
                        for kind, many in (("c", CONTENTS), ("s", STYLES)))  # fmt: skip
    return [
        Task(f"{ids.getrandbits(128):032x}", content, (Style(style),), each, WEIGHTS, f"{n}.png")
        for n, (content, style, each) in enumerate(itertools.product(contents, styles, settings))
    ]


@pytest.fixture(scope="module")
def tasks() -> TaskTable:
    return TaskTable.of(make())


def all_done() -> States:
    return np.full(MANY, DONE, np.uint8)


def rows_of(tasks: TaskTable, states: States, most: int, known: History | None = None, seed: int = 0) -> Ints:
    found = chosen(tasks, states, known or History(), most, seed)
    assert found is not None and len(found.rows) == most
    return found.rows


def failing(tasks: TaskTable, states: States, messages: dict[int, str]) -> History:
    """Those rows have failed."""
    known = History()
    for row, message in messages.items():
        states[row] = FAILED
        known.attempts[tasks.id(row)] = Attempts(1, error={"message": message, "hint": ""})
    return known


def test_up_to_some_thousands_all_are_shown(tasks: TaskTable, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(tasks, all_done(), History()) is None
    assert chosen(tasks, all_done(), History(), MANY) is None and chosen(tasks, all_done(), History(), ALL) is None
    monkeypatch.setattr(sample, "WHOLE", MANY - 1)
    found = chosen(tasks, all_done(), History())
    assert found is not None and len(found.rows) == sample.USUAL


def test_contents_styles_and_settings_have_equal_shares(tasks: TaskTable) -> None:
    rows = rows_of(tasks, all_done(), 120)
    assert rows.tolist() == sorted(set(rows.tolist())), "in the order of the plan, each once"
    for column, share in ((tasks.contents, 2), (tasks.group_of, 6), (tasks.variant_of, 60)):
        counts = Counter(column[rows].tolist())
        assert len(counts) == 120 // share and max(counts.values()) <= share + 1


def test_what_is_missing_elsewhere_is_taken_from_what_there_is(tasks: TaskTable) -> None:
    only = int(tasks.contents[-1])
    states = np.where(tasks.contents == only, DONE, TODO).astype(np.uint8)
    assert rows_of(tasks, states, 30).tolist() != rows_of(tasks, states, 30, seed=1).tolist()
    assert set(tasks.contents[rows_of(tasks, states, 30)].tolist()) == {only}


def test_the_same_tasks_give_the_same_pictures_in_whatever_order(tasks: TaskTable) -> None:
    order = np.random.default_rng(0).permutation(MANY)
    others = tasks.only(order)
    one, other = ({table.outputs[row] for row in rows_of(table, all_done(), 50).tolist()} for table in (tasks, others))
    assert one == other
    assert one != {tasks.outputs[row] for row in rows_of(tasks, all_done(), 50, seed=1).tolist()}


def test_most_of_them_stay_when_others_join(tasks: TaskTable) -> None:
    states = np.where(np.random.default_rng(0).random(MANY) < 0.5, DONE, TODO).astype(np.uint8)
    before = set(rows_of(tasks, states, 100).tolist())
    states[np.flatnonzero(states == TODO)[:40]] = DONE
    after = set(rows_of(tasks, states, 100).tolist())
    assert len(before & after) > 85


def test_failures_come_first_and_some_of_each_kind(tasks: TaskTable) -> None:
    states = all_done()
    told = {n: f"/in/{n}.png: broken" for n in range(0, 600, 2)}
    told |= {n: "memory ran out" for n in range(1, 11, 2)} | {599: "who knows"}
    known = failing(tasks, states, told)
    found = chosen(tasks, states, known, 100)
    assert found is not None and len(found.rows) == 100
    kinds = Counter(told[row].rpartition("/")[0] or told[row] for row in found.alike)
    assert kinds == {"/in": 12, "memory ran out": 5, "who knows": 1}, "no more than a dozen of a kind"
    assert {found.alike[row] for row in found.alike if told[row].startswith("/in")} == {300}
    assert (states[found.rows] == FAILED).sum() == 18 and (states[found.rows] == DONE).sum() == 82
    few = chosen(tasks, states, known, 8)
    assert few is not None and len(few.alike) == 2, "a quarter at most"


def test_of_a_run_in_which_all_failed_failures_are_shown(tasks: TaskTable) -> None:
    states = all_done()
    known = failing(tasks, states, {row: f"{row} is broken" for row in range(MANY - 3)})
    found = chosen(tasks, states, known, 50)
    assert found is not None and len(found.alike) == 47 and len(found.rows) == 50


def test_the_slowest_are_among_them(tasks: TaskTable) -> None:
    known, states = History(), all_done()
    took = [Took(f"{n}.png", 100.0 + n, 64, 64, "2026") for n in (3, 5, 77)]
    known.highlights = Highlights(_slowest={each.output: each for each in took})
    states[77] = TODO
    assert {3, 5} <= set(rows_of(tasks, states, 200, known).tolist())


def test_of_a_run_that_has_nothing_yet_the_plan_is_shown(tasks: TaskTable) -> None:
    states = np.full(MANY, TODO, np.uint8)
    rows = rows_of(tasks, states, 60)
    assert len(set(tasks.contents[rows].tolist())) == 60
    states[5] = DONE
    found = chosen(tasks, states, History(), 60)
    assert found is not None and found.rows.tolist() == [5], "what is not rendered is nothing to look at"


def test_how_many_is_a_number_or_all() -> None:
    assert (parsed(None), parsed("17"), parsed("all")) == (None, 17, ALL)
    for text in ("0", "-1", "some", ""):
        with pytest.raises(UsageError, match="how many"):
            parsed(text)
