"""TransferSettings check themselves."""

from __future__ import annotations

import dataclasses
import math
import pickle
from typing import Any, cast

import pytest

from nst_batch.errors import SettingsError
from nst_batch.settings import SETTINGS, TOGETHER, VGG19_LAYERS, Stop, TransferSettings, choices, is_list, words_of


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
        ("history", "all", "valid: auto"),
        ("style_layers", ("relu1_9",), "did you mean relu1_2"),
        ("style_layers", (), "at least one"),
        ("style_layer_weights", (1.0, 2.0), "2 weights for 5"),
        ("pooling", "mean", "valid: max, avg"),
        ("fit", "longg", "did you mean long"),
        ("clamp", "", "valid: step, closure, end"),
        ("style_layer_weights", (1.0, 1.0, 1.0, 1.0, math.nan), "finite"),
        ("content_layer_weights", (1.0, 2.0), "2 weights for 1 content_layers"),
        ("scales", "autoo", "did you mean auto"),
        ("scales", (8,), "at least 16"),
        ("scale_shares", (0.0,), "more than 0"),
        ("adam_betas", (0.9,), "two numbers, not 1"),
        ("averaging", 1.0, "at most 0.9999"),
        ("strength", 1.5, "at most 1"),
        ("octaves", 0, "at least 1"),
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


def test_choices_guess_only_what_is_near() -> None:
    assert choices("gaty", ["default", "gatys"]) == "did you mean gatys? valid: default, gatys"
    assert choices("zebra", ["default", "gatys"]) == "valid: default, gatys"


def test_settings_travel_between_processes() -> None:
    settings = TransferSettings(style_layers=("relu1_1",), style_weight=5)
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_a_line_search_is_for_lbfgs() -> None:
    with pytest.raises(SettingsError, match="line_search: strong_wolfe is for optimizer: lbfgs"):
        TransferSettings(line_search="strong_wolfe", optimizer="adam")


@pytest.mark.parametrize(("values", "message"), [({"rel": 2.0}, "rel must be"), ({"window": 0}, "window must be")])
def test_stop_has_limits(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Stop(**values)


def test_stop_may_be_a_dict_as_yaml_has_it() -> None:
    assert TransferSettings(stop={"rel": 0.01, "window": 5}).stop == Stop(0.01, 5)  # type: ignore[arg-type]


def test_lists_and_words_are_told_apart() -> None:
    assert words_of("scales") == ("auto",) and is_list("scales")
    assert words_of("fit")[0] == "long" and not is_list("fit")
    assert [name for name in SETTINGS if is_list(name)] == [
        "scales", "scale_shares", "content_layers", "content_layer_weights", "style_layers", "style_layer_weights",
        "adam_betas",
    ]  # fmt: skip
    assert TransferSettings(scales=[64, 32]).scales == (64, 32)  # type: ignore[arg-type]


def test_settings_that_can_disagree_are_all_that_is_looked_at_together() -> None:
    class Asked:
        """Default settings that note which of them are looked at."""

        def __init__(self) -> None:
            self.names: set[str] = set()

        def __getattr__(self, name: str) -> object:
            self.names.add(name)
            return {"content_weight": 0, "line_search": "strong_wolfe"}.get(name, SETTINGS[name].default)

    asked = Asked()
    assert TransferSettings.disagreements(cast(TransferSettings, asked)) == []
    assert asked.names == set(TOGETHER)
