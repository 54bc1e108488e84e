"""Rendering one task: what a result holds, and that errors become results."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest
from PIL import Image

from nst_batch import __version__, manifest
from nst_batch.errors import Interrupted
from nst_batch.inputs import InputCache
from nst_batch.messages import Job, Progress
from nst_batch.paths import RunPaths
from nst_batch.records import Style, Task
from nst_batch.settings import TransferSettings
from nst_batch.transfer.weights import EMBEDDED
from nst_batch.worker import Renderer
from tests import runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("worker")
    runs.make_pictures(root, contents=2, styles=1)
    (root / "content" / "letter.png").write_text("Dear diary")
    return root


@pytest.fixture(scope="module")
def renderer(folder: Path) -> Renderer:
    return Renderer(RunPaths(folder / "out"), EMBEDDED, "cpu", threads=1)


def task(folder: Path, output: str, content: str = "c0.png", steps: int = 4) -> Task:
    source = InputCache(folder / "none").source
    settings = TransferSettings(size=32, steps=steps)
    identity = hashlib.blake2b(output.encode(), digest_size=16).hexdigest()
    styles = (Style(source(folder / "style" / "s0.png")),)
    return Task(identity, source(folder / "content" / content), styles, settings, EMBEDDED, output)


def silent(_: Progress) -> None:
    pass


def test_a_done_result_tells_what_is_in_the_file(folder: Path, renderer: Renderer) -> None:
    seen: list[Progress] = []
    each = task(folder, "sub/a.png")
    result = renderer.render(Job(each, attempt=3), seen.append)
    data = (folder / "out" / "sub" / "a.png").read_bytes()
    assert (result.status, result.error, result.attempt) == ("done", None, 3)
    assert (result.bytes, result.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert (result.width, result.height, result.evaluations) == (32, 32, 4)
    assert result.losses is not None and result.losses.total > 0
    assert result.started < result.finished and result.seconds > 0
    assert result.versions["nst_batch"] == __version__ and {"torch", "torchvision", "python"} <= set(result.versions)
    assert [(p.task, p.step, p.steps) for p in (seen[0], seen[-1])] == [(each.id, 1, 4), (each.id, 4, 4)]
    with Image.open(folder / "out" / "sub" / "a.png") as image:
        note = json.loads(image.info["nst_batch"])
    assert note["task"] == each.id and note["settings"]["steps"] == 4 and note["content"] == "c0.png"


def test_a_bad_picture_is_a_failed_result(folder: Path, renderer: Renderer) -> None:
    result = renderer.render(Job(task(folder, "b.png", content="letter.png")), silent)
    assert result.status == "failed" and result.error is not None
    assert result.error.type == "ImageError" and "letter.png" in result.error.message and not result.error.transient
    assert not (folder / "out" / "b.png").exists()


def test_an_input_that_changed_since_planning_is_a_failed_result(folder: Path, renderer: Renderer) -> None:
    planned = task(folder, "c.png", content="c1.png")
    runs.save_picture(folder / "content" / "c1.png", seed=55)
    result = renderer.render(Job(planned), silent)
    assert result.error is not None and "changed while" in result.error.message


def test_a_file_of_somebody_elses_stays_as_it_is(folder: Path, renderer: Renderer) -> None:
    theirs = folder / "out" / "d.png"
    runs.save_picture(theirs, seed=1)
    before = theirs.read_bytes()
    result = renderer.render(Job(task(folder, "d.png")), silent)
    assert result.error is not None and result.error.type == "OutputError" and theirs.read_bytes() == before
    owned = renderer.render(Job(task(folder, "d.png"), owned=True), silent)
    assert owned.status == "done" and theirs.read_bytes() != before


def test_being_told_to_stop_writes_nothing(folder: Path, renderer: Renderer) -> None:
    def stop(_: Progress) -> None:
        raise Interrupted("told to stop")

    with pytest.raises(Interrupted):
        renderer.render(Job(task(folder, "e.png")), stop)
    assert not (folder / "out" / "e.png").exists() and not runs.temporaries(folder / "out")


def test_an_unforeseen_error_is_a_failed_result_that_may_pass(
    folder: Path, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("cuDNN is in a bad mood")

    monkeypatch.setattr("nst_batch.transfer.stylize.optimise", explode)
    result = renderer.render(Job(task(folder, "f.png")), silent)
    assert result.error is not None and result.error.transient
    assert (result.error.type, result.error.message) == ("RuntimeError", "cuDNN is in a bad mood")


def test_settings_that_diverge_fail_and_the_next_task_is_fine(folder: Path, renderer: Renderer) -> None:
    bad = task(folder, "g.png")
    settings = dataclasses.replace(
        bad.settings, balance="none", style_weight=3e38, style_layer_weights=(1e10,) * len(bad.settings.style_layers)
    )
    result = renderer.render(Job(dataclasses.replace(bad, settings=settings)), silent)
    assert result.error is not None and result.error.type == "DivergedError" and not result.error.transient
    assert renderer.render(Job(task(folder, "h.png")), silent).status == "done"


def test_the_manifest_tells_what_the_guard_did(folder: Path, renderer: Renderer) -> None:
    calm = task(folder, "h.png", steps=15)
    wild = dataclasses.replace(calm, settings=dataclasses.replace(calm.settings, learning_rate=50.0))
    for each, taken_back in ((calm, False), (wild, True)):
        result = renderer.render(Job(each), silent)
        record = json.loads(manifest.line(each, result))
        assert (record["taken_back"] + record["restarts"] > 0) == taken_back
        assert record["balance"]["remaining"] > 0 and record["scales"] == [[32, 32, 15]]
