"""A transfer that is taken up again ends with the same bits as one that was never interrupted."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nst_batch.settings import Stop, TransferSettings
from nst_batch.transfer.images import from_image
from nst_batch.transfer.member import Request, Stylized
from nst_batch.transfer.pictures import Picture, StylePart
from nst_batch.transfer.snapshot import State, from_file, of_one, to_bytes
from nst_batch.transfer.stylize import Stylizer
from tests.transfer.conftest import pattern, shallow

SMALL = shallow(size=32, steps=24, octaves=2)
KINDS: dict[str, dict[str, object]] = {
    "default": {},
    "scales": {"scales": (20,), "stop": Stop(1e-3, 6)},
    "adaptive": {"metric": "adaptive", "balance": "none", "warmup": 8, "init": "noise"},
    "plain": {"metric": "pixels", "clamp": "closure", "guard": False, "history": 5, "balance": "none"},
    "adam": {"optimizer": "adam", "scales": (20,), "averaging": 0.9},
    "search": {"line_search": "strong_wolfe", "metric": "pixels"},
    "luminance": {"color": "content", "color_method": "luminance"},
    "wild": {"learning_rate": 30.0},
}


class Ended(Exception):
    pass


def picture(seed: int) -> Picture:
    return Picture(f"snapshot {seed}", lambda: from_image(pattern(40, 32, seed)), f"{seed}.png")


def request(settings: TransferSettings, content: int = 1, resumed: State | None = None) -> Request:
    return Request(picture(content), (StylePart(picture(7)),), settings, 3, resumed=resumed)


def ended(stylizer: Stylizer, requests: list[Request], at: int) -> list[State]:
    """The states of a transfer that was ended at an evaluation, or as soon after it as it has any."""
    kept: list[State] = []

    def on_step(step: int, _: list[float], states: Callable[[], list[State] | None]) -> None:
        if step >= at and (found := states()) is not None:
            kept.extend(found)
            raise Ended

    with pytest.raises(Ended):
        stylizer.transfer_all(requests, on_step)
    return kept


def check(found: Stylized, expected: Stylized) -> None:
    assert torch.equal(found.image, expected.image)
    rest = {field.name for field in dataclasses.fields(Stylized)} - {"image", "alpha"}
    assert {name: getattr(found, name) for name in rest} == {name: getattr(expected, name) for name in rest}


@pytest.mark.parametrize("at", [1, 10, 19])
@pytest.mark.parametrize("kind", KINDS)
def test_taken_up_again_it_ends_the_same(stylizer: Stylizer, tmp_path: Path, kind: str, at: int) -> None:
    settings = dataclasses.replace(SMALL, **KINDS[kind])  # type: ignore[arg-type]
    (expected,) = stylizer.transfer_all([request(settings)])
    (state,) = ended(stylizer, [request(settings)], at)
    file = tmp_path / "state.safetensors"
    file.write_bytes(to_bytes(state, task="a"))
    steps: list[int] = []
    (found,) = stylizer.transfer_all(
        [request(settings, resumed=from_file(file, task="a"))], lambda step, _, __: steps.append(step)
    )
    assert isinstance(found, Stylized) and isinstance(expected, Stylized)
    check(found, expected)
    assert steps[0] > at and steps == list(range(steps[0], expected.evaluations + 1))


def test_and_again_and_again(stylizer: Stylizer, tmp_path: Path) -> None:
    (expected,) = stylizer.transfer_all([request(SMALL)])
    state: State | None = None
    for at in range(3, 24, 4):
        (latest,) = ended(stylizer, [request(SMALL, resumed=state)], at)
        (tmp_path / "state").write_bytes(to_bytes(latest))
        state = from_file(tmp_path / "state")
    (found,) = stylizer.transfer_all([request(SMALL, resumed=state)])
    assert isinstance(found, Stylized) and isinstance(expected, Stylized)
    check(found, expected)


def test_those_that_were_rendered_together_go_on_alone(stylizer: Stylizer) -> None:
    settings = dataclasses.replace(SMALL, precision="fp64")
    states = ended(stylizer, [request(settings, content) for content in (1, 2, 3)], 14)
    for content, state in zip((1, 2, 3), states, strict=True):
        (found,) = stylizer.transfer_all([request(settings, content, resumed=state)])
        (expected,) = stylizer.transfer_all([request(settings, content)])
        assert isinstance(found, Stylized) and isinstance(expected, Stylized)
        torch.testing.assert_close(found.image, expected.image, atol=1e-3, rtol=0)
        assert found.evaluations == expected.evaluations == 24 and found.scales == expected.scales


def test_a_state_survives_its_file(tmp_path: Path) -> None:
    shared = torch.rand(2, 3)
    state = {"a": shared, "b": {"c": shared, "d": [math.inf, 0.1], "e": None, "f": 3}, "g": torch.tensor([True, False])}
    file = tmp_path / "state"
    file.write_bytes(to_bytes(state, task="one"))
    found = from_file(file, task="one")
    assert found is not None
    assert torch.equal(found["a"], shared) and torch.equal(found["b"]["c"], shared)
    assert (found["b"]["d"], found["b"]["e"], found["b"]["f"]) == ([math.inf, 0.1], None, 3)
    assert found["g"].tolist() == [True, False]


def test_what_is_not_ours_or_damaged_is_no_state(tmp_path: Path) -> None:
    file = tmp_path / "state"
    assert from_file(file, task="one") is None
    data = to_bytes({"a": torch.rand(50)}, task="one")
    file.write_bytes(data)
    assert from_file(file, task="two") is None
    for broken in (b"", data[:5], data[:100], data[:-1], b"\xff" * 500, data[:8] + b"}" + data[9:]):
        file.write_bytes(broken)
        assert from_file(file, task="one") is None


def test_of_one_takes_a_pictures_own_part() -> None:
    more = {"going": torch.tensor([1, 0])}
    state = {"x": torch.tensor([[1.0], [2.0]]), "curves": [[1, 2], [3]], "made": 7, "more": more}
    found = of_one(state, 1)
    assert found["x"].tolist() == [[2.0]] and found["curves"] == [[3]] and found["made"] == 7
    assert found["more"]["going"].tolist() == [0]
