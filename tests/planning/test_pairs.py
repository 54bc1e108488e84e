"""Which content meets which style."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from nst_batch.pipeline_file.spec import load_spec
from nst_batch.planning import pairs
from nst_batch.planning.pairs import StyleFile, pairs_of
from tests import runs
from tests.plans import BOTH, outputs, planned


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    runs.make_pictures(tmp_path, contents=3, styles=3)
    return tmp_path


def asked(folder: Path, text: str) -> list[tuple[str, tuple[tuple[str, float, str], ...], int]]:
    """Each pair: names of its files, and which settings of its own it has."""
    (folder / "pipeline.yaml").write_text("name: n\n" + text)
    found = pairs_of(load_spec(folder / "pipeline.yaml"))
    assert all(column.dtype == np.int64 for column in (found.content_of, found.group_of, found.override_of))
    return [
        (
            Path(found.contents[content]).stem,
            tuple((Path(s.path).stem, s.weight, s.region) for s in found.groups[group]),
            override,
        )
        for content, group, override in zip(found.content_of, found.group_of, found.override_of, strict=True)
    ]


def plain(content: str, style: str) -> tuple[str, tuple[tuple[str, float, str], ...], int]:
    return content, ((style, 1.0, ""),), 0


def test_product_zip_and_sample_are_in_the_order_of_the_file(folder: Path) -> None:
    every = [(f"c{c}", f"s{s}") for c in range(3) for s in range(3)]
    assert asked(folder, BOTH) == [plain(*each) for each in every]
    assert asked(folder, BOTH + "pairs: zip\n") == [plain(f"c{n}", f"s{n}") for n in range(3)]
    assert asked(folder, BOTH + "pairs: {sample: 3}\n") == [plain(*each) for each in every]
    drawn = asked(folder, BOTH + "pairs: {sample: 2}\n")
    assert [each[0] for each in drawn] == ["c0", "c0", "c1", "c1", "c2", "c2"] and drawn == sorted(drawn)


def test_pairs_one_by_one_name_each_file_and_group_once(folder: Path) -> None:
    text = """pairs:
  - {content: [content/c1.png, content/c0.png], style: [style/s0.png, style/s1.png], steps: 3}
  - {content: content/c1.png, styles: [{path: style/s0.png, weight: 2}, {path: style/s1.png, region: '#ff0000'}]}
  - {content: content/c0.png, style: style/s0.png}
"""
    blend = (("s0", 2.0, ""), ("s1", 1.0, "#ff0000"))
    alone = [(content, ((style, 1.0, ""),), 0) for content in ("c1", "c0") for style in ("s0", "s1")]
    assert asked(folder, text) == [*alone, ("c1", blend, 1), ("c0", (("s0", 1.0, ""),), 2)]
    found = pairs_of(load_spec(folder / "pipeline.yaml"))
    assert (len(found.contents), len(found.groups)) == (2, 3)
    assert found.overrides == [{"steps": 3}, {}, {}]


def test_a_file_under_two_names_is_two(folder: Path) -> None:
    (folder / "content" / "z.png").symlink_to("c0.png")
    assert [each[0] for each in asked(folder, "content: content\nstyle: style/s0.png\n")] == ["c0", "c1", "c2", "z"]


# --- drawing


@pytest.mark.parametrize(("count", "many"), [(1, 1), (5, 1), (5, 2), (5, 5), (1000, 3), (1000, 1000)])
def test_what_is_drawn_is_there_and_none_twice(count: int, many: int) -> None:
    for key in (b"a", b"0/b.png", b""):
        found = pairs._drawn(key, count, many)
        assert len(set(found)) == len(found) == many and set(found) <= set(range(count))
        assert found == pairs._drawn(key, count, many)
        assert found[:1] == pairs._drawn(key, count, 1)  # drawing more keeps the first


def test_each_is_drawn_as_often_as_others() -> None:
    for many in (1, 3):
        drawn = Counter(place for n in range(6000) for place in pairs._drawn(b"%d" % n, 7, many))
        assert len(drawn) == 7
        assert all(abs(times - 6000 * many / 7) < 0.15 * 6000 * many / 7 for times in drawn.values())


def test_what_is_drawn_is_the_same_in_every_version(folder: Path) -> None:
    """Else everybody's samples would be rendered again."""
    assert pairs._drawn(b"0/c0.png", 1000, 3) == [931, 543, 104]
    word = hashlib.blake2b(b"k", digest_size=8, salt=(1).to_bytes(16, "little")).digest()
    assert pairs._word(b"k", 1) == int.from_bytes(word, "little")


def test_a_style_file_has_a_weight_and_no_region() -> None:
    assert StyleFile("s") == ("s", 1.0, "", 0)


# --- samples of trees


def tree(folder: Path, contents: int, styles: int) -> str:
    """So many contents in each of six folders, which are called alike there."""
    for split in ("train", "val"):
        for kind in ("n01", "n02", "n03"):
            (folder / "data" / split / kind).mkdir(parents=True)
            for number in range(contents):
                (folder / "data" / split / kind / f"{number:04d}.jpg").write_bytes(b"x")
    (folder / "styles").mkdir()
    for number in range(styles):
        (folder / "styles" / f"{number}.jpg").write_bytes(b"x")
    return "content: data/*/*/*.jpg\nstyle: styles\n"


def test_pictures_that_are_called_alike_draw_for_themselves(tmp_path: Path) -> None:
    text = tree(tmp_path, 10, 30) + "pairs: {sample: 1}\n"
    drawn = [style for _, ((style, *_),), _ in asked(tmp_path, text)]
    assert len(set(drawn)) > 20, "60 draws of 30: 26 are expected"
    assert len({tuple(drawn[first : first + 10]) for first in range(0, 60, 10)}) == 6
    here = asked(tmp_path, text)
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    assert asked(tmp_path, text.replace("data/", "elsewhere/")) == here


@pytest.mark.parametrize(
    ("contents", "styles", "many"), [(5, 4, 1), (5, 7, 1), (5, 7, 3), (1, 7, 2), (5, 4, 4), (2, 1, 1)]
)
def test_a_balanced_sample_has_each_style_as_often(tmp_path: Path, contents: int, styles: int, many: int) -> None:
    text = tree(tmp_path, contents, styles) + f"pairs: {{sample: {many}, balanced: true, seed: 3}}\n"
    found = asked(tmp_path, text)
    often = Counter(style for _, ((style, *_),), _ in found)
    assert len(found) == 6 * contents * many and set(often) <= {str(number) for number in range(styles)}
    assert max(often.values()) - min(often[str(number)] for number in range(styles)) <= 1
    of_each = [tuple(style for _, ((style, *_),), _ in found[n : n + many]) for n in range(0, len(found), many)]
    assert all(len(set(each)) == many for each in of_each)
    assert (
        asked(tmp_path, text) == found and asked(tmp_path, text.replace("seed: 3", "seed: 4")) != found
    ) or styles == many


def test_contents_that_come_behind_change_no_balanced_draw(tmp_path: Path) -> None:
    text = tree(tmp_path, 2, 5) + "pairs: {sample: 1, balanced: true}\n"
    before = asked(tmp_path, text)
    (tmp_path / "data" / "val" / "n03" / "9.jpg").write_bytes(b"x")
    after = asked(tmp_path, text)
    assert len(after) == len(before) + 1 and after[: len(before)] == before


def test_product_and_zip(folder: Path) -> None:
    assert len(planned(folder, BOTH)) == 9
    assert outputs(planned(folder, BOTH + "pairs: zip\n")) == ["c0__s0.png", "c1__s1.png", "c2__s2.png"]


def test_a_sample_is_stable_when_contents_are_added(folder: Path) -> None:
    text = BOTH + "pairs: {sample: 2, seed: 1}\n"
    before = outputs(planned(folder, text))
    assert len(before) == len(set(before)) == 6
    runs.save_picture(folder / "content" / "b9.png", seed=9)
    assert set(before) < set(outputs(planned(folder, text)))
    drawn = {tuple(outputs(planned(folder, BOTH + f"pairs: {{sample: 1, seed: {seed}}}\n"))) for seed in range(12)}
    assert len(drawn) > 3


def test_explicit_pairs_with_settings_of_their_own_and_a_sweep(folder: Path) -> None:
    tasks = planned(
        folder,
        "pairs:\n  - {content: content/c0.png, style: style, steps: 3}\n"
        "  - {content: content/c1.png, style: style/s0.png}\n"
        "sweep: {style_weight: [1e3, 1e4]}\n",
    )
    assert len(tasks) == 8 and [task.settings.steps for task in tasks] == [3] * 6 + [120] * 2
    assert outputs(tasks)[:2] == ["c0__s0__style_weight=1000.png", "c0__s0__style_weight=10000.png"]


def test_rows_of_a_table_are_tasks_in_their_order(folder: Path) -> None:
    rows = ["content/c2.png,style/s0.png,", "content/c0.png,style/s1.png,7", "content/c2.png,style/s2.png,7"]
    (folder / "t.csv").write_text("\n".join(["content,style,steps", *rows]))
    tasks = planned(folder, "pairs: '@t.csv'\nsweep: {seed: [1, 2]}\n")
    assert outputs(tasks)[::2] == ["c2__s0__seed=1.png", "c0__s1__seed=1.png", "c2__s2__seed=1.png"]
    assert [(task.settings.steps, task.settings.seed) for task in tasks] == [
        (120, 1), (120, 2), (7, 1), (7, 2), (7, 1), (7, 2),
    ]  # fmt: skip
    listed = "pairs:\n  - {content: content/c2.png, style: style/s0.png}\nsweep: {seed: [1, 2]}\n"
    assert planned(folder, listed) == tasks[:2]


def test_a_pairs_own_settings_are_swept_over(folder: Path) -> None:
    tasks = planned(
        folder,
        "pairs:\n  - {content: content/c0.png, style: style/s0.png, size: 99, steps: 3}\nsweep: {size: [32, 64]}\n",
    )
    assert [(task.settings.size, task.settings.steps) for task in tasks] == [(32, 3), (64, 3)]


def test_a_sample_is_the_same_in_another_place(tmp_path: Path) -> None:
    drawn = []
    for place in ("here", "there"):
        runs.make_pictures(tmp_path / place, contents=8, styles=8)
        drawn.append(outputs(planned(tmp_path / place, BOTH + "pairs: {sample: 2}\n")))
    assert drawn[0] == drawn[1]


def test_several_styles_are_one_task_named_after_all(folder: Path) -> None:
    blend = "styles: [{path: style/s0.png, weight: 3}, {path: style/s1.png}]"
    one, other = planned(folder, f"pairs: [{{content: [content/c0.png, content/c1.png], {blend}}}]\n")
    assert (one.output, other.output) == ("images/c0__s0+s1.png", "images/c1__s0+s1.png")
    assert [(Path(style.source.path).name, style.weight) for style in one.styles] == [("s0.png", 3.0), ("s1.png", 1.0)]
    (alone,) = planned(folder, "pairs: [{content: content/c0.png, styles: [{path: style/s0.png, weight: 7}]}]\n")
    (plain,) = planned(folder, "pairs: [{content: content/c0.png, style: style/s0.png}]\n")
    assert alone.id == plain.id  # alone, a weight changes nothing
