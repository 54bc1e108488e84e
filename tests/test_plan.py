"""Tasks from specs: which, under what ids, under what names."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from nst_batch import ids
from nst_batch.errors import PlanError
from nst_batch.ids import task_id
from nst_batch.input_cache import InputCache
from nst_batch.plan import plan
from nst_batch.records import OutputFormat, Source, Style, Task, Weights
from nst_batch.settings import SETTINGS, Stop, TransferSettings
from nst_batch.source_table import SourceTable
from nst_batch.spec import load_spec
from nst_batch.task_table import TaskTable
from nst_batch.transfer.weights import EMBEDDED
from tests import runs

FILE = Weights("vgg.pth", "ab" * 32, "vgg.pth")


def sources(paths: Sequence[str]) -> SourceTable:
    """As the cache gives them, but always 64x48 px."""
    found = InputCache(Path("/no/cache")).sources(paths)
    return dataclasses.replace(found, widths=found.widths * 0 + 64, heights=found.heights * 0 + 48)


def planned(folder: Path, text: str, weights: Weights = FILE) -> TaskTable:
    (folder / "pipeline.yaml").write_text("name: n\n" + text)
    return plan(load_spec(folder / "pipeline.yaml"), sources, weights)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    runs.make_pictures(tmp_path, contents=3, styles=3)
    return tmp_path


def outputs(tasks: TaskTable) -> list[str]:
    return [task.output for task in tasks]


BOTH = "content: content\nstyle: style\n"


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
    assert len(tasks) == 8 and [task.settings.steps for task in tasks] == [3] * 6 + [150] * 2
    assert outputs(tasks)[:2] == ["c0__s0__style_weight=1000.png", "c0__s0__style_weight=10000.png"]


def test_auto_pooling_is_resolved_by_the_weights(folder: Path) -> None:
    assert {task.settings.pooling for task in planned(folder, BOTH)} == {"max"}
    assert {task.settings.pooling for task in planned(folder, BOTH, EMBEDDED)} == {"avg"}


def test_what_was_added_later_is_no_news_where_it_says_what_was_done_before() -> None:
    settings, later = TransferSettings(), {name for name, item in SETTINGS.items() if item.metadata.get("added")}
    assert "history_precision" in later
    assert set(settings.for_ids()) == set(SETTINGS) - later
    assert "history_precision" in TransferSettings(history_precision="bf16").for_ids()


def other_value(name: str, value: Any) -> Any:
    """A valid value for the setting that differs from ``value``."""
    words = {
        "fit": "short", "gram_norm": "n", "init": "noise", "pooling": "max", "clamp": "end", "precision": "fp64",
        "scales": (64, 128), "scale_shares": (2.0, 1.0), "stop": Stop(), "style_statistic": "w2", "tv": "l1",
        "balance": "none", "color": "content", "color_method": "luminance", "color_transform": "pca",
        "padding": "reflect", "optimizer": "adam", "line_search": "strong_wolfe", "metric": "pixels",
        "adam_betas": (0.5, 0.9), "content_layer_weights": (2.0, 1.0), "strength": 0.9, "init_noise": 0.5,
        "averaging": 0.9, "history": "auto", "history_precision": "bf16",
        "content_layers": ("relu4_2", "conv2_2"),
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


@pytest.mark.parametrize(
    ("first", "second", "hint"),
    [
        ("a.png", "a.jpg", "{content_suffix}"),
        ("x/a.png", "y/a.png", "{content_folder}"),
        ("a.png", "A.png", "{task}"),
        (unicodedata.normalize("NFC", "é.png"), unicodedata.normalize("NFD", "é.png"), "{task}"),
    ],
)
def test_names_that_are_one_file_somewhere_are_refused(tmp_path: Path, first: str, second: str, hint: str) -> None:
    runs.make_pictures(tmp_path, contents=0, styles=1)
    for seed, name in enumerate((first, second)):
        path = tmp_path / "content" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(str(seed).encode())
    text = "content: content/**\nstyle: style\n"
    with pytest.raises(PlanError, match="two tasks would write") as caught:
        planned(tmp_path, text)
    assert hint in caught.value.hint
    assert len(set(outputs(planned(tmp_path, text + "output: {name: '{content}_{task}.png'}\n")))) == 2


@pytest.mark.parametrize(
    "name",
    [
        "../{content}.png",
        "/tmp/{content}.png",
        "a/../../{content}.png",
        "manifest/{content}.png",
        "state/x.png",
        "Manifest/x.png",
        "./state/a/x.png",
    ],
)
def test_names_that_leave_the_folder_are_refused(folder: Path, name: str) -> None:
    with pytest.raises(PlanError, match=r"output\.name"):
        planned(folder, f"content: content/c0.png\nstyle: style/s0.png\noutput: {{name: '{name}'}}\n")


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("with space", "with space__s0.png"),
        ('it\'s "quoted"', 'it\'s "quoted"__s0.png'),
        ("line\nbreak", "line_break__s0.png"),
        ("-rf", "-rf__s0.png"),
        ("🌊", "🌊__s0.png"),
        ("{style}", "{style}__s0.png"),
        ("v1.2", "v1.2__s0.png"),
    ],
)
def test_hostile_file_names_give_names_that_work(tmp_path: Path, stem: str, expected: str) -> None:
    runs.make_pictures(tmp_path, contents=0, styles=1)
    (tmp_path / "content" / f"{stem}.png").write_bytes(b"x")
    assert outputs(planned(tmp_path, BOTH)) == [expected]


def test_long_file_names_are_cut_and_stay_apart(tmp_path: Path) -> None:
    runs.make_pictures(tmp_path, contents=0, styles=1)
    for last in "ab":
        (tmp_path / "content" / f"{'ä' * 120}{last}.png").write_bytes(b"x")
    found = outputs(planned(tmp_path, BOTH))
    assert len(set(found)) == 2 and all(len(name.encode()) < 120 for name in found)


def test_a_name_too_long_for_a_file_system_is_refused(folder: Path) -> None:
    with pytest.raises(PlanError, match="longer than"):
        planned(folder, f"{BOTH}output: {{name: '{'x' * 240}{{content}}.png'}}\n")


def conv_operations(layers: int, width: int, height: int) -> float:
    """Multiply-adds of VGG-19's first convolutions, counted layer by layer."""
    channels = [64, 64, 128, 128, 256, 256, 256, 256, *[512] * 8]
    blocks = [0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4]
    before = [3, *channels]
    return float(sum(2 * 9 * before[i] * channels[i] * (width * height) / 4 ** blocks[i] for i in range(layers)))


@pytest.mark.parametrize(
    ("layer", "layers", "gram"),
    [("conv1_1", 1, 64**2), ("relu2_1", 3, 128**2 / 4), ("conv5_4", 16, 512**2 / 4**4)],
)
def test_cost_is_convolutions_and_gram_matrices_forward_and_back(layer: str, layers: int, gram: float) -> None:
    settings = TransferSettings(size=64, steps=10, content_layers=(layer,), style_layers=(layer,), octaves=1, scales=())
    picture = Source("a.png", "0" * 64, 1, 128, 96)
    expected = 10 * 2 * (conv_operations(layers, 64, 48) + 2 * gram * 64 * 48)
    unknown = dataclasses.replace(picture, width=0, height=0)
    tasks = TaskTable.of(Task("0" * 32, each, (Style(each),), settings, FILE, "a.png") for each in (picture, unknown))
    assert tasks.costs.tolist() == [pytest.approx(expected, rel=1e-9), 0]


def test_each_file_is_asked_for_once(folder: Path) -> None:
    asked: list[str] = []

    def asking(paths: Sequence[str]) -> SourceTable:
        asked.extend(paths)
        return sources(paths)

    (folder / "pipeline.yaml").write_text("name: n\n" + BOTH)
    plan(load_spec(folder / "pipeline.yaml"), asking, FILE)
    assert len(asked) == len(set(asked)) == 6


@pytest.mark.parametrize(
    ("first", "second", "name", "hint"),
    [
        ("a.png", "b.png", "{style}.png", "{content}"),
        ("a.png", "a.jpg", "{content}.png", "{content_suffix}"),
        ("a.png", "a.jpg", "{content}{content_suffix}_.png", ""),
        ("x/a.png", "y/a.png", "{content}.png", "{content_folder}/"),
        ("x/in/a.png", "y/in/a.png", "{content}.png", "{task}"),
        ("a\tb.png", "a_b.png", "{content}.png", "{task}"),
        ("a.png", "A.png", "{content}{sweep}.png", "{task}"),
    ],
)
def test_the_hint_is_a_placeholder_that_helps(tmp_path: Path, first: str, second: str, name: str, hint: str) -> None:
    runs.make_pictures(tmp_path, contents=0, styles=1)
    for seed, file in enumerate((first, second)):
        path = tmp_path / "content" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(str(seed).encode())
    text = "content: content/**\nstyle: style\noutput: {{name: '{}'}}\n"
    if hint:
        with pytest.raises(PlanError) as caught:
            planned(tmp_path, text.format(name))
        assert hint in caught.value.hint
    assert len(planned(tmp_path, text.format(hint + name))) == 2


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("{content}{sweep}.png", "add {init} and {seed} to output.name, or {task}"),
        ("{content}_{seed}.png", ""),
        ("{content}_{init}.png", ""),
        ("{content}_{task}.png", ""),
    ],
)
def test_the_hint_names_settings_of_rows(folder: Path, name: str, hint: str) -> None:
    """They are no part of ``{sweep}``."""
    rows = ["content/c0.png,style/s0.png,1,gray", "content/c0.png,style/s0.png,2,noise"]
    (folder / "t.csv").write_text("\n".join(["content,style,seed,init", *rows]))
    text = f"pairs: '@t.csv'\noutput: {{name: '{name}'}}\n"
    if hint:
        with pytest.raises(PlanError, match="two tasks would write") as caught:
            planned(folder, text)
        assert hint in caught.value.hint
    else:
        assert len({task.output for task in planned(folder, text)}) == 2


def test_the_hint_names_what_is_swept(folder: Path) -> None:
    with pytest.raises(PlanError) as caught:
        planned(folder, BOTH + "sweep: {steps: [3, 4]}\noutput: {name: '{content}__{style}.png'}\n")
    assert "add {steps} to output.name" in caught.value.hint


def test_rows_of_a_table_are_tasks_in_their_order(folder: Path) -> None:
    rows = ["content/c2.png,style/s0.png,", "content/c0.png,style/s1.png,7", "content/c2.png,style/s2.png,7"]
    (folder / "t.csv").write_text("\n".join(["content,style,steps", *rows]))
    tasks = planned(folder, "pairs: '@t.csv'\nsweep: {seed: [1, 2]}\n")
    assert outputs(tasks)[::2] == ["c2__s0__seed=1.png", "c0__s1__seed=1.png", "c2__s2__seed=1.png"]
    assert [(task.settings.steps, task.settings.seed) for task in tasks] == [
        (150, 1), (150, 2), (7, 1), (7, 2), (7, 1), (7, 2),
    ]  # fmt: skip
    listed = "pairs:\n  - {content: content/c2.png, style: style/s0.png}\nsweep: {seed: [1, 2]}\n"
    assert planned(folder, listed) == tasks[:2]


def test_a_bucket_stays_whatever_the_settings_and_the_folder(folder: Path) -> None:
    name = "output: {name: '{bucket}/{content}__{style}__{steps}.png'}\n"
    one, other = (planned(folder, f"{BOTH}{name}transfer: {{steps: {steps}}}\n") for steps in (3, 4))
    buckets = [output.split("/")[0] for output in outputs(one)]
    assert buckets == [output.split("/")[0] for output in outputs(other)] and len(set(buckets)) > 5
    (folder / "content").rename(folder / "moved")
    moved = planned(folder, f"{BOTH.replace('content: content', 'content: moved')}{name}transfer: {{steps: 3}}\n")
    assert outputs(moved) == outputs(one)


def test_the_same_picture_twice_is_called_that(folder: Path) -> None:
    text = "pairs:\n  - &pair {content: content/c0.png, style: style/s0.png}\n  - *pair\n"
    with pytest.raises(PlanError, match="two tasks") as caught:
        planned(folder, text)
    assert "ask for it once" in caught.value.hint


def test_one_file_under_another_name_and_time_is_the_same_task(folder: Path) -> None:
    one = "content: content/c0.png\nstyle: style/s0.png\n"
    (before,) = planned(folder, one)
    (folder / "elsewhere").mkdir()
    moved = (folder / "content" / "c0.png").rename(folder / "elsewhere" / "renamed.jpeg")
    os.utime(moved, (0, 0))
    (after,) = planned(folder, one.replace("content/c0.png", "elsewhere/renamed.jpeg") + "run: {devices: [cpu, cpu]}\n")
    assert before.id == after.id and before.output != after.output
    moved.write_bytes(moved.read_bytes() + b"\0")
    (changed,) = planned(folder, one.replace("content/c0.png", "elsewhere/renamed.jpeg"))
    assert changed.id != before.id


def test_the_order_of_files_changes_no_id(folder: Path) -> None:
    lists = [f"content: {each}\nstyle: style\n" for each in ("[content]", "[content/c2.png, content/c1.png, content]")]
    one, other = ({task.output: task.id for task in planned(folder, text)} for text in lists)
    assert one == other


def test_another_process_gives_the_same_ids(folder: Path) -> None:
    here = planned(folder, BOTH + "pairs: {sample: 2, seed: 3}\nsweep: {size: [32, 64]}\n", EMBEDDED)
    command = [sys.executable, "-m", "nst_batch", "plan", str(folder / "pipeline.yaml"), "--json"]
    environment = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": str(runs.REPOSITORY)}
    done = subprocess.run(
        [*command, "--set", "weights=random"], capture_output=True, text=True, env=environment, check=True
    )
    there = json.loads(done.stdout)["decisions"]
    assert {(task.id, task.output) for task in here} == {(each["task"], each["output"]) for each in there}


def test_names_hold_settings_folders_and_endings(folder: Path) -> None:
    name = (
        "{style_folder}/{content_folder}_{content}_{content_suffix}_{size}_{guard}_{style_weight}_{style_layers}.webp"
    )
    (only,) = planned(
        folder,
        "content: content/c0.png\nstyle: style/s0.png\ntransfer: {style_layers: [relu1_1, relu2_1], size: 64}\n"
        f"output: {{name: '{name}'}}\n",
    )
    assert only.output == "style/content_c0_png_64_on_3e+06_relu1_1+relu2_1.webp"


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
    assert (one.output, other.output) == ("c0__s0+s1.png", "c1__s0+s1.png")
    assert [(Path(style.source.path).name, style.weight) for style in one.styles] == [("s0.png", 3.0), ("s1.png", 1.0)]
    (alone,) = planned(folder, "pairs: [{content: content/c0.png, styles: [{path: style/s0.png, weight: 7}]}]\n")
    (plain,) = planned(folder, "pairs: [{content: content/c0.png, style: style/s0.png}]\n")
    assert alone.id == plain.id  # alone, a weight changes nothing


def test_masks_are_part_of_a_task_unless_told_otherwise(folder: Path) -> None:
    runs.save_picture(folder / "content" / "c0.mask.png", seed=3)
    first, *_, last = planned(folder, BOTH)
    assert first.content.mask is not None and last.content.mask is None
    assert first.output == "c0__s0.png"
    without, *_ = planned(folder, BOTH + "transfer: {masks: false}\n")
    assert without.content.mask is None and without.id != first.id
    runs.save_picture(folder / "content" / "c0.mask.png", seed=4)
    again, *_ = planned(folder, BOTH)
    assert again.id != first.id


def test_each_task_can_start_from_a_picture_of_its_own(folder: Path) -> None:
    (folder / "before").mkdir()
    for number in range(3):
        runs.save_picture(folder / "before" / f"c{number}__s0.png", seed=number)
    text = "content: content\nstyle: style/s0.png\ntransfer: {init: 'before/{content}__{style}.png'}\n"
    tasks = planned(folder, text)
    starts = [task.start for task in tasks]
    assert [Path(start.path).name for start in starts if start] == [f"c{number}__s0.png" for number in range(3)]
    assert {task.settings.init for task in tasks} == {"file"}
    runs.save_picture(folder / "before" / "c1__s0.png", seed=9)
    changed = [a.id != b.id for a, b in zip(tasks, planned(folder, text), strict=True)]
    assert changed == [False, True, False]
    (folder / "before" / "c2__s0.png").unlink()
    assert len(planned(folder, text)) == 3  # its task fails, and says why


def test_cost_counts_every_scale() -> None:
    picture = Source("a.png", "0" * 64, 1, 400, 300)
    one, two = TaskTable.of(
        Task("0" * 32, picture, (Style(picture),), settings, FILE, "a.png")
        for scales in ((), (200,))
        for settings in [TransferSettings(size=400, steps=100, scales=scales, scale_shares=(1, 3), octaves=1)]
    ).costs
    assert two / one == pytest.approx(0.25 * 0.25 + 0.75)


def test_the_output_format_is_planned(folder: Path) -> None:
    task, *_ = planned(folder, BOTH + "output: {name: '{content}{style}.webp', quality: 80}\n")
    assert task.format == OutputFormat(".webp", 8, 80)
