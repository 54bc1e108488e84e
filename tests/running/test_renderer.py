"""Rendering one task: what a result holds, and that errors become results."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nst_batch import __version__
from nst_batch.atomic import write_atomic
from nst_batch.errors import CompileError, Interrupted
from nst_batch.planning.input_cache import InputCache
from nst_batch.recorded import manifest
from nst_batch.records import Style, Task, TaskResult
from nst_batch.running import finishing
from nst_batch.running.messages import Job, Progress, WorkerOptions
from nst_batch.running.renderer import OnProgress, Renderer
from nst_batch.settings import Stop, TransferSettings
from nst_batch.transfer.member import Request
from nst_batch.transfer.native.library import Built
from nst_batch.transfer.stylize import Stylizer
from nst_batch.transfer.weights import RANDOM
from tests import runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("worker")
    runs.make_pictures(root, contents=2, styles=1)
    (root / "content" / "letter.png").write_text("Dear diary")
    return root


@pytest.fixture(scope="module")
def renderer(folder: Path) -> Renderer:
    return Renderer(WorkerOptions(folder / "out", RANDOM, threads=1, batch=8), "cpu")


def task(folder: Path, output: str, content: str = "c0.png", steps: int = 4, **more: Any) -> Task:
    source = InputCache(folder / "none").source
    settings = TransferSettings(**{"size": 32, "steps": steps, **more})
    identity = hashlib.blake2b(output.encode(), digest_size=16).hexdigest()
    styles = (Style(source(folder / "style" / "s0.png")),)
    return Task(identity, source(folder / "content" / content), styles, settings, RANDOM, output)


def render(renderer: Renderer, job: Job, on_progress: OnProgress = lambda _: None) -> TaskResult:
    (result,) = render_all(renderer, [job], on_progress)
    return result


def render_all(renderer: Renderer, jobs: list[Job], on_progress: OnProgress = lambda _: None) -> list[TaskResult]:
    results: list[TaskResult] = []
    renderer.render(jobs, on_progress, results.append)
    renderer.wait()
    return results


def test_a_done_result_tells_what_is_in_the_file(folder: Path, renderer: Renderer) -> None:
    seen: list[Progress] = []
    each = task(folder, "sub/a.png")
    result = render(renderer, Job(each, attempt=3), seen.append)
    data = (folder / "out" / "sub" / "a.png").read_bytes()
    assert (result.status, result.error, result.attempt) == ("done", None, 3)
    assert (result.bytes, result.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert (result.width, result.height, result.evaluations) == (32, 32, 4)
    assert result.losses is not None and result.losses.total > 0
    assert result.started < result.finished and result.seconds > 0 and result.precision == "fp32"
    assert result.versions["nst_batch"] == __version__ and {"torch", "torchvision", "python"} <= set(result.versions)
    assert [(p.tasks, p.step, p.steps) for p in (seen[0], seen[-1])] == [((each.id,), 1, 4), ((each.id,), 4, 4)]
    with Image.open(folder / "out" / "sub" / "a.png") as image:
        note = json.loads(image.info["nst_batch"])
    assert note["task"] == each.id and note["settings"]["steps"] == 4 and note["content"] == "c0.png"


def test_a_bad_picture_is_a_failed_result(folder: Path, renderer: Renderer) -> None:
    result = render(renderer, Job(task(folder, "b.png", content="letter.png")))
    assert result.status == "failed" and result.error is not None
    assert result.error.type == "ImageError" and "letter.png" in result.error.message and not result.error.transient
    assert not (folder / "out" / "b.png").exists()


def test_an_input_that_changed_since_planning_is_a_failed_result(folder: Path, renderer: Renderer) -> None:
    planned = task(folder, "c.png", content="c1.png")
    runs.save_picture(folder / "content" / "c1.png", seed=55)
    result = render(renderer, Job(planned))
    assert result.error is not None and "changed while" in result.error.message


def test_a_file_of_somebody_elses_stays_as_it_is(folder: Path, renderer: Renderer) -> None:
    theirs = folder / "out" / "d.png"
    runs.save_picture(theirs, seed=1)
    before = theirs.read_bytes()
    result = render(renderer, Job(task(folder, "d.png")))
    assert result.error is not None and result.error.type == "OutputError" and theirs.read_bytes() == before
    owned = render(renderer, Job(task(folder, "d.png"), owned=True))
    assert owned.status == "done" and theirs.read_bytes() != before


def test_being_told_to_stop_writes_nothing(folder: Path, renderer: Renderer) -> None:
    def stop(_: Progress) -> None:
        raise Interrupted("told to stop")

    with pytest.raises(Interrupted):
        render(renderer, Job(task(folder, "e.png")), stop)
    assert not (folder / "out" / "e.png").exists() and not runs.temporaries(folder / "out")


def stopping_at(step: int) -> OnProgress:
    def on_progress(progress: Progress) -> None:
        if progress.step >= step:
            raise Interrupted("told to stop")

    return on_progress


def kept(folder: Path, *tasks: Task) -> list[str]:
    """Which of these have a checkpoint, by output."""
    ids = {path.stem for path in (folder / "out" / "state" / "checkpoints").glob("*")}
    return [each.output for each in tasks if each.id in ids]


def test_what_was_begun_goes_on_where_it_was(folder: Path, renderer: Renderer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nst_batch.running.renderer.REPORT_SECONDS", 0.0)
    each = task(folder, "v.png", steps=12)
    expected = render(renderer, Job(dataclasses.replace(each, output="w.png")))
    with pytest.raises(Interrupted):
        render(renderer, Job(each), stopping_at(7))
    assert kept(folder, each) == [each.output]
    seen: list[Progress] = []
    result = render(renderer, Job(each), seen.append)
    assert (result.status, result.resumed, result.evaluations) == ("done", 7, 12) and seen[0].step == 8
    assert result.losses == expected.losses and kept(folder, each) == []
    assert Image.open(folder / "out" / "v.png").tobytes() == Image.open(folder / "out" / "w.png").tobytes()


def test_those_rendered_together_go_on_one_by_one(
    folder: Path, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nst_batch.running.renderer.REPORT_SECONDS", 0.0)
    tasks = [task(folder, f"x{number}.png", steps=12) for number in range(4)]
    with pytest.raises(Interrupted):
        render_all(renderer, [Job(each) for each in tasks[:2]], stopping_at(5))
    assert kept(folder, *tasks) == [each.output for each in tasks[:2]]
    found = {each.output: each for each in render_all(renderer, [Job(each) for each in tasks])}
    assert [found[f"x{number}.png"].resumed for number in range(4)] == [5, 5, 0, 0]
    assert [found[f"x{number}.png"].together for number in range(4)] == [1, 1, 2, 2]
    assert kept(folder, *tasks) == []


def test_a_checkpoint_is_kept_every_minute(folder: Path, renderer: Renderer, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a crash costs no more: here every evaluation, and the crash is an error."""
    monkeypatch.setattr("nst_batch.running.renderer.REPORT_SECONDS", 0.0)
    monkeypatch.setattr("nst_batch.running.renderer.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("nst_batch.running.renderer.CHECKPOINT_PATIENCE", 0.0)
    each = task(folder, "y.png", steps=12)

    def crash(progress: Progress) -> None:
        if progress.step == 9:
            raise RuntimeError("cuDNN is in a bad mood")

    result = render(renderer, Job(each), crash)
    assert result.error is not None and result.error.transient and kept(folder, each) == [each.output]
    again = render(renderer, Job(each, attempt=2))
    assert (again.status, again.resumed, again.evaluations) == ("done", 8, 12)


def test_a_damaged_checkpoint_costs_its_evaluations_and_no_more(folder: Path, renderer: Renderer) -> None:
    each = task(folder, "z.png")
    path = folder / "out" / "state" / "checkpoints" / f"{each.id}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half a check")
    result = render(renderer, Job(each))
    assert (result.status, result.resumed) == ("done", 0) and kept(folder, each) == []


def test_a_task_that_cannot_be_done_leaves_no_checkpoint(folder: Path, renderer: Renderer) -> None:
    each = task(folder, "aa.png", content="letter.png")
    path = folder / "out" / "state" / "checkpoints" / f"{each.id}.safetensors"
    path.write_bytes(b"half a check")
    assert render(renderer, Job(each)).status == "failed" and kept(folder, each) == []


def test_an_unforeseen_error_is_a_failed_result_that_may_pass(
    folder: Path, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("cuDNN is in a bad mood")

    monkeypatch.setattr("nst_batch.transfer.batch.optimise", explode)
    result = render(renderer, Job(task(folder, "f.png")))
    assert result.error is not None and result.error.transient
    assert (result.error.type, result.error.message) == ("RuntimeError", "cuDNN is in a bad mood")


def test_settings_that_diverge_fail_and_the_next_task_is_fine(folder: Path, renderer: Renderer) -> None:
    bad = task(folder, "g.png")
    settings = dataclasses.replace(
        bad.settings, balance="none", style_weight=3e38, style_layer_weights=(1e10,) * len(bad.settings.style_layers)
    )
    result = render(renderer, Job(dataclasses.replace(bad, settings=settings)))
    assert result.error is not None and result.error.type == "DivergedError" and not result.error.transient
    assert render(renderer, Job(task(folder, "h.png"))).status == "done"


def test_the_manifest_tells_what_the_guard_did(folder: Path, renderer: Renderer) -> None:
    calm = task(folder, "h.png", steps=15)
    wild = dataclasses.replace(calm, settings=dataclasses.replace(calm.settings, learning_rate=50.0))
    for each, taken_back in ((calm, False), (wild, True)):
        result = render(renderer, Job(each))
        record = json.loads(manifest.line(each, result))
        assert (record["taken_back"] + record["restarts"] > 0) == taken_back
        assert record["balance"]["remaining"] > 0 and record["scales"] == [[32, 32, 15]]


def test_tasks_given_together_are_rendered_together(folder: Path, renderer: Renderer) -> None:
    """The same pictures as alone, but for rounding; and progress that speaks of all of them."""
    seen: list[Progress] = []
    tasks = [task(folder, f"{name}.png", steps=6) for name in ("i", "j", "k")]
    results = render_all(renderer, [Job(each) for each in tasks], seen.append)
    assert [(each.status, each.output, each.together) for each in results] == [
        ("done", "i.png", 3), ("done", "j.png", 3), ("done", "k.png", 3)
    ]  # fmt: skip
    assert seen[-1].tasks == tuple(each.id for each in tasks) and seen[-1].step == 6
    alone = render(renderer, Job(task(folder, "l.png", steps=6)))
    assert alone.together == 1 and alone.losses is not None
    for each in results:
        assert each.losses is not None and each.losses.total == pytest.approx(alone.losses.total, rel=1e-3)
        assert hashlib.sha256((folder / "out" / each.output).read_bytes()).hexdigest() == each.sha256


def test_one_bad_picture_among_several_fails_by_itself(folder: Path, renderer: Renderer) -> None:
    jobs = [
        Job(task(folder, "m.png")), Job(task(folder, "n.png", content="letter.png")), Job(task(folder, "o.png")),
        Job(task(folder, "theirs.png")), Job(task(folder, "p.png")),
    ]  # fmt: skip
    runs.save_picture(folder / "out" / "theirs.png", seed=1)
    found = {each.output: each for each in render_all(renderer, jobs)}
    assert {output: each.error and each.error.type for output, each in found.items()} == {
        "m.png": None, "n.png": "ImageError", "o.png": None, "theirs.png": "OutputError", "p.png": None
    }  # fmt: skip


def test_where_memory_runs_out_fewer_are_rendered_at_once(
    folder: Path, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfer_all, sizes = Stylizer.transfer_all, list[int]()

    def small(self: Stylizer, requests: list[Request], *rest: Any) -> object:
        sizes.append(len(requests))
        if len(requests) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return transfer_all(self, requests, *rest)

    monkeypatch.setattr(Stylizer, "transfer_all", small)
    results = render_all(renderer, [Job(task(folder, f"q{number}.png")) for number in range(5)])
    assert sizes == [5, 2, 3, 1, 2]
    assert [(each.status, each.together) for each in results] == [
        ("done", 2), ("done", 2), ("done", 1), ("done", 2), ("done", 2)
    ]  # fmt: skip


def test_where_memory_runs_out_for_one_it_has_less_of_a_history(
    folder: Path, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfer_all, histories = Stylizer.transfer_all, list[int]()

    def small(self: Stylizer, requests: list[Request], *rest: Any) -> object:
        history = requests[0].settings.pairs(100)
        histories.append(history)
        if len(requests) > 1 or history > 10:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return transfer_all(self, requests, *rest)

    monkeypatch.setattr(Stylizer, "transfer_all", small)
    asked: dict[str, Any] = {"history": 100, "steps": 100, "stop": Stop(rel=0.99, window=2)}
    results = render_all(renderer, [Job(task(folder, f"l{number}.png", **asked)) for number in range(2)])
    assert histories == [100, 100, 25, 6, 100, 25, 6]
    assert [(each.status, each.given_up) for each in results] == [
        ("done", ("together 2 -> 1", "history 100 -> 25", "history 25 -> 6"))
    ] * 2
    killed_before = Job(task(folder, "m.png", **asked), attempt=2, thrift=2)
    (result,) = render_all(renderer, [killed_before])
    assert histories[-1] == 6 and result.given_up == ("history 100 -> 25", "history 25 -> 6")
    (result,) = render_all(renderer, [Job(task(folder, "n.png", history=5))])
    assert result.status == "done" and result.given_up == ()


def test_where_memory_runs_out_a_large_one_is_computed_in_strips_before_it_has_less_of_a_history(
    folder: Path, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfer_all, tried = Stylizer.transfer_all, list[tuple[int | None, int]]()

    def small(self: Stylizer, requests: list[Request], on_step: Any, rows: int | None) -> object:
        history = requests[0].settings.pairs(100)
        tried.append((rows, history))
        if rows is None or history > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return transfer_all(self, requests, on_step, rows)

    monkeypatch.setattr(Stylizer, "transfer_all", small)
    runs.save_picture(folder / "content" / "large.png", seed=9, size=256)
    each = task(folder, "large.png", "large.png", size=256, history=8, steps=8, stop=Stop(rel=0.99, window=2))
    (result,) = render_all(renderer, [Job(each)])
    assert tried == [(None, 8), (64, 8), (64, 4)]
    assert (result.status, result.strips, result.given_up) == ("done", 4, ("rows 256 -> 64", "history 8 -> 4"))


def test_where_nothing_is_left_to_give_up_it_says_what_would_fit(
    folder: Path, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(self: Stylizer, requests: list[Request], *rest: Any) -> object:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Stylizer, "transfer_all", small)
    monkeypatch.setattr("nst_batch.running.renderer.free", lambda: 1_000_000)
    (result,) = render_all(renderer, [Job(task(folder, "o.png", history=20, steps=100))])
    assert result.error is not None and (result.error.type, result.error.transient) == ("MemoryRanOut", True)
    said = r"ran out at 32 x 32 pixels, which take about 2 MB at least, and 1 MB are free; about 19 x 19 would fit"
    assert re.search(said, result.error.message), result.error.message
    assert result.given_up == ("history 20 -> 5", "history 5 -> 4")


def test_a_result_waits_for_its_file_and_the_device_does_not(
    folder: Path, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one picture is being written, the next is rendered."""
    written, rendered = threading.Event(), list[str]()
    write = write_atomic

    def slow(path: Path, data: bytes) -> None:
        if path.name == "r.png":
            assert written.wait(runs.PATIENCE_SECONDS)
        write(path, data)

    def on_progress(progress: Progress) -> None:
        rendered.append(progress.tasks[0])
        if progress.step == 4:
            written.set()

    monkeypatch.setattr(finishing, "write_atomic", slow)
    first, second = task(folder, "r.png"), task(folder, "s.png")
    results: list[TaskResult] = []
    renderer.render([Job(first)], lambda _: None, results.append)
    assert results == []
    renderer.render([Job(second)], on_progress, results.append)
    renderer.wait()
    assert set(rendered) == {second.id} and [each.output for each in results] == ["r.png", "s.png"]


def test_pictures_are_read_ahead(folder: Path, renderer: Renderer) -> None:
    runs.save_picture(folder / "content" / "c7.png", seed=77)
    each, bad = task(folder, "t.png", content="c7.png"), task(folder, "u.png", content="letter.png")
    renderer.read_ahead([bad, each])
    renderer._reader.submit(lambda: None).result()
    (folder / "content" / "c7.png").unlink()
    assert render(renderer, Job(each)).status == "done"
    assert render(renderer, Job(bad)).status == "failed"


def test_what_was_not_read_in_time_is_not_read_ahead_any_more(folder: Path, renderer: Renderer) -> None:
    goes_on, tasks = threading.Event(), dict[str, Task]()
    renderer._reader.submit(goes_on.wait)
    for name in ("c8.png", "c9.png"):
        runs.save_picture(folder / "content" / name, seed=int(name[1]))
        tasks[name] = task(folder, f"ahead-{name}", content=name)
        renderer.read_ahead([tasks[name]])
    goes_on.set()
    renderer._reader.submit(lambda: None).result()
    for name in tasks:
        (folder / "content" / name).unlink()
    assert [render(renderer, Job(each)).status for each in tasks.values()] == ["failed", "done"]


def test_compile_on_is_an_error_where_nothing_can_be_compiled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nst_batch.transfer.networks.built", lambda: Built(None, "no C++ compiler"))
    with pytest.raises(CompileError, match=r"no C\+\+ compiler") as error:
        Renderer(WorkerOptions(folder / "out", RANDOM, threads=1, compile="on"), "cpu")
    assert "run.compile" in error.value.hint
    assert "no C++ compiler" in Renderer(WorkerOptions(folder / "out", RANDOM, threads=1), "cpu").note
    assert Renderer(WorkerOptions(folder / "out", RANDOM, threads=1, compile="off"), "cpu").note == ""


def test_two_devices_that_share_a_picture_render_the_same(folder: Path, renderer: Renderer) -> None:
    runs.save_picture(folder / "content" / "tall.png", seed=5, size=700)
    with Image.open(folder / "content" / "tall.png") as image:
        image.crop((0, 0, 48, 700)).save(folder / "content" / "tall.png")
    both = Renderer(WorkerOptions(folder / "out", RANDOM, threads=1), "cpu+cpu")
    wanted: dict[str, Any] = {"size": 700, "scales": (), "octaves": 1, "style_layers": ("conv1_1", "conv2_1")}
    one = render(renderer, Job(task(folder, "one.png", "tall.png", **wanted)))
    two = render(both, Job(task(folder, "two.png", "tall.png", **wanted)))
    assert (one.status, two.status, one.device, two.device) == ("done", "done", "cpu", "cpu+cpu")
    assert one.losses is not None and two.losses is not None
    assert two.losses.total == pytest.approx(one.losses.total, rel=1e-4)
    pictures = [np.asarray(Image.open(folder / "out" / name)).astype(int) for name in ("one.png", "two.png")]
    assert abs(pictures[0] - pictures[1]).mean() < 0.1  # of 255
