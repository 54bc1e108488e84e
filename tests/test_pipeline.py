"""What is known before the first worker starts, weights above all."""

from __future__ import annotations

import builtins
import json
import os
import socket
from pathlib import Path

import pytest

from nst_batch.errors import ImageError, RunLocked, WeightsError
from nst_batch.pipeline import Choices, Pipeline, prepare
from nst_batch.planning.planned import read_plan
from nst_batch.transfer import weights as vgg_weights
from nst_batch.transfer.images import load_picture
from tests import runs


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline on a machine whose torch cache is empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    runs.make_pictures(tmp_path)
    return runs.write_pipeline(tmp_path, tmp_path / "unused")


class Network:
    """The border to the network: counts downloads, and serves a file or fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, up: bool) -> None:
        self.tries = 0
        self._up = up
        monkeypatch.setattr(vgg_weights, "fetch_torchvision", self._fetch)
        monkeypatch.setattr(vgg_weights, "_expected_digest", lambda: "")

    def _fetch(self) -> Path:
        self.tries += 1
        if not self._up:
            raise WeightsError("cannot download: no route", hint=vgg_weights.remedies())
        path = vgg_weights.torchvision_path()
        path.parent.mkdir(parents=True)
        path.write_bytes(b"stands for 548 MB")
        return path


def ready(file: Path, said: list[str], *, to_run: bool = True, weights: str = "vgg19") -> Pipeline:
    return prepare(file, {"weights": weights}, Choices(), said.append, to_run=to_run)


def test_the_original_weights_are_there_and_what_a_cache_holds_changes_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, said = Network(monkeypatch, up=True), list[str]()
    before = ready(file, said)
    network._fetch()
    after = ready(file, said)
    assert before.weights == after.weights == vgg_weights.VGG19 and not said
    assert {task.id for task in before.tasks} == {task.id for task in after.tasks}


def test_torchvisions_weights_are_downloaded_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, said = Network(monkeypatch, up=True), list[str]()
    assert ready(file, said, weights="torchvision").weights.name == "torchvision"
    assert any("downloading" in text for text in said)
    said.clear()
    assert ready(file, said, weights="torchvision").weights.name == "torchvision"
    assert network.tries == 1 and not said


def test_torchvisions_weights_are_never_replaced_by_others(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(monkeypatch, up=False)
    for to_run in (True, False):
        with pytest.raises(WeightsError) as caught:
            ready(file, [], weights="torchvision", to_run=to_run)
        assert "weights fetch" in caught.value.hint
    assert network.tries == 1 and not (file.parent / "out").exists()


def test_new_weights_are_new_tasks(file: Path) -> None:
    before, after = (ready(file, [], weights=name) for name in ("random", "vgg19"))
    assert {task.output for task in before.tasks} == {task.output for task in after.tasks}
    assert not {task.id for task in before.tasks} & {task.id for task in after.tasks}


def test_an_input_that_cannot_be_read_costs_its_own_tasks_only(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {task.output: task.id for task in ready(file, [], weights="random").tasks}
    real = builtins.open

    def locked(path: str, *args: object, **options: object) -> object:
        if Path(path).name == "c1.png":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **options)  # type: ignore[call-overload]

    with monkeypatch.context() as patched:
        patched.setattr(builtins, "open", locked)  # the tests may run as root, who may read everything
        after = {task.output: task.id for task in ready(file, [], weights="random").tasks}
    assert {output for output in before if before[output] != after[output]} == {"c1__s0.png", "c1__s1.png"}

    def refused(path: Path, *_: object) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(ImageError, match=r"c1\.png: may not be read: Permission denied"):
        load_picture(file.parent / "content" / "c1.png")


def planned(pipeline: Pipeline) -> dict[str, str]:
    return {each.output: each.id for each in read_plan(pipeline.paths)}


def test_the_plan_is_written_for_status(file: Path) -> None:
    pipeline = ready(file, [], weights="random")
    with pipeline.entered(print):
        assert planned(pipeline) == {task.output: task.id for task in pipeline.tasks}


def test_who_is_alone_clears_away_what_killed_runs_left(file: Path) -> None:
    pipeline = ready(file, [], weights="random")
    wanted, unwanted = pipeline.paths.checkpoint(pipeline.tasks[0].id), pipeline.paths.checkpoint("f" * 32)
    temporary = pipeline.paths.output(".c0.png.0123456789ab.nst-tmp")
    claim, dead = pipeline.paths.claim("c0__s0.png"), pipeline.paths.writer("dead")
    for path in (wanted, unwanted, temporary, claim, dead):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"machine": "gone"}))
    os.utime(dead, (0, 0))
    said: list[str] = []
    with pipeline.entered(said.append):
        there = [path.exists() for path in (wanted, unwanted, temporary, claim, dead)]
    assert there == [True, False, False, False, False] and "removed 1 temporary" in said[0]


def test_who_is_not_alone_clears_nothing_away_and_adds_to_the_plan(file: Path) -> None:
    first = ready(file, [], weights="random")
    said: list[str] = []
    with first.entered(said.append):
        claim = first.paths.claim("c0__s0.png")
        claim.parent.mkdir()
        claim.write_text("{}")
        runs.save_picture(file.parent / "content" / "new.png", seed=9)
        second = ready(file, [], weights="random")
        with second.entered(said.append):
            assert claim.exists() and set(planned(second)) == {task.output for task in second.tasks}
        (file.parent / "content" / "new.png").unlink()
        with ready(file, [], weights="random").entered(said.append):
            assert set(planned(second)) == {task.output for task in second.tasks}
    assert said == [f"night: sharing the work with process {os.getpid()} on {socket.gethostname()}"] * 2


def test_the_plan_does_not_grow_with_each_who_enters(file: Path) -> None:
    first = ready(file, [], weights="random")
    with first.entered(print):
        runs.save_picture(file.parent / "content" / "new.png", seed=9)
        tables = []
        for _ in range(3):
            with ready(file, [], weights="random").entered(print):
                tables.append(read_plan(first.paths))
    assert [(len(each), len(each.sources), len(each.variants)) for each in tables] == [(6, 5, 1)] * 3


def test_other_pictures_under_the_same_names_are_not_rendered_at_the_same_time(file: Path) -> None:
    with ready(file, [], weights="random").entered(print):
        other = prepare(file, {"transfer.steps": "7", "weights": "random"}, Choices(), print)
        with (
            pytest.raises(RunLocked, match=f"process {os.getpid()} on .* is rendering c0__s0.png"),
            other.entered(print),
        ):
            pass
    with other.entered(print):
        assert planned(other) == {task.output: task.id for task in other.tasks}


def test_a_listed_picture_that_is_missing_fails_alone(tmp_path: Path) -> None:
    """From lists and tables to pictures: rows in, one picture out, and one failure with its reason."""
    runs.make_pictures(tmp_path, contents=1, styles=1)
    weights = runs.save_weights(tmp_path / "vgg.pth")
    (tmp_path / "pairs.csv").write_text(
        "content,style,steps\ncontent/c0.png,style/s0.png,2\ncontent/gone.png,style/s0.png,\n"
    )
    by_table = runs.write_pipeline(tmp_path, weights, pairs="@pairs.csv", output__name="{bucket}/{content}.png")
    ended = runs.here("run", by_table, "--json")
    assert (ended.code, ended.json["done"], ended.json["failed"]) == (1, 1, 1)
    done, failed = sorted(runs.lines(tmp_path / "out"), key=lambda line: str(line["status"]))
    assert done["settings"]["steps"] == 2 and done["evaluations"] == 2
    assert "the file is gone" in failed["error"]["message"] and "gone.png" in failed["error"]["message"]
    (tmp_path / "list.txt").write_text("content/c0.png\ncontent/gone.png\n")
    by_list = runs.write_pipeline(
        tmp_path, weights, content="@list.txt", transfer__steps=2, output__name="{bucket}/{content}.png"
    )
    assert prepare(by_list, {}, Choices(), print).counts() == {"tasks": 2, "done": 1, "failed": 0, "todo": 1}
