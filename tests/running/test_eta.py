"""When a run will be over, from numbers alone."""

from __future__ import annotations

import pytest

from nst_batch.running.eta import HALF_LIFE_SECONDS, MOST_SIMULATED, Ahead, Pace, Seen, kind, kinds, seconds_left


def test_workers_take_what_comes_next_as_soon_as_they_are_free() -> None:
    assert seconds_left([Ahead(0)], [(10, 3)]) == 30
    assert seconds_left([Ahead(0), Ahead(0)], [(10, 3)]) == 20
    assert seconds_left([Ahead(5), Ahead(0)], [(10, 1), (2, 2)]) == 10  # 0 to 10; 5 to 7, 7 to 9
    assert seconds_left([Ahead(7), Ahead(3)], []) == 7


def test_slow_workers_count_for_less() -> None:
    assert seconds_left([Ahead(0, slowness=3.0)], [(10, 2)]) == 60
    assert seconds_left([Ahead(0), Ahead(0, slowness=3.0)], [(10, 4)]) == 30


def test_what_is_rendered_together_ends_together_but_nobody_idles_for_it() -> None:
    assert seconds_left([Ahead(0), Ahead(0)], [(1, 8)], together=16) == 4
    assert seconds_left([Ahead(0)], [(1, 8)], together=3) == 8


@pytest.mark.parametrize("slowness", [1.0, 2.0])
def test_a_million_tasks_are_as_good_as_reckoned_one_by_one(slowness: float) -> None:
    workers = [Ahead(30.0), Ahead(0.0), Ahead(0.0, slowness)]
    left = seconds_left(workers, [(2.0, 1_000_000), (0.5, 100)])
    speed = 2 + 1 / slowness
    assert left == pytest.approx((2_000_050 + 30) / speed, rel=1e-4)
    few = [(2.0, MOST_SIMULATED // 2), (0.5, MOST_SIMULATED)]
    assert seconds_left(workers, few) == pytest.approx(seconds_left(workers, few * 2) / 2, rel=0.02)


def test_a_worker_that_is_busy_for_long_is_not_waited_for_with_the_others_work() -> None:
    assert seconds_left([Ahead(1e6), Ahead(0.0)], [(1.0, 10 * MOST_SIMULATED)]) == 1e6


def test_kinds_of_tasks_are_near_what_they_take() -> None:
    times = [0.01, 3.0, 3.01, 500.0]
    counted: dict[int, int] = {}
    for each in times:
        counted[kind(each)] = counted.get(kind(each), 0) + 1
    found = kinds(counted)
    assert [count for _, count in found] == [1, 2, 1]
    assert [seconds for seconds, _ in found] == pytest.approx([500.0, 3.0, 0.01], rel=0.02)
    assert kinds({3: 0, 4: -1}) == []


def test_nothing_is_foretold_from_nothing() -> None:
    assert Pace(prior=0.0).factors() is None
    trusting = Pace(prior=1.0).factors()
    assert trusting is not None and trusting.of(10.0) == 1.0


def test_tasks_take_what_tasks_like_them_took() -> None:
    pace = Pace(prior=0.0)
    pace.learn(Seen("cpu", 64.0, 64.0, 128.0), now=0.0)
    pace.learn(Seen("cpu", 1.0, 1.0, 5.0), now=1.0)
    factors = pace.factors()
    assert factors is not None
    assert factors.of(64.0) == pytest.approx(2.0, rel=0.02)
    assert 3.0 < factors.of(1.0) < 5.0, "many seconds of large ones say a little of small ones"
    assert factors.of(1e6) == pytest.approx(2.0, rel=0.1)


def test_forecasts_count_until_something_was_seen() -> None:
    pace = Pace(prior=1.0)
    pace.learn(Seen("cpu", 10.0, 10.0, 20.0), now=0.0)
    factors = pace.factors([Seen("cpu", 10.0, 9.0, 18.0)])
    assert factors is not None and factors.of(10.0) == pytest.approx(39 / 20)


def test_each_device_has_its_own_speed() -> None:
    pace = Pace(prior=0.0)
    pace.learn(Seen("cpu", 10.0, 10.0, 40.0), now=0.0)
    pace.learn(Seen("cuda", 10.0, 30.0, 30.0), now=0.0)
    factors = pace.factors()
    assert factors is not None
    assert factors.of(10.0, "cpu") == pytest.approx(4.0) and factors.of(10.0, "cuda") == pytest.approx(1.0)
    assert factors.of(10.0) == pytest.approx(70 / 40) == factors.of(10.0, "another")
    assert factors.slowness("cpu") == pytest.approx(4 * 40 / 70)


def test_what_was_seen_long_ago_fades() -> None:
    pace = Pace(prior=0.0)
    pace.learn(Seen("cpu", 10.0, 10.0, 10.0), now=0.0)
    pace.learn(Seen("cpu", 10.0, 10.0, 40.0), now=HALF_LIFE_SECONDS)
    factors = pace.factors()
    assert factors is not None and factors.of(10.0) == pytest.approx(45 / 15)
