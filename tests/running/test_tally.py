"""What a run has done, does, and has before it."""

from __future__ import annotations

import dataclasses

import pytest

from nst_batch.running.tally import LATE_SECONDS, LATELY_SECONDS, Tally, model
from tests.watched import Clock, Foretold, decision, done, failed, progress, tally

A, B = decision("a", 30), decision("b", 10)


def left(found: Tally) -> float:
    seconds = found.state().seconds_left
    assert seconds is not None
    return seconds


def test_counts_are_of_what_is_over() -> None:
    found = tally(A, B, decision("c", 5), skipped=7)
    found.started(0, "cpu", [A])
    found.finished(0, failed("a"), final=False)
    assert (found.state().over, found.state().failed) == (0, 0)
    found.started(0, "cpu", [A])
    found.finished(0, failed("a", attempt=2), final=True)
    found.elsewhere(dataclasses.replace(B, state="done"))
    found.elsewhere(dataclasses.replace(decision("c", 5), state="failed"))
    state = found.state()
    assert (state.total, state.over, state.rendered, state.failed, state.elsewhere, state.skipped) == (3, 3, 0, 2, 2, 7)
    assert state.fraction == 1


def test_loading_is_no_measure_and_costs_tell_where_nothing_else_does() -> None:
    clock = Clock()
    found = tally(A, B, clock=clock)
    clock.now += 60  # torch and weights
    assert found.state().seconds_left is None and found.state().fraction == 0
    found.started(0, "cpu", [A])
    clock.now += 30
    found.finished(0, done("a"), final=True)
    state = found.state()
    assert state.fraction == pytest.approx(0.75) and state.elapsed == 90
    assert left(found) == pytest.approx(10, rel=0.03)
    assert state.pictures_per_hour == pytest.approx(120)


def test_forecasts_are_scaled_by_what_this_run_shows() -> None:
    clock, each = Clock(), [decision(name, 1) for name in "abcd"]
    found = tally(*each, foretold=Foretold(dict.fromkeys("abcd", 10.0), is_measured=True), clock=clock)
    assert left(found) == pytest.approx(40, rel=0.02), "before anything has begun"
    found.started(0, "cpu", each[:1])
    clock.now += 20
    found.finished(0, done("a"), final=True)
    assert left(found) == pytest.approx(60, rel=0.03)


def test_steps_of_what_is_in_hand_tell_before_it_is_done() -> None:
    clock, each = Clock(), [decision(name, 1) for name in "ab"]
    found = tally(*each, foretold=Foretold({"a": 10.0, "b": 10.0}), clock=clock)
    found.started(0, "cpu", each[:1])
    clock.now += 5  # reading pictures, compiling
    found.progressed(0, progress("a", step=1))
    clock.now += 10
    found.progressed(0, progress("a", step=51))
    assert left(found) == pytest.approx(9.8 + 20, rel=0.03)
    worker = found.state().workers[0]
    assert (worker.step, worker.steps, worker.loss) == (51, 100, 1.5) and worker.done == pytest.approx(0.51)
    assert worker.busy == 15 and worker.left == pytest.approx(9.8, rel=0.03)
    clock.now += 3
    assert left(found) == pytest.approx(6.8 + 20, rel=0.03), "time passes between two words of a worker"


def test_a_picture_taken_up_again_does_not_make_a_run_look_fast() -> None:
    clock, each = Clock(), [decision(name, 1) for name in "ab"]
    found = tally(*each, foretold=Foretold({"a": 10.0, "b": 10.0}), clock=clock)
    found.started(0, "cpu", each[:1])
    found.progressed(0, progress("a", step=90))
    clock.now += 2
    found.finished(0, done("a", resumed=90), final=True)
    assert left(found) == pytest.approx(20, rel=0.03)


def test_failures_say_nothing_of_speed() -> None:
    clock, each = Clock(), [decision(name, 1) for name in "abc"]
    found = tally(*each, foretold=Foretold(dict.fromkeys("abc", 10.0)), clock=clock)
    found.started(0, "cpu", each[:1])
    clock.now += 0.1
    found.finished(0, failed("a"), final=True)
    assert found.state().seconds_left is None
    found.started(0, "cpu", each[1:2])
    clock.now += 10
    found.finished(0, done("b"), final=True)
    assert left(found) == pytest.approx(10, rel=0.03)


def test_the_end_is_when_the_last_worker_is_done() -> None:
    clock, each = Clock(), [decision(name, 1) for name in "abc"]
    foretold = Foretold({"a": 10.0, "b": 10.0, "c": 10.0}, is_measured=True)
    found = tally(*each, workers=2, foretold=foretold, clock=clock)
    assert left(found) == pytest.approx(20, rel=0.03)
    found.started(0, "cpu", each[:1])
    found.started(1, "cpu", each[1:2])
    clock.now += 10
    found.finished(0, done("a"), final=True)
    found.finished(1, done("b"), final=True)
    assert left(found) == pytest.approx(10, rel=0.03)


def test_workers_that_never_come_are_not_reckoned_with() -> None:
    clock, each = Clock(), [decision(str(name), 1) for name in range(100)]
    found = tally(*each, workers=4, foretold=Foretold({str(n): 100.0 for n in range(100)}, True), clock=clock)
    found.started(0, "cpu", each[:1])
    assert left(found) == pytest.approx(2500, rel=0.03)
    clock.now += LATE_SECONDS + 40
    found.finished(0, done("0"), final=True)
    assert left(found) == pytest.approx(9900, rel=0.03)


def test_what_others_do_is_left_to_them() -> None:
    clock, each = Clock(), [decision(str(name), 1) for name in range(21)]
    found = tally(*each, foretold=Foretold({str(n): 10.0 for n in range(21)}), clock=clock)
    found.started(0, "cpu", each[:1])
    clock.now += 10
    found.finished(0, done("0"), final=True)
    assert left(found) == pytest.approx(200, rel=0.03)
    found.elsewhere(dataclasses.replace(each[1], state="done"))
    clock.now += 1
    assert 90 < left(found) < 120, "one other worker"


def test_tasks_rendered_together_share_their_time() -> None:
    clock, each = Clock(), [decision(str(name), 1) for name in range(8)]
    found = tally(*each, foretold=Foretold({str(n): 10.0 for n in range(8)}), clock=clock)
    found.started(0, "cuda:0", each[:4])
    found.progressed(0, progress("0", "1", "2", "3", step=50))
    state = found.state()
    assert state.fraction == pytest.approx(0.25) and state.workers[0].outputs == ("0.png", "1.png", "2.png", "3.png")
    clock.now += 20
    for number in range(3):
        found.finished(0, done(str(number)), final=True)
        assert len(found.state().workers[0].outputs) == 3 - number
    found.finished(0, done("3"), final=True)
    assert found.state().workers[0].outputs == () and found.state().workers[0].busy == 20
    assert left(found) == pytest.approx(20, rel=0.03)


def test_a_late_result_leaves_what_the_worker_does_now() -> None:
    """Files are written while the next task is rendered; a worker is not busy twice."""
    clock = Clock()
    found = tally(A, B, clock=clock)
    found.started(0, "cpu", [A])
    clock.now += 30
    found.started(0, "cpu", [B])
    clock.now += 1
    found.finished(0, done("a"), final=True)
    state = found.state()
    assert state.over == 1 and state.workers[0].outputs == ("b.png",) and state.workers[0].busy == 31
    assert left(found) == pytest.approx(9, rel=0.05)


def test_what_cannot_be_read_takes_no_time() -> None:
    clock, each = Clock(), [decision("a", 10), decision("b", 10), *(decision(f"x{n}", 0) for n in range(50))]
    found = tally(*each, foretold=Foretold({"a": 10.0, "b": 10.0}), clock=clock)
    found.started(0, "cpu", each[:1])
    clock.now += 10
    found.finished(0, done("a"), final=True)
    assert left(found) == pytest.approx(15, rel=0.05)


def test_costs_stand_in_for_seconds_that_nobody_knows() -> None:
    foretold = Foretold({"a": 60.0}, is_measured=True)
    found = tally(A, B, foretold=foretold)
    assert left(found) == pytest.approx(80, rel=0.03)
    assert tally(decision("a", 0), decision("b", 0)).state().fraction == 0
    assert tally().state().fraction == 1


def test_tasks_that_are_equal_but_for_their_names_count_each() -> None:
    same = [dataclasses.replace(A, task=dataclasses.replace(A.task, output=f"{n}.png")) for n in range(4)]
    clock = Clock()
    found = tally(*same, foretold=Foretold({"a": 10.0}), clock=clock)
    found.started(0, "cpu", same[:1])
    clock.now += 10
    found.finished(0, dataclasses.replace(done("a"), output="0.png"), final=True)
    assert left(found) == pytest.approx(30, rel=0.03) and found.state().fraction == 0.25


def test_rates_are_of_the_last_while() -> None:
    clock, each = Clock(), [decision(str(name), 1) for name in range(30)]
    found = tally(*each, clock=clock)
    for number in range(20):
        found.started(0, "cpu", [each[number]])
        clock.now += LATELY_SECONDS / 10
        found.finished(0, done(str(number)), final=True)
    assert found.state().pictures_per_hour == pytest.approx(60, rel=0.11)
    found.started(0, "cpu", [each[20]])
    found.progressed(0, progress("20", step=3, loss=float("nan"), rate=2.5))
    assert found.state().evaluations_per_second == 2.5 and found.state().workers[0].loss is None


@pytest.mark.parametrize(("device", "kind"), [("cpu", "cpu"), ("cuda:3", "cuda"), ("cuda:0+cuda:1", "cuda+cuda")])
def test_devices_of_a_kind(device: str, kind: str) -> None:
    assert model(device) == kind
