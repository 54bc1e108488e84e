"""Closures recorded and played back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from nst_batch.settings import TransferSettings
from nst_batch.transfer import graphs
from nst_batch.transfer.graphs import Compiler
from nst_batch.transfer.losses import Objective, Targets, Terms, needs_means, together
from nst_batch.transfer.octaves import style_features
from nst_batch.transfer.passes import Passes
from nst_batch.transfer.precision import EXACT, ROUNDED, Precision, arithmetic
from nst_batch.transfer.untrained import untrained_state
from nst_batch.transfer.vgg import VGG19, Network
from tests.transfer.conftest import pixels, shallow

SETTINGS = shallow(balance="none", octaves=2, tv_weight=3.0)


def problem(
    device: str,
    dtype: torch.dtype = torch.float32,
    *,
    seed: int = 1,
    size: int = 48,
    passes: Passes | None = None,
    settings: TransferSettings = SETTINGS,
) -> tuple[Objective, Passes]:
    passes = passes or Passes(VGG19(untrained_state(), Network("avg")).to(device), dtype)
    content, style = pixels(size, 40, seed).to(device), pixels(40, 40, seed + 20).to(device)
    found = style_features(passes, style, settings).items()
    targets = Targets(
        passes(content, settings.content_layers),
        {name: passes.moments(features, None, means=needs_means(settings)) for name, features in found},
    )
    return Objective(targets, settings), passes


def test_on_a_cpu_a_closure_is_the_objective_itself() -> None:
    objective, passes = problem("cpu")
    image = pixels(48, 40, 3)
    compiler = Compiler()
    closure = compiler.compiled(objective, passes, image)
    (expected, slope), (found, found_slope) = objective.gradient(passes, image), closure(image)
    assert torch.equal(found.values, expected.values) and torch.equal(found_slope, slope) and compiler.note == ""


def played(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The border to CUDA: a recording is the work done again. What it reads and writes is as with a real one."""
    recordings: list[object] = []

    def record(work: Callable[[], None], device: torch.device) -> Callable[[], None]:
        recordings.append(device)
        work()
        return work

    monkeypatch.setattr(graphs, "_record", record)
    return recordings


class There(Tensor):
    """A tensor that says it lies on a GPU."""

    is_cuda = True


def there(image: Tensor) -> Tensor:
    return image.as_subclass(There)


@pytest.mark.parametrize("statistic", ["gram", "w2"])
def test_a_recording_serves_other_pictures_of_its_shape(monkeypatch: pytest.MonkeyPatch, statistic: str) -> None:
    recordings, compiler, image = played(monkeypatch), Compiler(), pixels(48, 40, 3)
    settings = dataclasses.replace(SETTINGS, style_statistic=statistic)  # type: ignore[arg-type]
    passes = Passes(VGG19(untrained_state(), Network("avg")))
    for seed in (1, 5):
        objective = problem("cpu", seed=seed, passes=passes, settings=settings)[0]
        for goal in (objective, objective.with_style(0.1)):
            closure = compiler.compiled(goal, passes, there(image))
            (ours, ours_slope), (theirs, slope) = closure(image), goal.gradient(passes, image)
            assert ours.names == theirs.names
            torch.testing.assert_close((ours.values, ours_slope), (theirs.values, slope))
    assert len(recordings) == 1


def test_several_pictures_with_targets_and_weights_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    recordings, compiler = played(monkeypatch), Compiler()
    passes = Passes(VGG19(untrained_state(), Network("avg")))
    images = torch.cat([pixels(48, 40, seed) for seed in (3, 4)])
    for seeds in ((1, 5), (6, 7)):
        goals = [problem("cpu", seed=seed, passes=passes)[0].with_style(seed) for seed in seeds]
        terms, gradient = compiler.compiled(together(goals), passes, there(images))(images)
        for place, goal in enumerate(goals):
            alone, slope = goal.gradient(passes, images[place : place + 1])
            torch.testing.assert_close(terms.values[:, place], alone.values[:, 0], rtol=1e-4, atol=0)
            torch.testing.assert_close(
                gradient[place : place + 1], slope, rtol=1e-3, atol=1e-5 * slope.abs().max().item()
            )
    assert len(recordings) == 1


def test_what_was_given_away_is_not_written_to_again(monkeypatch: pytest.MonkeyPatch) -> None:
    played(monkeypatch)
    objective, passes = problem("cpu")
    image = pixels(48, 40, 3)
    closure = Compiler().compiled(objective, passes, there(image))
    terms, gradient = closure(image)
    before = terms.values.clone(), gradient.clone()
    closure(1 - image)
    assert torch.equal(terms.values, before[0]) and torch.equal(gradient, before[1])


def test_other_shapes_settings_and_precisions_are_recorded_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    recordings, compiler = played(monkeypatch), Compiler()
    passes = Passes(VGG19(untrained_state(), Network("avg")))

    def compiled(precision: Precision = EXACT, size: int = 48, **changes: Any) -> int:
        settings = dataclasses.replace(SETTINGS, **changes)
        with arithmetic(precision):
            compiler.compiled(
                problem("cpu", size=size, passes=passes, settings=settings)[0], passes, there(pixels(size, 40, 3))
            )
        return len(recordings)

    assert [compiled(), compiled(seed=9), compiled(tv_weight=1.0), compiled(ROUNDED), compiled(size=56)] == [
        1,
        1,
        2,
        3,
        4,
    ]


def test_old_recordings_go_and_large_closures_need_none(monkeypatch: pytest.MonkeyPatch) -> None:
    recordings, compiler, image = played(monkeypatch), Compiler(), there(pixels(48, 40, 3))
    monkeypatch.setattr(graphs, "KEPT", 2)
    passes = Passes(VGG19(untrained_state(), Network("avg")))
    for weight in (1.0, 2.0, 3.0, 1.0):
        settings = dataclasses.replace(SETTINGS, tv_weight=weight)
        compiler.compiled(problem("cpu", passes=passes, settings=settings)[0], passes, image)
    assert len(recordings) == 4
    monkeypatch.setattr(graphs, "PIXELS", 48 * 40 - 1)
    compiler.compiled(problem("cpu", passes=passes)[0], passes, image)
    assert len(recordings) == 4


def test_a_failed_recording_is_noted_and_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[object] = []

    def fail(work: object, _: torch.device) -> None:
        tries.append(work)
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(graphs, "_record", fail)
    objective, passes = problem("cpu")
    image, compiler = pixels(48, 40, 3), Compiler()
    for _ in range(2):
        assert torch.isfinite(compiler.compiled(objective, passes, there(image))(image)[0].values).all()
    assert len(tries) == 1
    assert compiler.note == "some closures are not recorded: operation not permitted when stream is capturing"


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_real_recording_gives_what_the_objective_gives(dtype: torch.dtype, batch: int) -> None:
    _, passes = problem("cuda:0", dtype)
    images = [torch.cat([pixels(48, 40, seed + more) for more in range(batch)]).cuda() for seed in (3, 30)]
    compiler = Compiler()
    for seed in (1, 5):
        goals = [problem("cuda:0", seed=seed + more, passes=passes)[0] for more in range(batch)]
        closure = compiler.compiled(together(goals), passes, images[0])
        for image in images:
            (terms, found), (expected, slope) = closure(image), together(goals).gradient(passes, image)
            for ours, theirs in ((terms.values, expected.values), (found, slope)):
                torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-2 * theirs.abs().max().item())
    assert compiler.note == ""


@pytest.mark.gpu
def test_real_recordings_keep_memory_flat() -> None:
    _, passes = problem("cuda:0")
    used, compiler = [], Compiler()
    for round_ in range(6):
        size = (48, 40, 56)[round_ % 3]
        goal, image = problem("cuda:0", size=size, passes=passes)[0], pixels(size, 40, 3).cuda()
        compiler.compiled(goal, passes, image)(image)
        torch.cuda.synchronize()
        used.append(torch.cuda.memory_allocated())
    assert used[5] == used[2]


@pytest.mark.gpu
def test_what_cannot_be_recorded_runs_as_it_is_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    gradient = Objective.gradient

    def waiting(self: Objective, passes: Passes, image: Tensor) -> tuple[Terms, Tensor]:
        found = gradient(self, passes, image)
        found[0].total().sum().item()  # a host that waits cannot be in a recording
        return found

    monkeypatch.setattr(Objective, "gradient", waiting)
    objective, passes = problem("cuda:0")
    image, compiler = pixels(48, 40, 3).cuda(), Compiler()
    assert torch.isfinite(compiler.compiled(objective, passes, image)(image)[0].values).all()
    assert "not recorded" in compiler.note
