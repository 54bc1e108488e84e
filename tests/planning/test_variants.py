"""Variants as columns of the settings in which they differ."""

from __future__ import annotations

import dataclasses
import json
import pickle
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nst_batch import columns
from nst_batch.columns import NONE
from nst_batch.demands import work
from nst_batch.errors import SettingsError
from nst_batch.pipeline_file.pair_table import read_pairs
from nst_batch.planning import variants
from nst_batch.planning.ids import ids_of, task_id
from nst_batch.planning.source_table import SourceTable
from nst_batch.planning.task_table import Share
from nst_batch.planning.variants import Variant, Variants, variants_of
from nst_batch.records import OutputFormat, Style
from nst_batch.settings import SETTINGS, Stop, TransferSettings
from tests.lines import CONTENT, STYLE, WEIGHTS
from tests.planning.test_ids import other_value

BASE = Variant(TransferSettings(), WEIGHTS, OutputFormat())
OVERRIDES: list[dict[str, Any]] = [
    {"strength": 0.25, "stop": Stop()},
    {},
    {"seed": 3, "scales": (64, 128)},
    {"strength": 0.25},
]
POINTS: list[dict[str, Any]] = [{"seed": 1}, {"seed": 2, "tv_weight": 0.0}]


def by_hand(overrides: Sequence[Mapping[str, Any]], points: Sequence[Mapping[str, Any]]) -> list[Variant]:
    """One after another."""
    return [
        dataclasses.replace(BASE, settings=dataclasses.replace(BASE.settings, **{**override, **point}))
        for override in overrides
        for point in points
    ]


@pytest.fixture
def some() -> Variants:
    return variants_of(BASE, OVERRIDES, POINTS)


def test_points_come_with_each_override_and_win(some: Variants) -> None:
    wanted = by_hand(OVERRIDES, POINTS)
    assert list(some) == wanted and len(some) == 8
    assert [some[place] for place in range(-8, 0)] == wanted and some[2:5] == wanted[2:5]
    assert variants_of(BASE, [{}], [{}])[0] is BASE
    for place in (8, -9):
        with pytest.raises(IndexError):
            some[place]


@pytest.mark.parametrize("name", SETTINGS)
def test_each_setting_can_differ(name: str) -> None:
    more: dict[str, dict[str, Any]] = {
        "content_layers": {"content_layers": ("conv3_1",)},
        "style_layers": {"style_layers": ("conv3_1",)},
        "content_layer_weights": {"content_layer_weights": (2.0,)},
        "style_layer_weights": {"style_layer_weights": (1.0, 2.0, 3.0, 4.0, 5.0)},
        "init": {"init": "/x/{content}.png"},
    }
    override = more.get(name) or {name: other_value(name, SETTINGS[name].default)}
    assert list(variants_of(BASE, [override, {}], [{}])) == by_hand([override, {}], [{}])
    assert len(set(variants_of(BASE, [override, {}], [{}]))) == 2


def test_equal_values_are_one() -> None:
    points = [{"steps": steps, "strength": n / 10} for steps in (3, 4) for n in range(1, 10)]
    found = variants_of(BASE, [{"seed": 1}, {"seed": 1}, {"seed": 2}], points)
    assert found.values["steps"] == [3, 4] and found.values["seed"] == [1, 2]
    assert len(set(found.taking.tolist())) == 2, "only steps take time"
    files = variants_of(BASE, [{"init": f"/x/{n}.png"} for n in range(9)], [{}]).changed("init", lambda _: "file")
    assert files.values["init"] == ["file"] and len(set(files.taking.tolist())) == 1
    assert variants_of(BASE, [{"tv_weight": 0.0}, {"tv_weight": -0.0}], [{}]).values["tv_weight"] == [0.0, -0.0]
    assert len(variants_of(BASE, [{"tv_weight": 0.0}, {"tv_weight": -0.0}], [{}]).values["tv_weight"]) == 2


def test_rows_of_a_table_stay_columns(tmp_path: Path) -> None:
    (tmp_path / "c.png").touch()
    numbers = random.Random(0)
    cells = [(numbers.choice(["", "0.1", "0.5"]), numbers.choice(["", "7", "8"]), "") for _ in range(50)]
    rows = "".join(f"c.png,c.png,{','.join(each)}\n" for each in cells)
    (tmp_path / "t.csv").write_text(f"content,style,strength,seed,steps\n{rows}")
    table = read_pairs(tmp_path / "t.csv")
    found = variants_of(BASE, table.variants, POINTS)
    assert found.codes.keys() >= {"strength", "seed"} and len(found.bases) == 1
    assert list(found) == by_hand(list(table.variants), POINTS)


def test_values_are_checked_alone_and_together() -> None:
    with pytest.raises(ValueError, match="strength: must be at most 1"):
        variants_of(BASE, [{}, {"strength": 7.0}], [{}])
    with pytest.raises(SettingsError, match="line_search"):
        variants_of(BASE, [{"optimizer": "adam"}, {}], [{}, {"line_search": "strong_wolfe"}])
    (found,) = variants_of(BASE, [{"style_weight": 5, "scales": [64, 128]}], [{}])
    assert isinstance(found.settings.style_weight, float) and found.settings.scales == (64, 128)
    assert found.settings == TransferSettings(style_weight=5, scales=(64, 128)) and hash(found)


def test_one_setting_of_all(some: Variants) -> None:
    for name in SETTINGS:
        values, codes = some.setting(name)
        assert [values[code] for code in codes] == [getattr(each.settings, name) for each in some]


def test_a_setting_may_come_to_something_else(some: Variants) -> None:
    found = some.changed("strength", lambda strength: 1 - strength).changed("pooling", lambda _: "max")
    wanted = [dataclasses.replace(each.settings, strength=1 - each.settings.strength, pooling="max") for each in some]
    assert [each.settings for each in found] == wanted
    assert some.changed("steps", lambda steps: steps).bases == [BASE]


def test_some_of_them_need_no_more_than_they_have(some: Variants) -> None:
    every = list(some.joined(Variants([dataclasses.replace(BASE, weights=dataclasses.replace(WEIGHTS, name="x"))])))
    whole = Variants(every[:1]).joined(some).joined(Variants(every[-1:]))
    for rows in ([], [3], [0, 0, 9], [9], [2, 1, 5], list(range(10))):
        found = whole.only(np.array(rows, np.int64))
        assert list(found) == [whole[row] for row in rows]
        assert set(found.base_of.tolist()) == set(range(len(found.bases)))
        for name, codes in found.codes.items():
            assert set(codes.tolist()) - {NONE} == set(range(len(found.values[name]))) != set()


def test_one_behind_another(some: Variants) -> None:
    others = variants_of(dataclasses.replace(BASE, format=OutputFormat(".jpg")), [{"steps": 9, "seed": 5}, {}], [{}])
    both = some.joined(others)
    assert list(both) == [*some, *others] and list(others.joined(some)) == [*others, *some]
    assert list(both.joined(both)) == 2 * list(both) and list(Variants([]).joined(some)) == list(some)


def test_in_what_they_differ() -> None:
    found = variants_of(BASE, [{"strength": 0.6}, {"seed": 5}, {"strength": 0.2, "steps": 9}], [{}])
    found = found.joined(Variants([dataclasses.replace(BASE, settings=TransferSettings(size=64))]))

    def names(*used: int) -> list[str]:
        return list(found.differing(np.array(used)))

    assert names(0, 1) == ["seed"], "0.6 is the default"
    assert names(0, 3) == ["size"] and names(0) == []
    assert names(0, 1, 2, 3) == ["size", "steps", "strength", "seed"]
    values, codes = found.differing(np.arange(4))["steps"]
    assert [values[code] for code in codes] == [120, 120, 9, 120]


def test_what_changes_neither_time_nor_memory_is_of_one_kind() -> None:
    strengths = [{"strength": each, "seed": n} for n, each in enumerate((0.0, 0.5, 0.7))]
    taking = variants_of(BASE, strengths, [{}, {"steps": 3}, {"tv_weight": 0.0}]).taking.reshape(3, 3).tolist()
    assert taking[1] != taking[0] and len(set(taking[1])) == 3
    assert taking[1] == taking[2]
    later = variants_of(BASE, [{"seed": n, "strength": 0.1 + n / 9} for n in range(1, 8)], [{}])
    assert len(set(later.taking.tolist())) == 1
    assert len({work(each.settings, 64, 48) for each in later}) == 1


@pytest.mark.parametrize("name", variants._MATTERS_WHETHER)
def test_such_settings_take_nothing(name: str) -> None:
    """By what is reckoned before a run; whether they are 0 may matter."""
    one, two = (dict[str, Any]({name: value if name == "seed" else value / 9}) for value in (3, 4))
    assert work(TransferSettings(**one), 96, 64) == work(TransferSettings(**two), 96, 64)


def test_they_come_back_from_a_file(some: Variants, tmp_path: Path) -> None:
    for each in (some, some.joined(Variants([BASE])), Variants([BASE]), Variants([])):
        columns.save(tmp_path / "v.npz", each.header(), each.arrays())
        assert list(Variants.read(*columns.load(tmp_path / "v.npz"))) == list(each)
        assert list(pickle.loads(pickle.dumps(each))) == list(each)


def test_files_of_before_had_bases_alone(some: Variants) -> None:
    header = {"variants": [dataclasses.asdict(each) for each in some]}
    assert list(Variants.read(json.loads(json.dumps(header)), {})) == list(some)


@pytest.mark.parametrize(
    "damage",
    [
        lambda header, arrays: arrays.pop("variant_bases"),
        lambda header, arrays: arrays.pop("variant_seed"),
        lambda header, arrays: arrays.update(variant_seed=arrays["variant_seed"][1:]),
        lambda header, arrays: arrays.update(variant_seed=arrays["variant_seed"] + 1),
        lambda header, arrays: arrays.update(variant_seed=arrays["variant_seed"] - 3),
        lambda header, arrays: arrays.update(variant_bases=arrays["variant_bases"] - 1),
        lambda header, arrays: header["values"].update(seed=["no number"]),
        lambda header, arrays: header["values"].update(nothing=[1]),
        lambda header, arrays: header.update(values=5),
    ],
)
def test_files_of_something_else_are_refused(damage: Any, some: Variants) -> None:
    header, arrays = json.loads(json.dumps(some.header())), dict(some.arrays())
    assert list(Variants.read(header, arrays)) == list(some)
    damage(header, arrays)
    with pytest.raises((ValueError, LookupError, TypeError)):
        Variants.read(header, arrays)


def test_ids_are_those_of_settings_that_are_made_whole() -> None:
    numbers, names = (
        random.Random(3),
        ["seed", "strength", "stop", "history_precision", "scales", "adam_betas", "masks"],
    )
    overrides = [
        {name: other_value(name, SETTINGS[name].default) for name in names if numbers.random() < 0.4} for _ in range(60)
    ]
    found = variants_of(BASE, [{**each, "steps": n + 1} for n, each in enumerate(overrides)], POINTS)
    zeros, count = np.zeros(len(found), np.int64), np.arange(len(found))
    sources = SourceTable.of([CONTENT, STYLE])
    ids = ids_of(sources, [(Share(1),)], found, (zeros, zeros, count, zeros + NONE))
    wanted = [task_id(CONTENT, [Style(STYLE)], each.settings, each.weights, each.format) for each in found]
    assert [each.tobytes().hex() for each in ids] == wanted and len(set(wanted)) == len(found)


def test_what_was_made_is_made_once_and_few_are_kept(some: Variants, monkeypatch: pytest.MonkeyPatch) -> None:
    assert some[3] is some[3]
    monkeypatch.setattr(variants, "_KEPT", 2)
    assert list(some) == by_hand(OVERRIDES, POINTS) and len(some._made) <= 4
