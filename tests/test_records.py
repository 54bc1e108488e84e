"""TransferSettings check themselves; tasks have seeds of their own; errors become records."""

from __future__ import annotations

import dataclasses
import math
import pickle
from typing import Any

import pytest

from nst_batch.errors import ImageError, SettingsError, WorkerDied
from nst_batch.records import VGG19_LAYERS, Failure, Source, Task, TransferSettings, Weights, choices, utc_now


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("size", 8, "at least 16"),
        ("steps", 0, "at least 1"),
        ("style_weight", -1.0, "at least 0"),
        ("style_weight", math.nan, "finite"),
        ("style_weight", math.inf, "finite"),
        ("learning_rate", 0.0, "more than 0"),
        ("history", 5000, "at most 1000"),
        ("style_layers", ("relu1_9",), "did you mean relu1_2"),
        ("style_layers", (), "at least one"),
        ("style_layer_weights", (1.0, 2.0), "2 weights for 5"),
        ("pooling", "mean", "valid: auto, max, avg"),
        ("fit", "longg", "did you mean long"),
        ("clamp", "", "valid: step, closure, end"),
        ("style_layer_weights", (1.0, 1.0, 1.0, 1.0, math.nan), "finite"),
    ],
)
def test_a_wrong_value_is_refused_and_named(field: str, value: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        TransferSettings(**{field: value})
    assert field in str(caught.value)


def test_all_wrong_values_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        TransferSettings(size=1, steps=0, style_weight=-1)
    assert all(name in str(caught.value) for name in ("size", "steps", "style_weight"))


def test_nothing_to_optimise_is_refused() -> None:
    with pytest.raises(SettingsError, match="nothing to optimise"):
        TransferSettings(content_weight=0, style_weight=0)


def test_whole_numbers_are_the_same_as_floats() -> None:
    one, other = TransferSettings(style_weight=1000), TransferSettings(style_weight=1000.0)
    assert one == other and isinstance(one.style_weight, float)
    one, other = (TransferSettings(style_layer_weights=each) for each in ((1, 2, 3, 4, 5), (1.0, 2.0, 3.0, 4.0, 5.0)))
    assert repr(one) == repr(other)


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TransferSettings().size = 3  # type: ignore[misc]


def test_vgg19_has_sixteen_convolutions_in_five_blocks() -> None:
    assert len(VGG19_LAYERS) == 32 and VGG19_LAYERS[0] == "conv1_1" and VGG19_LAYERS[-1] == "relu5_4"


def test_a_seed_is_the_tasks_own_and_the_settings_vary_it() -> None:
    picture = Source("a.png", "0" * 64, 1)

    def seed(identity: str, setting: int) -> int:
        task = Task(identity, picture, picture, TransferSettings(seed=setting), Weights("w", "0"), "o.png")
        return task.seed

    assert seed("a" * 32, 0) != seed("b" * 32, 0) != seed("b" * 32, 1)
    assert 0 <= seed("f" * 32, 0) < 2**63


@pytest.mark.parametrize(
    ("error", "transient", "hint"),
    [
        (ImageError("broken", hint="replace it"), False, "replace it"),
        (WorkerDied("killed"), True, ""),
        (OSError(28, "No space left on device"), True, "room"),
        (MemoryError(), True, "smaller"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True, "smaller"),
        (RuntimeError("odd"), True, ""),
    ],
)
def test_any_error_becomes_a_failure(error: Exception, transient: bool, hint: str) -> None:
    failure = Failure.of(error)
    assert (failure.type, failure.transient) == (type(error).__name__, transient)
    assert hint in failure.hint and failure.message


def test_choices_guess_only_what_is_near() -> None:
    assert choices("gaty", ["default", "gatys"]) == "did you mean gatys? valid: default, gatys"
    assert choices("zebra", ["default", "gatys"]) == "valid: default, gatys"


def test_settings_travel_between_processes() -> None:
    settings = TransferSettings(style_layers=("relu1_1",), style_weight=5)
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_times_sort_as_text() -> None:
    times = [utc_now() for _ in range(100)]
    assert times == sorted(times) and len({len(time) for time in times}) == 1 and times[0].endswith("+00:00")
