"""What transfers are expected to take, and how they are made to fit."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

from nst_batch.demands import (
    FEW_PAIRS,
    LEAST_PAIRS,
    Way,
    fewer_rows,
    kept_bytes,
    least_bytes,
    network_bytes,
    operations,
    passes_bytes,
    rows_handed,
    rows_made,
    stage_bytes,
    thrifty,
    way_that_fits,
    ways,
    work,
)
from nst_batch.pipeline_file.presets import PRESETS
from nst_batch.settings import TransferSettings
from nst_batch.sizes import Stage
from nst_batch.transfer.passes import Passes
from nst_batch.transfer.untrained import untrained_state
from nst_batch.transfer.vgg import VGG19

GATYS = dataclasses.replace(PRESETS["gatys"], scales=(), scale_shares=())
TUTORIAL = PRESETS["pytorch-tutorial"]
LARGE = Stage(4000, 3000, 100, 1.0)


def test_operations_are_those_of_the_convolutions_and_gram_matrices() -> None:
    stage = Stage(64, 48, 10, 1.0)
    one = dataclasses.replace(TUTORIAL, content_layers=("conv1_1",), style_layers=("conv1_1",))
    assert operations(one, stage) == 2 * 64 * 48 * (2 * 9 * 3 * 64 + 2 * 64**2)
    assert operations(GATYS, stage) > 3 * operations(one, stage)
    assert operations(TransferSettings(octaves=2), stage) > operations(TransferSettings(octaves=1), stage)
    assert work(one, 640, 480) == 320 * operations(dataclasses.replace(one), Stage(640, 480, 1, 1.0))


@pytest.mark.parametrize("name", ["gatys", "pytorch-tutorial"])
def test_what_passes_keep_is_what_they_are_expected_to_keep(name: str) -> None:
    """Tensors of a real pass, counted; the expectation has room for gradients and for what the content is, beside."""
    settings, passes = PRESETS[name], Passes(VGG19(untrained_state()))
    trace = passes.forward(torch.rand(1, 3, 96, 128), {*settings.content_layers, *settings.style_layers})
    tensors = {each.data_ptr(): each.nbytes for each in (*trace.stored, *trace.inputs[1:], *trace.features.values())}
    content = sum(trace.features[tap].nbytes for tap in settings.content_layers)
    gradients = 3 * 64 * 96 * 128 * 4
    assert passes_bytes(settings, 128, 96, None) == pytest.approx(sum(tensors.values()) + content + gradients, rel=0.02)


def test_what_the_network_keeps_is_what_it_is_expected_to_keep() -> None:
    passes = Passes(VGG19(untrained_state()))
    passes.prepare(("relu3_1",))
    kept = getattr(passes.ops, "_transformed", None)
    if kept is None:
        pytest.skip("no kernels in C++ here")
    expected = network_bytes(dataclasses.replace(TUTORIAL, style_layers=("relu3_1",), content_layers=("conv1_2",)))
    assert sum(each.nbytes for each in kept.values()) == expected


def test_strips_take_less_the_fewer_rows_they_have_until_what_is_handed_on_takes_more() -> None:
    sizes = [passes_bytes(GATYS, 4000, 3000, rows) for rows in (None, 1024, 512, 256)]
    assert sizes == sorted(sizes, reverse=True)
    assert passes_bytes(GATYS, 4000, 3000, 3000) == sizes[0]
    tall = [passes_bytes(GATYS, 1000, 60_000, rows) for rows in (64, 256)]
    assert tall[0] > tall[1]


def test_rows_are_made_in_whole_tiles_but_of_large_pictures_in_low_strips() -> None:
    assert rows_made(2048, 128) == rows_made(600, 64) == rows_made(8192, 256) == 4
    assert rows_made(2048, 64) == rows_made(8192, 128) == 2
    assert (rows_handed(2048, 128), rows_handed(8192, 64)) == (5, 3)


def test_a_history_is_counted_as_far_as_it_is_used() -> None:
    short, long = (stage_bytes(GATYS, 100, 50, Way(None, pairs)) for pairs in (10, 100))
    assert long - short == 90 * 24 * 100 * 50
    kept = [kept_bytes(GATYS, 100, 50, way) for way in (Way(None, 100, "bf16"), Way(None, 0))]
    assert 2 * (kept[0] - kept[1]) == 100 * 24 * 100 * 50
    assert next(each.pairs for each in ways(GATYS, Stage(100, 50, 30, 1.0), "off")) == 30
    adam = TransferSettings(optimizer="adam")
    assert {each.pairs for each in ways(adam, LARGE)} == {0}


def test_ways_go_from_whole_to_strips_to_fewer_pairs() -> None:
    found = list(ways(GATYS, LARGE))
    assert found[0] == Way(None, 100)
    rows = [each.rows for each in found if each.pairs == 100]
    assert rows[1:] == sorted([each for each in rows if each], reverse=True) and rows[-1] == 64
    assert all(each % 64 == 0 for each in rows if each)
    pairs = [each.pairs for each in found[len(rows) :]]
    assert pairs == sorted(pairs, reverse=True) and pairs[-1] == LEAST_PAIRS
    assert {each.rows for each in ways(GATYS, LARGE, "off")} == {None}
    assert {each.rows for each in ways(GATYS, LARGE, 200)} == {200}
    assert {each.rows for each in ways(GATYS, LARGE, 3000)} == {None}


def test_a_history_that_is_auto_is_kept_in_bf16_rather_than_short() -> None:
    found = list(ways(dataclasses.replace(GATYS, history="auto"), LARGE, 128))
    assert found[0] == Way(128, 100, "fp32") and found[-1] == Way(128, LEAST_PAIRS, "bf16")
    assert min(each.pairs for each in found if each.kept == "fp32") == FEW_PAIRS
    takes = [stage_bytes(GATYS, LARGE.width, LARGE.height, each) for each in found]
    change = [each.kept for each in found].index("bf16")
    assert found[change].pairs > 2 * FEW_PAIRS and takes[:change] == sorted(takes[:change], reverse=True)
    assert {each.kept for each in ways(dataclasses.replace(GATYS, history_precision="bf16"), LARGE)} == {"bf16"}
    assert {each.kept for each in ways(GATYS, LARGE)} == {"fp32"}


def test_the_optimiser_goes_apart_before_a_history_is_shortened() -> None:
    found = list(ways(GATYS, LARGE, apart=True))
    first = [each.apart for each in found].index(True)
    assert all(each.pairs == 100 for each in found[: first + 1]) and found[first].rows is None
    assert not any(each.apart for each in ways(GATYS, LARGE)) and all(each.pairs == 100 for each in found if each.apart)
    least = Way(512, 100, apart=True)
    assert stage_bytes(GATYS, 4000, 3000, least) < stage_bytes(GATYS, 4000, 3000, Way(512, 4))
    assert way_that_fits(GATYS, LARGE, 0.8e10, apart=True)[0].apart
    assert not any(each.apart for each in ways(TransferSettings(optimizer="adam"), LARGE, apart=True))


def test_the_way_that_is_taken_is_the_best_that_fits() -> None:
    seen = list[tuple[int, int]]()
    for room in range(2, 120, 2):
        way, fits = way_that_fits(GATYS, LARGE, room * 1e9)
        takes = stage_bytes(GATYS, LARGE.width, LARGE.height, way)
        assert (takes <= room * 1e9) is fits
        seen.append((way.rows or 10_000, way.pairs))
    pairs = [each for _, each in seen]
    assert pairs == sorted(pairs) and pairs[0] == LEAST_PAIRS and pairs[-1] == 100
    assert seen[-1] == (10_000, 100)
    assert all(one[0] <= other[0] for one, other in itertools.pairwise(seen) if one[1] == other[1] == 100)
    assert way_that_fits(GATYS, LARGE, least_bytes(GATYS, LARGE))[1]
    assert not way_that_fits(GATYS, LARGE, least_bytes(GATYS, LARGE) - 1)[1]


def test_what_is_given_up_is_history_down_to_where_it_would_matter() -> None:
    settings, seen = TransferSettings(history="auto", steps=500, size=64), list[int]()
    while (less := thrifty(settings)) is not None:
        assert less.size == 64
        settings = less
        seen.append(settings.pairs(500))
    assert seen == [25, 6, 4]
    assert thrifty(TransferSettings(history=100, steps=500, optimizer="adam")) is None
    assert thrifty(TransferSettings(history=1000, steps=40)) == TransferSettings(history=10, steps=40)


def test_fewer_rows_are_a_quarter_in_whole_strips() -> None:
    assert [fewer_rows(height, None) for height in (4000, 256, 255)] == [512, 64, None]
    assert fewer_rows(4000, 512) == 128 and fewer_rows(4000, 128) is None
