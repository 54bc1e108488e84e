"""L-BFGS against torch's own, and what the guard and the measured move add."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from nst_batch.transfer.lbfgs import FIRST_MOVE, LBFGS, RESTARTS
from nst_batch.transfer.precondition import AdaptiveMetric
from nst_batch.transfer.searching import SearchingLBFGS

Function = Callable[[Tensor], Tensor]


def rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def quartic(x: Tensor) -> Tensor:
    scale = torch.linspace(0.1, 3, len(x), dtype=x.dtype)
    return (scale * (x - 1) ** 4).sum() + (scale * (x - 0.5) ** 2).sum() + (x[1:] * x[:-1]).sum() * 0.05


def softmax_regression(x: Tensor) -> Tensor:
    random = torch.Generator().manual_seed(0)
    data = torch.randn(40, len(x), generator=random, dtype=x.dtype)
    return torch.nn.functional.softplus(data @ x).mean() + 0.01 * x.square().sum()


def value_and_gradient(function: Function, x: Tensor) -> tuple[float, Tensor]:
    x = x.clone().requires_grad_(True)
    value = function(x)
    (gradient,) = torch.autograd.grad(value, x)
    return value.item(), gradient


def advance(optimiser: LBFGS | SearchingLBFGS, x: Tensor, value: float, gradient: Tensor) -> Tensor | None:
    """With a single function; None where there is nowhere to go."""
    found = optimiser.advance(x[None], torch.tensor([value], dtype=x.dtype), gradient[None])
    return found[0] if optimiser.going.item() else None


def ours(function: Function, start: Tensor, evaluations: int, optimiser: LBFGS | SearchingLBFGS) -> list[float]:
    x: Tensor | None = start.clone()
    values: list[float] = []
    while x is not None and len(values) < evaluations:
        value, gradient = value_and_gradient(function, x)
        values.append(value)
        x = advance(optimiser, x, value, gradient)
    return values


def torchs(function: Function, start: Tensor, evaluations: int, **options: float) -> list[float]:
    x = start.clone().requires_grad_(True)
    # No tolerance may end it, and max_iter 1 makes each step one evaluation: the state lives on between steps.
    optimiser = torch.optim.LBFGS([x], lr=1, max_iter=1, tolerance_grad=0, tolerance_change=0, **options)  # type: ignore[arg-type]
    values: list[float] = []

    def closure() -> float:
        optimiser.zero_grad()
        value = function(x)
        value.backward()  # type: ignore[no-untyped-call]
        values.append(value.item())
        return value.item()

    for _ in range(evaluations):
        optimiser.step(closure)  # type: ignore[no-untyped-call]
    return values


@pytest.mark.parametrize("function", [rosenbrock, quartic, softmax_regression])
@pytest.mark.parametrize("history", [100, 7])
def test_walks_torchs_path(function: Function, history: int) -> None:
    start = torch.randn(30, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 0.3
    expected = torchs(function, start, 50, history_size=history)
    found = ours(function, start, 50, LBFGS(history=history))
    assert found == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("function", [rosenbrock, quartic, softmax_regression])
def test_the_line_search_tries_torchs_points(function: Function) -> None:
    start = torch.randn(30, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 0.3
    x, expected = start.clone().requires_grad_(True), list[float]()
    optimiser = torch.optim.LBFGS(
        [x], lr=1, max_iter=40, max_eval=60, tolerance_grad=0, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> float:
        optimiser.zero_grad()
        value = function(x)
        value.backward()  # type: ignore[no-untyped-call]
        expected.append(value.item())
        return value.item()

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    found = ours(function, start, 40, SearchingLBFGS())
    assert found == pytest.approx(expected[:40], rel=1e-8)


def test_the_line_search_is_not_lost_where_there_is_no_value() -> None:
    """log is no number left of 0, and the first step would go there."""

    def logarithmic(x: Tensor) -> Tensor:
        return (x * 1000 - x.log()).sum()

    start = torch.full((3,), 0.5, dtype=torch.float64)
    found = ours(logarithmic, start, 60, SearchingLBFGS())
    assert not all(math.isfinite(value) for value in found)
    assert min(value for value in found if math.isfinite(value)) == pytest.approx(3 * (1 + math.log(1000)), rel=1e-6)


def test_a_metric_changes_the_way_and_not_the_end() -> None:
    scale = torch.tensor([1.0, 100.0, 10000.0], dtype=torch.float64)

    def valley(x: Tensor) -> Tensor:
        return (scale * (x - 1).square()).sum()

    start = torch.zeros(3, dtype=torch.float64)
    plainly = ours(valley, start, 6, LBFGS())

    class Fixed:
        def __init__(self, gains: Tensor) -> None:
            self.gains, self.learnt = gains, list[tuple[Tensor, Tensor]]()

        def __call__(self, gradient: Tensor) -> Tensor:
            return gradient * self.gains

        def learn(self, step: Tensor, change: Tensor) -> None:
            self.learnt.append((step, change))

        def state(self) -> dict[str, Any]:
            return {}

        def restore(self, state: dict[str, Any]) -> None:
            pass

    metric = Fixed(1 / scale)
    fitting = ours(valley, start, 6, LBFGS(metric=metric))
    assert fitting[-1] < 1e-3 * plainly[-1]
    assert min(ours(valley, start, 40, LBFGS(metric=Fixed(scale)))) < 1e-6
    for step, change in metric.learnt:  # a quadratic's gradient changes by its Hessian times the step
        torch.testing.assert_close(change, 2 * scale * step, rtol=1e-6, atol=1e-9)


def test_minimises_rosenbrock_with_guard() -> None:
    start = torch.full((10,), -1.0, dtype=torch.float64)
    assert min(ours(rosenbrock, start, 300, LBFGS(guard=True))) < 1e-10


def test_learning_rate_scales_the_first_step() -> None:
    start = torch.ones(4, dtype=torch.float64)
    _, gradient = value_and_gradient(quartic, start)
    one = advance(LBFGS(learning_rate=1.0), start, 1.0, gradient)
    half = advance(LBFGS(learning_rate=0.5), start, 1.0, gradient)
    assert one is not None and half is not None
    torch.testing.assert_close(half - start, (one - start) / 2)
    assert (one - start).abs().sum().item() <= 1 + 1e-12


def test_a_zero_gradient_ends() -> None:
    assert advance(LBFGS(), torch.ones(3), 0.0, torch.zeros(3)) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_without_guard(bad: float) -> None:
    assert advance(LBFGS(), torch.ones(3), bad, torch.ones(3)) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e9])
def test_guard_takes_a_wild_step_back(bad: float) -> None:
    start = torch.tensor([1.0, 2.0])
    optimiser = LBFGS(guard=True)
    first = advance(optimiser, start, 1.0, torch.tensor([1.0, 1.0]))
    assert first is not None
    shorter = advance(optimiser, first, bad, torch.full((2,), math.nan))
    assert shorter is not None
    torch.testing.assert_close(shorter - start, (first - start) / 4)


def test_guard_restarts_from_the_best_point_a_few_times_and_then_ends() -> None:
    optimiser = LBFGS(guard=True)
    best = torch.tensor([1.0, 2.0])
    x = advance(optimiser, best, 1.0, torch.tensor([1.0, 1.0]))
    asked = 0
    while x is not None:
        asked += 1
        last = x
        x = advance(optimiser, x, math.nan, torch.zeros(2))
    assert optimiser.restarts == RESTARTS
    assert asked < 50
    assert (last - best).abs().max() < 1e-3  # each beginning is shorter than the one before


def test_guard_survives_a_function_with_a_cliff() -> None:
    def cliff(x: Tensor) -> Tensor:
        return torch.where(x.abs().max() > 1.5, torch.tensor(math.nan, dtype=x.dtype), quartic(x))

    start = torch.full((10,), -1.4, dtype=torch.float64)
    found = [value for value in ours(cliff, start, 100, LBFGS(guard=True)) if math.isfinite(value)]
    free = ours(quartic, start, 100, LBFGS())
    assert min(found) == pytest.approx(min(free), rel=1e-3)


def test_curvature_along_the_move_is_right_where_pixels_are_clamped() -> None:
    """With a bound in the way, pairs along the move reach the constrained minimum; pairs along the step stray."""
    weights = torch.linspace(1, 30, 20, dtype=torch.float64)
    centre = torch.linspace(-1, 2, 20, dtype=torch.float64)

    def bowl(x: Tensor) -> Tensor:
        return (weights * (x - centre) ** 2).sum() + 0.5 * (x.sum() - 3) ** 2

    def clamped(optimiser: LBFGS) -> float:
        x: Tensor | None = torch.full((20,), 0.5, dtype=torch.float64)
        best = math.inf
        for _ in range(60):
            if x is None:
                break
            x = x.clamp(0, 1)
            value, gradient = value_and_gradient(bowl, x)
            best = min(best, value)
            x = advance(optimiser, x, value, gradient)
        return best

    assert clamped(LBFGS(secant="move", guard=True)) < clamped(LBFGS(secant="direction", guard=True)) + 1e-9


def test_a_change_of_weight_keeps_what_was_learnt() -> None:
    """A quadratic that becomes 100 times as steep on the way: with the pairs scaled, nothing is lost."""
    scale = torch.logspace(0, 3, 6, dtype=torch.float64)

    def valley(x: Tensor) -> Tensor:
        return (scale * (x - 1).square()).sum()

    def last(told: bool) -> float:
        optimiser, x = LBFGS(), torch.zeros(6, dtype=torch.float64)
        for step in range(9):
            factor = 100.0 if step >= 6 else 1.0
            if told and step == 6:
                optimiser.reweigh(torch.tensor([100.0]))
            value, gradient = value_and_gradient(valley, x)
            found = advance(optimiser, x, factor * value, factor * gradient)
            assert found is not None
            x = found
        return valley(x).item()

    assert last(told=True) < 0.1 * last(told=False)


def together(functions: list[Function], starts: Tensor, evaluations: int, optimiser: LBFGS) -> list[list[float]]:
    """Values of several functions that share an optimiser, each for as long as it is going."""
    x, values = starts.clone(), [list[float]() for _ in functions]
    going = [True] * len(functions)
    for _ in range(evaluations):
        found = [value_and_gradient(function, row) for function, row in zip(functions, x, strict=True)]
        for place, (value, _) in enumerate(found):
            if going[place]:
                values[place].append(value)
        losses = torch.tensor([value for value, _ in found], dtype=x.dtype)
        x = optimiser.advance(x, losses, torch.stack([gradient for _, gradient in found]))
        going = optimiser.going.tolist()
    return values


def cliff(x: Tensor) -> Tensor:  # its minimum lies beyond
    return torch.where(x.max() > 0.2, torch.tensor(math.nan, dtype=x.dtype), quartic(x))


def slope(x: Tensor) -> Tensor:
    return -x.exp().sum()  # concave: no pair is ever of use


@pytest.mark.parametrize("guard", [False, True])
@pytest.mark.parametrize("secant", ["direction", "move"])
@pytest.mark.parametrize("history", [100, 7])
def test_functions_that_share_an_optimiser_know_nothing_of_each_other(guard: bool, secant: str, history: int) -> None:
    functions: list[Function] = [rosenbrock, cliff, softmax_regression, quartic]
    starts = torch.randn(4, 30, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 0.3
    starts[1] = -1.4

    def optimiser() -> LBFGS:
        return LBFGS(guard=guard, secant=secant, history=history)  # type: ignore[arg-type]

    shared = optimiser()
    found = together(functions, starts, 60, shared)
    for place, function in enumerate(functions):
        alone = optimiser()
        expected = ours(function, starts[place], 60, alone)
        assert found[place] == pytest.approx(expected, rel=1e-6, nan_ok=True)
        assert shared.restarts[place] == alone.restarts[0] and shared.taken_back[place] == alone.taken_back[0]
    assert len(found[1]) < 60 and math.isnan(found[1][-1])
    assert shared.restarts.tolist() == [0, RESTARTS if guard else 0, 0, 0]


def test_a_function_without_curvature_takes_nothing_from_another() -> None:
    starts = torch.full((2, 5), 0.3, dtype=torch.float64)
    found = together([slope, rosenbrock], starts, 12, LBFGS())
    assert found[0] == pytest.approx(ours(slope, starts[0], 12, LBFGS()), rel=1e-9)
    assert found[1] == pytest.approx(ours(rosenbrock, starts[1], 12, LBFGS()), rel=1e-9)


class Waiting(Exception):
    """Something asked for a value, which a GPU would have to finish its work for."""


class NoWaiting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            raise Waiting(func)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("guard", [False, True])
@pytest.mark.parametrize("secant", ["direction", "move"])
@pytest.mark.parametrize("metric", [False, True])
def test_nothing_waits_for_a_gpu(guard: bool, secant: str, metric: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The border to CUDA: ``some``, which asks only on CPUs."""
    monkeypatch.setattr("nst_batch.transfer.curvature.some", lambda _: True)
    monkeypatch.setattr("nst_batch.transfer.lbfgs.some", lambda _: True)
    shape = torch.Size((3, 3, 4, 5))
    adaptive = AdaptiveMetric(shape, torch.device("cpu"), torch.float32) if metric else None
    optimiser = LBFGS(guard=guard, secant=secant, history=4, metric=adaptive)  # type: ignore[arg-type]
    random = torch.Generator().manual_seed(3)
    x = torch.rand(3, 60, generator=random)
    with NoWaiting():  # type: ignore[no-untyped-call]
        for _ in range(9):
            gradient = 2 * x + 0.3 * torch.rand(3, 60, generator=random)
            x = optimiser.advance(x, x.square().sum(1) * torch.rand(3, generator=random), gradient)
        optimiser.reweigh(torch.tensor([1.0, 2.0, 3.0]))
    with NoWaiting(), pytest.raises(Waiting):  # type: ignore[no-untyped-call]
        bool(optimiser.going.any())  # the mode does see it


@pytest.mark.parametrize("guard", [False, True])
def test_what_is_decided_without_asking_is_decided_alike(guard: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    functions: list[Function] = [rosenbrock, cliff, slope, quartic]
    starts = torch.randn(4, 10, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 0.3
    expected = together(functions, starts, 40, LBFGS(guard=guard, history=5))
    monkeypatch.setattr("nst_batch.transfer.curvature.some", lambda _: True)
    monkeypatch.setattr("nst_batch.transfer.lbfgs.some", lambda _: True)
    found = together(functions, starts, 40, LBFGS(guard=guard, history=5))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-9, nan_ok=True)


@pytest.mark.gpu
def test_on_a_gpu_it_walks_the_same_path_without_waiting() -> None:
    start = torch.randn(2, 30, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 0.3
    expected = together([rosenbrock, quartic], start, 40, LBFGS(guard=True, secant="move"))
    optimiser, x, losses = LBFGS(guard=True, secant="move"), start.cuda(), []
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(40):
            point = x.clone().requires_grad_(True)
            values = torch.stack([rosenbrock(point[0]), quartic(point[1])])
            (gradient,) = torch.autograd.grad(values.sum(), point)
            losses.append(values.detach())
            x = optimiser.advance(x, values.detach(), gradient)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for place, curve in enumerate(expected):
        assert [float(values[place]) for values in losses][: len(curve)] == pytest.approx(curve, rel=1e-6)


def test_with_guard_the_first_step_is_long_enough_to_learn_from() -> None:
    """As long for each value of a large picture as of a small one: in the 1-norm alone it would be lost to rounding."""
    for n in (10, 600_000):
        gradient = torch.randn(1, n, generator=torch.Generator().manual_seed(0)) * 1e4
        x = torch.full((1, n), 0.5)
        moved = LBFGS(guard=True).advance(x, torch.ones(1), gradient) - x
        assert moved.abs().mean().item() == pytest.approx(FIRST_MOVE, rel=1e-3)
        assert torch.nn.functional.cosine_similarity(moved, -gradient).item() > 0.999


@pytest.mark.parametrize("guard", [False, True])
def test_steps_grow_as_long_as_gradients_change_the_wrong_way(guard: bool) -> None:
    """On top of a hill no curvature is learnt; torch's path leads nowhere from there where gradients are large."""
    x = 1e-6 * torch.linspace(-1.5, 1.5, 1000, dtype=torch.float64)
    optimiser, moves, values = LBFGS(guard=guard), list[float](), list[float]()
    for _ in range(40):
        value, gradient = value_and_gradient(lambda x: 1e6 * (x.square() - 1).square().sum(), x)
        at = advance(optimiser, x, value, gradient)
        assert at is not None
        moves.append((at - x).abs().sum().item())
        values.append(value)
        x = at
    assert moves[1:4] == pytest.approx([4 * each for each in moves[:3]])
    assert values[-1] < 1e-3 * values[0] and x.abs() == pytest.approx(torch.ones(1000), abs=0.1)
