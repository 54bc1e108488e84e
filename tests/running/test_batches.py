"""Which tasks share passes, and how many a worker gets."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from nst_batch.records import Source, Style, Task
from nst_batch.running.batches import MOST, alike, first_batch, limit
from nst_batch.running.messages import Job
from nst_batch.settings import TransferSettings
from nst_batch.transfer.weights import RANDOM

SETTINGS = TransferSettings(size=256)


def source(width: int = 400, height: int = 300, **more: Any) -> Source:
    return Source("a.png", "0" * 64, 1, width, height, **more)


def task(settings: TransferSettings = SETTINGS, content: Source | None = None) -> Task:
    return Task("0" * 32, content or source(), (Style(source(90, 90)),), settings, RANDOM, "a.png")


def changed(**values: Any) -> TransferSettings:
    return dataclasses.replace(SETTINGS, **values)


def test_tasks_of_one_shape_and_settings_share_passes() -> None:
    assert alike(task(), task())
    assert alike(task(), task(content=source(800, 600)))  # the same, at this size
    assert alike(task(changed(seed=5)), task(changed(init="noise")))


@pytest.mark.parametrize(
    "other",
    [
        task(content=source(300, 400)),
        task(content=source(0, 0)),
        task(content=source(mask=source())),
        task(changed(size=128)),
        task(changed(style_weight=2.0)),
        task(changed(steps=10)),
        task(changed(precision="bf16")),
    ],
)
def test_others_do_not(other: Task) -> None:
    assert not alike(task(), other) and not alike(other, task())


def test_regions_and_line_searches_are_for_one_picture() -> None:
    searching = task(changed(line_search="strong_wolfe"))
    masked = task(content=source(mask=source()))
    assert not alike(searching, searching) and not alike(masked, masked)
    without = task(changed(masks=False), content=source(mask=source()))
    assert alike(without, without)


def test_a_batch_is_the_first_of_a_kind() -> None:
    jobs = [Job(task()), Job(task()), Job(task(changed(size=128))), Job(task())]
    assert first_batch(jobs, 16) == jobs[:2]
    assert first_batch(jobs, 1) == jobs[:1]
    assert first_batch(jobs[2:], 16) == jobs[2:3]


def test_what_failed_before_goes_alone() -> None:
    fresh, again = Job(task()), Job(task(), attempt=2)
    assert first_batch([again, fresh], 16) == [again]
    assert first_batch([fresh, again], 16) == [fresh]


def test_how_many_at_once() -> None:
    gib = 1 << 30
    assert limit(task(), None, memory=0) == 1  # a CPU
    assert limit(task(), 7, memory=0) == 7  # as told
    assert limit(task(), None, memory=80 * gib) == MOST
    assert limit(task(changed(size=8192, upscale=True)), None, memory=80 * gib) == 1
    assert limit(task(content=source(0, 0)), None, memory=80 * gib) == 1
    small, large = (limit(task(), None, memory=memory) for memory in (gib, 2 * gib))
    assert 1 <= small < large < MOST
