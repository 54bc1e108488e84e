"""Tasks from specs: which, under what ids, under what names."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from nst_batch.pipeline_file.spec import load_spec
from nst_batch.planning.plan import plan
from nst_batch.planning.source_table import SourceTable
from nst_batch.planning.task_table import TaskTable
from nst_batch.records import OutputFormat, Source, Style, Task
from nst_batch.settings import TransferSettings
from nst_batch.transfer.weights import RANDOM
from tests import runs
from tests.plans import BOTH, FILE, planned, sources


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    runs.make_pictures(tmp_path, contents=3, styles=3)
    return tmp_path


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
    here = planned(folder, BOTH + "pairs: {sample: 2, seed: 3}\nsweep: {size: [32, 64]}\n", RANDOM)
    command = [sys.executable, "-m", "nst_batch", "plan", str(folder / "pipeline.yaml"), "--json"]
    environment = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": str(runs.REPOSITORY)}
    done = subprocess.run(
        [*command, "--set", "weights=random"], capture_output=True, text=True, env=environment, check=True
    )
    there = json.loads(done.stdout)["decisions"]
    assert {(task.id, task.output) for task in here} == {(each["task"], each["output"]) for each in there}


def test_masks_are_part_of_a_task_unless_told_otherwise(folder: Path) -> None:
    runs.save_picture(folder / "content" / "c0.mask.png", seed=3)
    first, *_, last = planned(folder, BOTH)
    assert first.content.mask is not None and last.content.mask is None
    assert first.output == "images/c0__s0.png"
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
