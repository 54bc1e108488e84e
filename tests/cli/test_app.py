"""The program as its users run it: real processes, real files, real kills."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import time
from pathlib import Path
from typing import Any

import imagecodecs
import pandas as pd
import pytest
import yaml
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from nst_batch.pipeline_file.presets import CAFFE_FEATURES
from nst_batch.records import Task
from nst_batch.running.finishing import Finisher
from nst_batch.transfer.member import Stylized
from nst_batch.transfer.metadata import read_metadata
from tests import runs, tar_files
from tests.runs import alive, end_of, here, lines, nst_batch, pictures, start, temporaries, wait_for, workers_of

SLOW_STEPS = 120  # seconds for a picture: enough to be killed in the middle of


def run_json(*arguments: str | Path) -> dict[str, Any]:
    return here("run", *arguments, "--json").json


def rendered_why(pipeline: Path, *arguments: str) -> dict[str, str]:
    """What ``plan`` says is to do, with its reason; then a run, which must render exactly that."""
    plan = here("plan", pipeline, "--json", *arguments).json
    why = {d["output"]: f"{d['reason']}: {d['detail']}" for d in plan["decisions"] if d["state"] == "todo"}
    before = {name: (pipeline.parent / "out" / name).stat().st_mtime_ns for name in pictures(pipeline.parent / "out")}
    summary = run_json(pipeline, *arguments)
    assert summary["rendered"] == plan["todo"] == len(why)
    after = {name: (pipeline.parent / "out" / name).stat().st_mtime_ns for name in pictures(pipeline.parent / "out")}
    assert {name for name in after if after[name] != before.get(name)} == set(why)
    return why


def test_a_run_renders_every_pair_and_a_second_one_nothing(pipeline: Path) -> None:
    ended = nst_batch("run", pipeline, "--json")
    assert ended.out.count("\n") == 1, "nothing but the JSON object on standard output"
    first, out = ended.json, pipeline.parent / "out"
    assert {key: first[key] for key in ("tasks", "done", "failed", "todo", "rendered", "skipped")} == {
        "tasks": 4, "done": 4, "failed": 0, "todo": 0, "rendered": 4, "skipped": 0,
    }  # fmt: skip
    assert set(pictures(out)) == {f"c{c}__s{s}.png" for c in (0, 1) for s in (0, 1)}
    with Image.open(out / "c0__s1.png") as image:
        assert (image.size, image.mode) == ((32, 32), "RGB")
    before = pictures(out), lines(out)
    again = nst_batch("run", pipeline)
    assert again.code == 0 and "nothing to render: all 4 tasks" in again.err
    assert (pictures(out), lines(out)) == before
    assert not temporaries(out)


@pytest.mark.slow
def test_pictures_do_not_depend_on_workers(tmp_path: Path, weights: Path) -> None:
    runs.make_pictures(tmp_path, contents=3)
    pipeline = runs.write_pipeline(tmp_path, weights, transfer__init="noise")
    found = {}
    for name, arguments in {
        "two": ["--devices", "cpu,cpu"],
        "one": ["--devices", "cpu"],
        "inline": ["--inline"],
    }.items():
        assert nst_batch("run", pipeline, "--set", f"output.dir={name}", *arguments).code == 0
        found[name] = pictures(tmp_path / name)
    assert len(found["two"]) == 6
    assert found["two"] == found["one"] == found["inline"]


def test_the_manifest_has_what_it_promises_and_loads_in_pandas(pipeline: Path) -> None:
    here("run", pipeline)
    out = pipeline.parent / "out"
    (part,) = (out / "manifest").glob("*.jsonl")
    table = pd.read_json(part, lines=True)
    promised = (
        "v task status content style settings weights output bytes sha256 losses curve evaluations seconds "
        "peak_memory_bytes device host attempt started finished versions"
    )
    assert set(promised.split()) <= set(table.columns)
    assert list(table["status"]) == ["done"] * 4 and set(table["evaluations"]) == {5}
    for record in lines(out):
        data = (out / record["output"]).read_bytes()
        assert record["bytes"] == len(data)
        parts = record["losses"]["per_layer"]
        total = sum(parts["content"].values()) + sum(parts["style"].values()) + record["losses"]["tv"]
        assert record["losses"]["total"] == pytest.approx(total, rel=1e-5)
        assert record["peak_memory_bytes"] > 1e6


def test_only_what_changed_is_rendered_again_and_plan_says_why(pipeline: Path) -> None:
    root, out = pipeline.parent, pipeline.parent / "out"
    run_json(pipeline)
    (out / "c0__s0.png").unlink()
    assert rendered_why(pipeline) == {"c0__s0.png": "output missing: c0__s0.png"}
    runs.save_picture(root / "style" / "s1.png", seed=77)
    assert rendered_why(pipeline) == {f"c{c}__s1.png": "input changed: style s1.png" for c in (0, 1)}
    changed = rendered_why(pipeline, "--set", "transfer.style_weight=5e5")
    assert set(changed.values()) == {"settings changed: style_weight: 1.0 -> 500000.0"} and len(changed) == 4
    runs.save_picture(root / "content" / "c2.png", seed=78)
    assert set(rendered_why(pipeline, "--set", "transfer.style_weight=5e5")) == {"c2__s0.png", "c2__s1.png"}


def test_what_somebody_has_altered_is_kept_and_named(pipeline: Path) -> None:
    """By a retouch, or by an optimiser that loses nothing and keeps our mark; whatever the settings are now."""
    out = pipeline.parent / "out"
    run_json(pipeline)
    retouched, packed, deleted = (out / f"c{c}__s{s}.png" for c, s in ((0, 0), (0, 1), (1, 0)))
    retouched.write_bytes(b"by hand")
    with Image.open(packed) as image:
        image.save(packed, compress_level=0, pnginfo=_text_of(image))
    deleted.write_bytes(b"by hand")
    kept = {path: path.read_bytes() for path in (retouched, packed, deleted)}
    assert read_metadata(packed), "it says still what made it"
    for settings in ([], ["--set", "transfer.steps=6"]):
        planned = here("plan", pipeline, *settings)
        assert "3 altered, kept: c0__s0.png, c0__s1.png, c1__s0.png" in planned.out and "--force" in planned.out
        summary = run_json(pipeline, *settings)
        assert summary["altered"] == 3 and summary["rendered"] == len(settings) // 2
        assert {path: path.read_bytes() for path in kept} == kept
        status = here("status", out, "--json").json
        assert (status["done"], status["altered"], status["todo"]) == (4, 3, 0)
        assert status["altered_outputs"] == ["c0__s0.png", "c0__s1.png", "c1__s0.png"]
    ended = here("run", pipeline)
    assert ended.code == 0 and "altered, kept: c0__s0.png" in ended.err
    deleted.unlink()
    assert rendered_why(pipeline) == {"c1__s0.png": "output missing: c1__s0.png"}
    assert run_json(pipeline, "--force")["rendered"] == 4
    assert run_json(pipeline)["altered"] == 0


def test_a_picture_that_is_altered_meanwhile_is_kept(pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = pipeline.parent / "out"
    run_json(pipeline)
    made = Finisher._write

    def late(self: Finisher, task: Task, stylized: Stylized) -> dict[str, Any]:
        for other in ("c1__s0.png", "c1__s1.png"):
            (out / other).write_bytes(b"by hand")
        return made(self, task, stylized)

    monkeypatch.setattr(Finisher, "_write", late)
    ended = here("run", pipeline, "--set", "transfer.steps=6", "--json")
    assert ended.code == 1 and (ended.json["rendered"], ended.json["failed"]) == (2, 2)
    assert "was altered since it was rendered, and is kept" in ended.err
    assert (out / "c1__s0.png").read_bytes() == (out / "c1__s1.png").read_bytes() == b"by hand"
    assert run_json(pipeline, "--set", "transfer.steps=6")["altered"] == 2


@pytest.mark.slow
def test_a_picture_whose_record_was_lost_is_not_taken_for_altered(pipeline: Path) -> None:
    """A run was killed between the picture and its record, after settings had changed."""
    out = pipeline.parent / "out"
    run_json(pipeline)
    before = {path.name for path in (out / "manifest").iterdir()}
    run_json(pipeline, "--set", "transfer.steps=6")
    for part in (out / "manifest").iterdir():
        if part.name not in before:
            part.unlink()
    why = rendered_why(pipeline, "--set", "transfer.steps=6")
    assert len(why) == 4 and set(why.values()) == {"settings changed: steps: 5 -> 6"}


def _text_of(image: Image.Image) -> PngInfo:
    found = PngInfo()
    for key, value in image.info.items():
        if isinstance(value, str):
            found.add_itxt(str(key), value)
    return found


def test_force_and_verify(pipeline: Path) -> None:
    out = pipeline.parent / "out"
    run_json(pipeline)
    picture = out / "c0__s0.png"
    data = bytearray(picture.read_bytes())
    data[-20] ^= 1
    picture.write_bytes(bytes(data))
    assert run_json(pipeline)["altered"] == 0
    assert run_json(pipeline, "--verify")["altered"] == 1
    assert run_json(pipeline, "--force", "--limit", "2")["rendered"] == 2


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_costs_one_attempt(tmp_path: Path, weights: Path) -> None:
    runs.make_pictures(tmp_path, contents=2, styles=2)
    pipeline = runs.write_pipeline(tmp_path, weights, transfer__steps=SLOW_STEPS, run__devices=["cpu", "cpu"])
    process = start("run", pipeline, "--json")
    wait_for(lambda: bool(lines(tmp_path / "out")), "the first picture")
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    ended = end_of(process)
    assert ended.code == 0, ended.err
    assert ended.json["done"] == 4 and "was killed by SIGKILL" in ended.err
    failed = [record for record in lines(tmp_path / "out") if record["status"] == "failed"]
    assert [record["error"]["type"] for record in failed] == ["WorkerDied"]
    retried = [r for r in lines(tmp_path / "out") if r["status"] == "done" and r["task"] == failed[0]["task"]]
    assert [record["attempt"] for record in retried] == [2]
    assert not temporaries(tmp_path / "out")


@pytest.mark.slow
def test_a_killed_run_leaves_no_process_and_the_next_one_does_the_rest(tmp_path: Path, weights: Path) -> None:
    runs.make_pictures(tmp_path, contents=2, styles=2)
    pipeline = runs.write_pipeline(tmp_path, weights, transfer__steps=SLOW_STEPS, run__devices=["cpu", "cpu"])
    process = start("run", pipeline)
    wait_for(lambda: bool(lines(tmp_path / "out")), "the first picture")
    workers = workers_of(process.pid)
    process.kill()
    process.communicate()
    wait_for(lambda: not any(map(alive, workers)), "workers to leave by themselves")
    done = {record["output"] for record in lines(tmp_path / "out")}
    (tmp_path / "out" / ".c9__s9.png.0123456789ab.nst-tmp").write_bytes(b"half a picture")
    summary = run_json(pipeline)
    assert len(done) >= 1
    assert (summary["skipped"], summary["rendered"]) == (len(done), 4 - len(done))
    assert len(pictures(tmp_path / "out")) == 4 and not temporaries(tmp_path / "out")


@pytest.mark.parametrize(
    ("sign", "arguments"),
    [
        (signal.SIGTERM, []),
        pytest.param(signal.SIGUSR1, [], marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, ["--inline"], marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_a_run_that_goes_on_where_it_was(
    tmp_path: Path, weights: Path, sign: signal.Signals, arguments: list[str]
) -> None:
    runs.make_pictures(tmp_path, contents=2, styles=1)
    pipeline = runs.write_pipeline(tmp_path, weights, transfer__steps=SLOW_STEPS)
    process = start("run", pipeline, "--json", *arguments)
    wait_for(lambda: bool(lines(tmp_path / "out")), "the first picture")
    time.sleep(0.3)  # the second one is begun
    process.send_signal(sign)
    ended = end_of(process)
    assert ended.code == 75, ended.err
    assert (ended.json["rendered"], ended.json["todo"]) == (1, 1)
    assert "run the same command again" in ended.err
    assert all(record["status"] == "done" for record in lines(tmp_path / "out"))
    (checkpoint,) = (tmp_path / "out" / "state" / "checkpoints").iterdir()
    assert run_json(pipeline)["rendered"] == 1
    first, second = sorted(lines(tmp_path / "out"), key=lambda record: record["finished"])
    assert second["task"] == checkpoint.stem and not checkpoint.exists()
    assert first["resumed"] == 0 < second["resumed"] < second["evaluations"] == SLOW_STEPS
    if sign == signal.SIGUSR1:  # once is enough
        again = run_json(pipeline, "--set", f"output.dir={tmp_path / 'again'}")
        assert again["rendered"] == 2 and pictures(tmp_path / "again") == pictures(tmp_path / "out")


def test_a_signal_while_starting_up_counts(tmp_path: Path, weights: Path) -> None:
    runs.make_pictures(tmp_path, contents=2, styles=1)
    pipeline = runs.write_pipeline(tmp_path, weights)
    process = start("run", pipeline, "--json")
    wait_for((tmp_path / "out" / "plan.npz").exists, "the run to begin")
    process.send_signal(signal.SIGTERM)
    ended = end_of(process)
    assert ended.code == 75, ended.err
    assert (ended.json["rendered"], ended.json["todo"]) == (0, 2)


def test_a_second_signal_ends_it_now(tmp_path: Path, weights: Path) -> None:
    runs.make_pictures(tmp_path, contents=2, styles=1)
    pipeline = runs.write_pipeline(tmp_path, weights, transfer__steps=SLOW_STEPS)
    process = start("run", pipeline)
    wait_for(lambda: bool(lines(tmp_path / "out")), "the first picture")
    workers = workers_of(process.pid)
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)  # a worker that cannot react to being told
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    for line in process.stderr:
        if "a second signal" in line:
            break
    process.send_signal(signal.SIGINT)
    ended = end_of(process)
    assert ended.code == 130
    assert not any(map(alive, workers))


def test_one_bad_picture_fails_its_own_tasks_only(pipeline: Path) -> None:
    root = pipeline.parent
    (root / "content" / "letter.jpg").write_text("Dear diary")
    ended = here("run", pipeline, "--json")
    assert ended.code == 1
    assert (ended.json["rendered"], ended.json["failed"], ended.json["todo"]) == (4, 2, 0)
    assert "letter__s0.png" in ended.err and "not a picture" in ended.err
    failed = [record for record in lines(root / "out") if record["status"] == "failed"]
    assert len(failed) == 2 and {record["error"]["type"] for record in failed} == {"ImageError"}
    again = here("run", pipeline, "--json")
    assert again.code == 1 and (again.json["rendered"], again.json["failed"]) == (0, 2)
    assert len(lines(root / "out")) == 6, "what cannot succeed is not tried again"
    here("run", pipeline, "--retry-failed")
    assert len(lines(root / "out")) == 8
    runs.save_picture(root / "content" / "letter.jpg", seed=5)
    mended = here("run", pipeline, "--json")
    assert mended.code == 0 and mended.json["rendered"] == 2


def test_what_the_run_did_not_make_is_not_overwritten(pipeline: Path) -> None:
    out = pipeline.parent / "out"
    out.mkdir()
    runs.save_picture(out / "c0__s0.png", seed=1)
    theirs = (out / "c0__s0.png").read_bytes()
    ended = here("run", pipeline, "--json")
    assert ended.code == 1 and ended.json["rendered"] == 3
    assert "nst_batch did not make it" in ended.err
    assert (out / "c0__s0.png").read_bytes() == theirs
    (out / "c0__s0.png").unlink()
    assert run_json(pipeline, "--retry-failed")["rendered"] == 1


def test_a_picture_whose_line_was_lost_is_rendered_again(pipeline: Path) -> None:
    run_json(pipeline)
    for part in (pipeline.parent / "out" / "manifest").iterdir():
        part.unlink()
    assert run_json(pipeline)["rendered"] == 4


def test_weights_that_are_none_end_the_run_before_any_task(pipeline: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.pth").write_bytes(b"PK\x03\x04 broken")
    ended = nst_batch("run", pipeline, "--set", "weights.path=bad.pth")
    assert ended.code == 2 and "bad.pth: cannot be read as VGG-19 weights" in ended.err
    assert not lines(tmp_path / "out")


def test_a_device_that_is_not_there_is_a_clear_error(pipeline: Path) -> None:
    ended = nst_batch("run", pipeline, "--devices", "cuda:77")
    assert ended.code == 2 and "no cuda:77 on this machine" in ended.err and "it has: cpu" in ended.err


def test_an_output_folder_that_cannot_be_made_is_a_clear_error(pipeline: Path) -> None:
    (pipeline.parent / "file").write_text("not a folder")
    ended = here("run", pipeline, "--set", "output.dir=file/out")
    assert ended.code == 2 and "output.dir" in ended.err and "cannot be written" in ended.err


@pytest.mark.slow
@pytest.mark.parametrize("most", [9, 13, 17])
def test_where_few_files_may_be_open_it_works_or_says_so(tmp_path: Path, weights: Path, most: int) -> None:
    runs.make_pictures(tmp_path, contents=1, styles=1)
    pipeline = runs.write_pipeline(tmp_path, weights)
    few = (resource.RLIMIT_NOFILE, (most, most))
    ended = end_of(start("run", pipeline, preexec_fn=lambda: resource.setrlimit(*few)))
    assert "Traceback" not in ended.err
    assert ended.code == 0 or (ended.code == 1 and "Too many open files" in ended.err)
    assert nst_batch("run", pipeline).code == 0


@pytest.mark.slow
def test_where_memory_is_short_pictures_have_less_of_a_history(tmp_path: Path, weights: Path) -> None:
    """A thousand pairs of 256 x 256 pixels take 1.6 GB; there are 1.3 beside what a worker begins with."""
    runs.make_pictures(tmp_path, contents=1, styles=1, size=256)
    runs.save_picture(tmp_path / "content" / "small.png", seed=5, size=32)
    settled = {"rel": 0.99, "window": 2}
    asked = {"preset": "pytorch-tutorial", "size": 256, "steps": 1000, "history": 1000, "stop": settled}
    pipeline = runs.write_pipeline(tmp_path, weights, transfer=asked)
    with runs.address_space_ends_at(runs.address_space_of("nst_batch.running.worker") + 1_300_000_000):
        process = start("run", pipeline, "--json")
    ended = end_of(process)
    assert ended.code == 0 and ended.json["rendered"] == 2
    given_up = {line["content"]["path"][-9:]: line["given_up"] for line in lines(tmp_path / "out")}
    assert given_up["small.png"] == []
    (said,) = given_up["nt/c0.png"]  # foreseen: memory did not run out
    found = re.fullmatch(r"history 1000 -> (\d+) at 256 x 256", said)
    assert found and 100 < int(found[1]) < 900
    assert f"c0__s0.png: memory is short: {said}" in ended.err


@pytest.mark.slow
def test_two_runs_in_one_folder_share_the_work(tmp_path: Path, weights: Path) -> None:
    runs.make_pictures(tmp_path, contents=4, styles=2)
    pipeline = runs.write_pipeline(tmp_path, weights, transfer__steps=40)
    both = [start("run", pipeline, "--json") for _ in range(2)]
    ended = [end_of(process) for process in both]
    assert [each.code for each in ended] == [0, 0]
    assert [each.json["done"] for each in ended] == [8, 8]
    rendered = [each.json["rendered"] for each in ended]
    assert sum(rendered) == 8 and min(rendered) > 0
    assert [each.json["elsewhere"] for each in ended] == rendered[::-1]
    assert len(lines(tmp_path / "out")) == 8 and len({line["task"] for line in lines(tmp_path / "out")}) == 8
    assert any("sharing the work with process" in each.err for each in ended)
    assert nst_batch("run", pipeline, "--verify", "--json").json["skipped"] == 8
    assert not list((tmp_path / "out" / "state" / "claims").iterdir())


@pytest.mark.slow
def test_a_run_goes_on_with_what_another_one_drops(tmp_path: Path, weights: Path) -> None:
    runs.make_pictures(tmp_path, contents=1, styles=1)
    pipeline = runs.write_pipeline(tmp_path, weights, transfer__steps=SLOW_STEPS)
    first = start("run", pipeline)
    wait_for(lambda: bool(list((tmp_path / "out" / "state").glob("claims/*"))), "the first run's claim")
    workers = workers_of(first.pid)
    for pid in (first.pid, *workers):
        os.kill(pid, signal.SIGSTOP)  # frozen is not dead: it keeps what it has
    second = start("run", pipeline, "--json")
    assert second.stderr is not None
    while "waiting for 1 that another run has in hand" not in (said := second.stderr.readline()):
        assert said
    for pid in (first.pid, *workers):
        os.kill(pid, signal.SIGKILL)
    first.communicate()
    ended = end_of(second)
    assert ended.code == 0 and ended.json["rendered"] == 1


@pytest.mark.slow
def test_a_run_with_other_settings_does_not_come_between(tmp_path: Path, weights: Path) -> None:
    runs.make_pictures(tmp_path, contents=2, styles=1)
    pipeline = runs.write_pipeline(tmp_path, weights, transfer__steps=SLOW_STEPS)
    process = start("run", pipeline)
    wait_for(lambda: bool(lines(tmp_path / "out")), "the first picture")
    second = nst_batch("run", pipeline, "--set", "transfer.steps=3")
    assert second.code == 2 and f"process {process.pid}" in second.err and "output.dir" in second.err
    assert end_of(process).code == 0


def test_weights_are_what_the_pipeline_file_says(
    pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    plan = here("plan", pipeline, "--set", "weights=vgg19")
    assert plan.code == 0 and "weights" not in plan.err
    missing = here("plan", pipeline, "--set", "weights=torchvision")
    assert missing.code == 2 and "weights fetch" in missing.err
    for former, now in (("auto", "vgg19 (the default"), ("imagenet", "write torchvision")):
        told = here("plan", pipeline, "--set", f"weights={former}")
        assert told.code == 2 and f"weights: there is no '{former}' any more" in told.err and now in told.err


def test_other_weights_render_each_picture_anew_and_keep_it_until_then(pipeline: Path) -> None:
    out = pipeline.parent / "out"
    assert run_json(pipeline, "--set", "weights=random", "--set", "transfer.steps=2")["rendered"] == 4
    before = pictures(out)
    now = ("--set", "weights=vgg19", "--set", "transfer.steps=2")
    plan = here("plan", pipeline, "--json", *now).json
    assert plan["reasons"] == {"weights changed": 4}
    assert {d["detail"] for d in plan["decisions"]} == {"now vgg19"}
    assert run_json(pipeline, *now, "--limit", "1")["rendered"] == 1
    after = pictures(out)
    assert set(after) == set(before) and sum(after[name] != before[name] for name in before) == 1
    assert run_json(pipeline, *now)["rendered"] == 3 and not temporaries(out)


def test_mistakes_are_reported_together_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("name: x\ncontent: none\nstyle: none\ntransfer: {stepps: 3}\n")
    ended = nst_batch("run", tmp_path / "p.yaml")
    assert ended.code == 2
    for expected in ("p.yaml:2: content", "p.yaml:3: style", "p.yaml:4: transfer.stepps: unknown field; did you mean"):
        assert expected in ended.err
    assert "Traceback" not in ended.err and not (tmp_path / "outputs").exists()


def test_status_from_the_file_and_from_the_folder_agree(pipeline: Path) -> None:
    (pipeline.parent / "content" / "letter.jpg").write_text("Dear diary")
    here("run", pipeline)
    (pipeline.parent / "out" / "c0__s0.png").unlink()
    from_file = here("status", pipeline, "--json").json
    from_folder = here("status", pipeline.parent / "out", "--json").json
    for found in (from_file, from_folder):
        assert (found["tasks"], found["done"], found["failed"], found["todo"]) == (6, 3, 2, 1)
    for place in (pipeline, pipeline.parent / "out"):
        said = here("status", place).out
        assert "3 done, 1 to do, 2 failed" in said
        assert "letter.jpg: not a picture in any format that is read (remove it, or convert it)" in said
    assert here("status", pipeline.parent / "content").code == 2


def test_a_run_says_what_it_did_in_its_folder_and_at_its_end(pipeline: Path) -> None:
    ended, out = here("run", pipeline, "--json"), pipeline.parent / "out"
    assert ended.json["pictures_per_hour"] > 0 and ended.json["evaluations_per_second"] > 0
    assert "night: 4 rendered, 0 done before in 0:0" in ended.err
    for expected in ("pictures/h, ", f"pictures in {out}", f"report: {out / 'report.html'}"):
        assert expected in ended.err
    (live,) = (out / "state" / "live").iterdir()
    said = json.loads(live.read_bytes())
    assert said["ended"] and said["state"]["rendered"] == 4 and said["pid"] == os.getpid()
    here("run", pipeline, "--force", "--limit", "1")
    (later,) = (out / "state" / "live").iterdir()
    assert later != live, "what is over is cleared away by the next run"
    here("report", out)
    assert f"report: {out / 'report.html'}" in here("run", pipeline, "--force", "--limit", "1").err


def test_a_plan_is_a_table_with_what_the_disk_must_hold(pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = here("plan", pipeline).out
    assert re.search(r"disk: \d+ [MG]B needed, .* free", plan)
    assert re.search(r"(?m)^picture +why +time +memory\nc0__s0\.png +new +0:\d\d +[\d.]+ [MG]B$", plan)
    before = here("plan", pipeline, "--json").json["disk"]
    assert 0 < before["needed"] < before["free"]
    here("run", pipeline)
    assert here("plan", pipeline, "--json").json["disk"]["needed"] == 0
    (pipeline.parent / "out" / "c0__s0.png").unlink()
    assert 0 < here("plan", pipeline, "--json").json["disk"]["needed"] < before["needed"]
    monkeypatch.setattr("nst_batch.planning.disk.free", lambda _: 1000)  # the border to a full disk
    assert re.search(r"disk: .* needed, only 0 MB free: not enough", here("plan", pipeline).out)


def test_presets_print_as_yaml_that_can_be_pasted(pipeline: Path) -> None:
    import yaml

    names = here("presets").out.split()
    assert {"default", "pytorch-tutorial", "gatys"} <= set(names)
    spec = {**json.loads(pipeline.read_text()), **yaml.safe_load(here("presets", "gatys").out)}
    pipeline.write_text(yaml.safe_dump(spec))
    assert here("plan", pipeline).code == 0
    for weights, style_weight in (("vgg19", 1e6 / CAFFE_FEATURES**2), ("torchvision", 1e6)):
        pasted = yaml.safe_load(here("presets", "pytorch-tutorial", "--weights", weights).out)
        assert pasted["transfer"]["style_weight"] == pytest.approx(style_weight)
    wrong = here("presets", "gaty")
    assert wrong.code == 2 and "did you mean gatys" in wrong.err


def test_what_made_a_picture_is_in_the_picture(pipeline: Path) -> None:
    here("run", pipeline, "--limit", "1")
    (record,) = lines(pipeline.parent / "out")
    picture = pipeline.parent / "out" / record["output"]
    found = here("inspect", picture, "--json").json
    assert found["task"] == record["task"] and found["settings"] == record["settings"]
    shown = here("inspect", picture)
    assert shown.code == 0 and yaml.safe_load(shown.out)["settings"]["steps"] == 5
    other = here("inspect", pipeline.parent / "content" / "c0.png")
    assert other.code == 2 and "nothing of nst_batch's is stored in it" in other.err
    assert here("inspect", "nowhere.png").code == 2
    shard = tar_files.save(pipeline.parent / "s.tar", {"n/a.png": picture.read_bytes()})
    assert here("inspect", shard / "n" / "a.png", "--json").json == found
    assert here("inspect", shard / "n" / "b.png").code == 2


def test_styles_masks_starts_and_16_bits_go_all_the_way(tmp_path: Path, weights: Path) -> None:
    runs.make_pictures(tmp_path, contents=1, styles=2)
    (tmp_path / "masks").mkdir()
    with Image.open(tmp_path / "content" / "c0.png") as opaque:
        half = Image.new("L", opaque.size, 255)
        half.paste(128, (16, 0, 32, 32))
        opaque.putalpha(half)
        opaque.save(tmp_path / "content" / "c0.png")
        marks = Image.new("RGB", opaque.size, "red")
        marks.paste("blue", (16, 0, 32, 32))
        marks.save(tmp_path / "content" / "c0.mask.png")
    styles = [
        {"path": "style/s0.png", "region": "#ff0000"},
        {"path": "style/s1.png", "region": "#0000ff", "weight": 2},
    ]
    pipeline = runs.write_pipeline(
        tmp_path, weights, pairs=[{"content": "content", "styles": styles}], transfer__init="style/{content}.png",
        output__bits=16, output__dir="out",
    )  # fmt: skip
    runs.save_picture(tmp_path / "style" / "c0.png", seed=5)
    assert here("run", pipeline).code == 0
    (record,) = lines(tmp_path / "out")
    assert record["output"] == "c0__s0+s1.png" and record["settings"]["init"] == "file"
    assert [style["region"] for style in record["styles"]] == ["#ff0000", "#0000ff"]
    assert record["content"]["mask"]["path"].endswith("c0.mask.png") and record["start"]["path"].endswith("c0.png")
    assert record["scales"] == [[32, 32, 5]] and record["notes"] == []
    found = imagecodecs.png_decode((tmp_path / "out" / record["output"]).read_bytes())
    assert found.dtype == "uint16" and found.shape == (32, 32, 4)
    assert found[5, 5, 3] == 65535 and abs(int(found[5, 25, 3]) - 128 * 257) < 2
    marks.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "content" / "c0.mask.png")
    assert "input changed: mask of content" in here("plan", pipeline).out


def test_a_mask_without_its_counterpart_is_a_note_and_one_that_fits_nothing_a_failure(pipeline: Path) -> None:
    folder = pipeline.parent
    Image.new("RGB", (32, 32), "red").save(folder / "content" / "c0.mask.png")
    Image.new("RGB", (32, 32), "blue").save(folder / "style" / "s0.mask.png")
    assert here("run", pipeline).code == 1
    records = {record["output"]: record for record in lines(folder / "out")}
    assert "none of its colours (#ff0000)" in records["c0__s0.png"]["error"]["message"]
    assert "c0.mask.png is not used" in records["c0__s1.png"]["notes"][0]
    assert "s0.mask.png is not used" in records["c1__s0.png"]["notes"][0]
    assert records["c1__s1.png"]["notes"] == []


def test_schema_is_json_schema() -> None:
    schema = json.loads(here("schema").out)
    assert schema["properties"]["content"] and "style_weight" in schema["$defs"]["Transfer"]["properties"]


def test_weights_commands(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert Path(here("weights", "path").out.strip()).stat().st_size == 20_063_401
    assert "vgg19, SHA-256 c34748d2" in here("weights", "verify").out
    path = here("weights", "path", "torchvision")
    assert path.code == 1 and path.out.strip() == str(tmp_path / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth")
    assert here("weights", "verify", "torchvision").code == 2
    unknown = here("weights", "path", "vgg16")
    assert unknown.code == 2 and "did you mean vgg19" in unknown.err
    assert "a VGG-19" in here("weights", "verify", weights).out
    (tmp_path / "bad.pth").write_bytes(b"PK")
    assert here("weights", "verify", tmp_path / "bad.pth").code == 2


def test_names_that_the_terminal_cannot_show_are_printed_all_the_same(
    pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    runs.save_picture(pipeline.parent / "content" / "🌊.png", seed=1)
    (pipeline.parent / "content" / "🌊.png").rename(pipeline.parent / "content" / "\udcff🌊.png")
    plan = nst_batch("plan", pipeline)
    assert plan.code == 0 and "\\udcff\\U0001f30a__s0.png" in plan.out


def test_of_many_decisions_what_is_not_done_comes_first(pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_json(pipeline)
    (pipeline.parent / "out" / "c1__s1.png").unlink()
    whole = here("plan", pipeline, "--json").json
    assert whole["decisions_left_out"] == 0 and [each["state"] for each in whole["decisions"]] == ["done"] * 3 + [
        "todo"
    ]
    monkeypatch.setattr("nst_batch.cli.plan.MOST_LISTED", 2)
    few = here("plan", pipeline, "--json")
    assert few.out.count("\n") == 1 and few.json["decisions_left_out"] == 2
    assert [each["output"] for each in few.json["decisions"]] == ["c1__s1.png", "c0__s0.png"]
    assert few.json["reasons"] == whole["reasons"] and few.json["done"] == 3
    every = here("plan", pipeline, "--json", "--all").json
    tasks = [[each["task"] for each in found["decisions"]] for found in (every, whole)]  # forecasts learn meanwhile
    assert tasks[0] == tasks[1] and every["decisions_left_out"] == 0


def test_a_long_plan_says_how_all_of_it_is_listed(pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nst_batch.cli.plan.SHOWN", 1)
    assert "and 3 more; --json lists them all" in here("plan", pipeline).out
    monkeypatch.setattr("nst_batch.cli.plan.MOST_LISTED", 2)
    assert "and 3 more; --json --all lists them all" in here("plan", pipeline).out
