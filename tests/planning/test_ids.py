"""What tasks are called by all that changes pixels: one by one, and by the million."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from nst_batch.columns import NONE
from nst_batch.planning import ids
from nst_batch.planning.ids import ids_of, task_id
from nst_batch.planning.source_table import SourceTable
from nst_batch.planning.task_table import Share, TaskTable
from nst_batch.planning.variants import Variant, Variants
from nst_batch.records import ALGORITHM_VERSION, OutputFormat, Source, Style, Task, Weights
from nst_batch.settings import SETTINGS, Stop, TransferSettings, is_in_ids
from tests.lines import task

FILE = Weights("vgg.pth", "ab" * 32, "vgg.pth")
MASK, ONE, OTHER = Source("m.png", "2" * 64, 1), Source("a.png", "0" * 64, 1, 5, 5), Source("b.png", "1" * 64, 1)


def canonical(
    content: Source,
    styles: Sequence[Style],
    settings: TransferSettings,
    weights: Weights,
    format: OutputFormat,
    start: Source | None,
) -> str:
    """An id as it was first written down, by one call of ``json.dumps``."""

    def digests(source: Source) -> list[str | None]:
        return [source.digest, source.mask.digest if source.mask else None]

    lossy = format.suffix in (".jpg", ".jpeg", ".webp")
    made_of = {
        "algorithm": ALGORITHM_VERSION,
        "content": digests(content),
        "style": [[*digests(style.source), style.weight, style.region] for style in styles],
        "start": start.digest if start else None,
        "settings": told(settings),
        "weights": [weights.digest, weights.format],
        "format": [format.suffix, format.bits, format.quality if lossy else None],
    }
    text = json.dumps(made_of, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def told(settings: TransferSettings) -> dict[str, Any]:
    """Settings that ids tell."""
    return {
        name: value for name, value in dataclasses.asdict(settings).items() if is_in_ids(name, getattr(settings, name))
    }


def masked(source: Source) -> Source:
    return dataclasses.replace(source, mask=MASK)


def test_ids_are_what_they_were() -> None:
    """Who changes this has everybody's pictures rendered again: see ``ALGORITHM_VERSION``."""
    assert task_id(ONE, [Style(OTHER)], TransferSettings(), FILE) == "41ac88b461209e56e2fa4bc324ea3406"
    settings = TransferSettings(init="file", steps=7, stop=Stop(), history_precision="bf16", scales=(64, 128))
    styles = [Style(masked(OTHER), 2.0, "#ff0000"), Style(ONE, 0.5)]
    caffe, form = dataclasses.replace(FILE, format="caffe"), OutputFormat(".jpg", 8, 80)
    assert task_id(masked(ONE), styles, settings, caffe, form, MASK) == "a1317800ddde94bf6383f80749b95528"


def random_task(numbers: random.Random) -> Task:
    """Of a few inputs, so that much is shared."""
    pictures = [Source(f"{n}.png", f"{n:064x}", n) for n in range(4)]
    pictures = [dataclasses.replace(each, mask=numbers.choice((None, MASK, ONE))) for each in pictures]
    name = numbers.choice(list(SETTINGS))
    settings = dataclasses.replace(
        TransferSettings(masks=numbers.random() < 0.6),
        **({name: other_value(name, SETTINGS[name].default)} if name not in ("masks", "init") else {}),
    )
    start = numbers.choice((None, None, *pictures))
    if start is not None:
        settings, start = dataclasses.replace(settings, init="file"), dataclasses.replace(start, mask=None)
    if not settings.masks:
        pictures = [dataclasses.replace(each, mask=None) for each in pictures]
    styles = tuple(
        Style(numbers.choice(pictures), numbers.choice((1.0, 0.1, 3.0)), numbers.choice(("", "#00ff00")))
        for _ in range(numbers.randrange(1, 4))
    )
    weights = numbers.choice((FILE, dataclasses.replace(FILE, format="caffe"), Weights("random", "e" * 64)))
    form = OutputFormat(numbers.choice((".png", ".tif", ".jpg", ".jpeg", ".webp")), numbers.choice((8, 16)), 90)
    content = numbers.choice(pictures)
    identity = canonical(content, styles, settings, weights, form, start)
    return Task(identity, content, styles, settings, weights, f"{numbers.random()}.png", form, start)


def bulk(table: TaskTable) -> list[str]:
    columns = (table.contents, table.group_of, table.variant_of, table.starts)
    found = ids_of(table.sources, table.groups, table.variants, columns)
    return [row.tobytes().hex() for row in found]


def test_by_the_million_and_one_by_one_they_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = random.Random(5)
    tasks = [random_task(numbers) for _ in range(400)]
    table = TaskTable.of(tasks)
    alone = [task_id(t.content, t.styles, t.settings, t.weights, t.format, t.start) for t in tasks]
    assert bulk(table) == alone == [each.id for each in tasks]
    monkeypatch.setattr(ids, "_KEPT", 2)
    assert bulk(table) == alone


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "masks"])
def test_each_setting_is_written_as_it_was(name: str) -> None:
    other = TransferSettings(**{name: other_value(name, SETTINGS[name].default)})
    table = TaskTable.of(
        task(f"{n}.png", **{name: getattr(each, name)}) for n, each in enumerate((TransferSettings(), other))
    )
    expected = [canonical(t.content, t.styles, t.settings, t.weights, t.format, t.start) for t in table]
    assert bulk(table) == expected == [t.id for t in table]


def test_masks_count_where_settings_heed_them() -> None:
    """The same rows, with one variant that heeds masks and one that does not."""
    sources = SourceTable.of([masked(ONE), masked(OTHER)])
    variants = Variants([Variant(TransferSettings(masks=each), FILE) for each in (True, False)])
    rows = list(itertools.product((0, 1), (0, 1), (0, 1)))
    contents, groups, variant_of = np.array(rows).T
    found = ids_of(sources, [(Share(0),), (Share(1),)], variants, (contents, groups, variant_of, np.full(8, NONE)))
    for (content, group, variant), digest in zip(rows, found, strict=True):
        one, two = (sources.source(row, masked=not variant) for row in (content, group))
        expected = task_id(one, [Style(two)], variants[variant].settings, FILE)
        assert digest.tobytes().hex() == expected


def test_no_tasks_have_no_ids() -> None:
    nothing = np.zeros(0, np.int64)
    assert ids_of(SourceTable.of([]), [], Variants([]), (nothing, nothing, nothing, nothing)).shape == (0, 16)


def test_what_was_added_later_is_no_news_where_it_says_what_was_done_before() -> None:
    settings, later = TransferSettings(), {name for name, item in SETTINGS.items() if item.metadata.get("added")}
    assert "history_precision" in later
    assert set(told(settings)) == set(SETTINGS) - later
    assert "history_precision" in told(TransferSettings(history_precision="bf16"))


def other_value(name: str, value: Any) -> Any:
    """A valid value for the setting that differs from ``value``."""
    words = {
        "fit": "short", "gram_norm": "n", "init": "noise", "pooling": "avg", "clamp": "end", "precision": "fp64",
        "scales": (64, 128), "scale_shares": (2.0, 1.0), "stop": Stop(), "style_statistic": "w2", "tv": "l1",
        "balance": "none", "color": "content", "color_method": "luminance", "color_transform": "pca",
        "padding": "reflect", "optimizer": "adam", "line_search": "strong_wolfe", "metric": "smooth",
        "adam_betas": (0.5, 0.9), "content_layer_weights": (2.0,), "strength": 0.9, "init_noise": 0.5,
        "averaging": 0.9, "history": "auto", "history_precision": "bf16",
        "content_layers": ("conv2_2",),
        "style_layers": ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_2"),
        "style_layer_weights": (1.0, 2.0, 3.0, 4.0, 5.0),
    }  # fmt: skip
    if name in words:
        return words[name]
    return not value if isinstance(value, bool) else value + 1


@pytest.mark.parametrize("name", list(SETTINGS))
def test_every_setting_is_part_of_the_id(name: str) -> None:
    settings, picture = TransferSettings(), Source("a.png", "0" * 64, 1)
    changed = dataclasses.replace(settings, **{name: other_value(name, getattr(settings, name))})
    ids = {task_id(picture, [Style(picture)], each, FILE) for each in (settings, changed)}
    assert len(ids) == 2 and all(len(identity) == 32 for identity in ids)


def test_the_id_is_of_what_changes_pixels_and_nothing_else() -> None:
    one, other = Source("a.png", "0" * 64, 1, 5, 5), Source("b/c.jpg", "0" * 64, 1)
    content, settings, mask = Source("a.png", "1" * 64, 1), TransferSettings(), Source("m.png", "2" * 64, 1)
    same = {task_id(content, [Style(picture)], settings, FILE) for picture in (one, other)}
    same |= {task_id(content, [Style(one)], settings, FILE, OutputFormat(".png", quality=q)) for q in (10, 95)}
    assert len(same) == 1
    caffe = dataclasses.replace(FILE, format="caffe")
    differing = [
        task_id(content, [Style(one)], settings, FILE),
        task_id(one, [Style(content)], settings, FILE),
        task_id(content, [Style(one)], settings, dataclasses.replace(FILE, digest="cd" * 32)),
        task_id(content, [Style(one)], settings, caffe),
        task_id(content, [Style(one)], settings, FILE, OutputFormat(".jpg")),
        task_id(content, [Style(one)], settings, FILE, OutputFormat(".jpg", quality=80)),
        task_id(content, [Style(one)], settings, FILE, OutputFormat(".png", bits=16)),
        task_id(content, [Style(one, 2.0)], settings, FILE),
        task_id(content, [Style(one, region="#ff0000")], settings, FILE),
        task_id(content, [Style(one), Style(content)], settings, FILE),
        task_id(dataclasses.replace(content, mask=mask), [Style(one)], settings, FILE),
        task_id(content, [Style(dataclasses.replace(one, mask=mask))], settings, FILE),
        task_id(content, [Style(one)], settings, FILE, start=one),
    ]
    assert len(set(differing)) == len(differing)


def test_a_new_algorithm_version_is_a_new_id(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Source("a.png", "0" * 64, 1)
    before = task_id(picture, [Style(picture)], TransferSettings(), FILE)
    monkeypatch.setattr(ids, "ALGORITHM_VERSION", 10_000)
    assert task_id(picture, [Style(picture)], TransferSettings(), FILE) != before
