"""``submit``, ``cancel``, ``logs``, ``work`` and ``--shard``, as they are typed; Slurm's commands are scripts."""

from __future__ import annotations

import dataclasses
import json
import signal
from pathlib import Path

import pytest

from nst_batch.paths import RunPaths, SubmissionPaths
from nst_batch.planning.planned import read_plan, write_plan
from nst_batch.planning.task_table import TaskTable
from nst_batch.recorded.writers import entered
from nst_batch.running import live
from tests import runs
from tests.cluster.programs import Programs

ELEMENT = {
    "SLURM_JOB_ID": "12", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_COUNT": "2",
    "SLURMD_NODENAME": "node1",
}  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.save_weights(tmp_path_factory.mktemp("weights") / "vgg.pth")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    made = Programs(tmp_path / "programs", monkeypatch)
    made.say("sbatch", "4711")
    made.say("squeue", "")
    return made


@pytest.fixture
def file(tmp_path: Path, weights: Path) -> Path:
    """Four tasks."""
    runs.make_pictures(tmp_path)
    return runs.write_pipeline(tmp_path, weights, cluster={"nodes": 2})


def submission(file: Path) -> SubmissionPaths:
    (folder,) = RunPaths(file.parent / "out").submissions.iterdir()
    return SubmissionPaths(folder)


def test_a_dry_run_prints_the_script_and_does_nothing(file: Path, programs: Programs) -> None:
    ended = runs.here("submit", file, "--dry-run", "--partition", "gpu", "--time", "8:00:00", "--extra=--exclusive")
    assert ended.code == 0 and ended.out.startswith("#!/bin/bash\n# 4 tasks of night, by 2 elements;")
    for line in ("--partition=gpu", "--time=8:00:00", "--exclusive", "--array=0-1"):
        assert f"#SBATCH {line}\n" in ended.out
    assert not programs.called() and not (file.parent / "out" / "submissions").exists()


def test_options_are_taken_as_they_are_typed(file: Path, programs: Programs) -> None:
    """Whatever YAML would make of them."""
    options = ("--nodes", "3", "--account", "007", "--mem", "1000", "--qos", "no", "--constraint", "[a*2&b]")
    said = runs.here("submit", file, "--dry-run", *options).out
    for line in ("--array=0-2", "--account=007", "--mem=1000", "--qos=no", '--constraint="[a*2&b]"'):
        assert f"#SBATCH {line}\n" in said


def test_what_was_submitted_is_told(file: Path, programs: Programs) -> None:
    ended = runs.here("submit", file, "--json")
    assert ended.code == 0 and "submitted job 4711: 4 tasks of night, 2 elements" in ended.err
    assert (ended.json["job"], ended.json["elements"], ended.json["todo"]) == ("4711", 2, 4)
    programs.say("squeue", "4711|0|RUNNING|node1|None|5:00\n4711|1|PENDING||Priority|8:00")
    status = runs.here("status", file.parent / "out")
    assert "4 tasks: 0 done, 4 to do" in status.out and "job 4711, submitted" in status.out
    assert "    0  running     node1" in status.out and "(Priority)" in status.out
    elements = runs.here("status", file, "--json").json["jobs"][0]["elements"]
    assert [each["state"] for each in elements] == ["running", "pending"]
    again = runs.here("submit", file)
    assert "job 4711 is still at work here: both will share what is left" in again.err
    changed = runs.here("submit", file, "--set", "transfer.steps=7")
    assert changed.code == 2 and "job 4711 is to render c0__s0.png" in changed.err and "cancel" in changed.err


def test_with_nothing_to_do_nothing_is_submitted(file: Path, programs: Programs) -> None:
    assert runs.here("run", file).code == 0
    ended = runs.here("submit", file, "--json")
    assert ended.code == 0 and ended.json["job"] is None and "nothing to submit" in ended.err
    assert not [call for call in programs.called() if call.startswith("sbatch")]


def test_mistakes_are_found_before_slurm_is_asked(file: Path, programs: Programs) -> None:
    ended = runs.here("submit", file, "--time", "soon", "--nodes", "0", "--extra", "--array=1-2")
    assert ended.code == 2 and not programs.called()
    for part in ("cluster.time: a time is", "cluster.nodes: should be", "--array is set by nst-batch itself"):
        assert part in ended.err


def test_cancel_ends_what_slurm_has(file: Path, programs: Programs) -> None:
    assert "none was submitted" in runs.here("cancel", file).err
    runs.here("submit", file)
    assert "none of 1 is in Slurm's queue" in runs.here("cancel", file.parent / "out").err
    programs.say("squeue", "4711|0|RUNNING|node1|None|5:00\n4711|1|PENDING||Priority|8:00")
    programs.say("scancel")
    ended = runs.here("cancel", file.parent / "out")
    assert ended.code == 0 and "job 4711 ended: 2 elements" in ended.err and "scancel 4711" in programs.called()
    programs.say("squeue", error="no controller", code=1)
    assert runs.here("cancel", file).code == 2


def test_logs_are_shown_by_element(file: Path, programs: Programs) -> None:
    assert runs.here("logs", file.parent).code == 2
    runs.here("submit", file)
    assert "nothing was printed yet" in runs.here("logs", file).err
    logs = submission(file).logs
    for index in (0, 1, 10):
        (logs / f"4711_{index}.log").write_text("\n".join(f"line {n} of {index}\x1b[2J" for n in range(30)))
    said = runs.here("logs", file, "--lines", "2").out.splitlines()
    assert [line.split()[-1] for line in said if "line 29" in line] == ["0\\x1b[2J", "1\\x1b[2J", "10\\x1b[2J"]
    assert len(said) == 9
    assert len(runs.here("logs", file, "--element", "1").out.splitlines()) == 11


def test_work_renders_what_was_frozen(file: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever has become of the pipeline file."""
    runs.here("submit", file)
    file.write_text("nonsense")
    for name, value in ELEMENT.items():
        monkeypatch.setenv(name, value)
    ended = runs.nst_batch("work", submission(file).root)
    assert ended.code == 0, ended.err
    assert len(runs.pictures(file.parent / "out")) == 4
    word = json.loads(submission(file).element(0).read_text())
    assert (word["state"], word["node"], word["job"]) == ("done", "node1", "12")
    assert "nothing to render" in runs.nst_batch("work", submission(file).root).err


@pytest.mark.parametrize(
    ("sign", "state", "calls"),
    [
        (signal.SIGUSR1, "requeued", ["scontrol requeue 12_0"]),
        pytest.param(signal.SIGTERM, "left", [], marks=pytest.mark.slow),
        pytest.param(None, "requeued", ["scontrol requeue 12_0"], marks=pytest.mark.slow),
    ],
    ids=["before the limit", "pre-empted", "by its own clock"],
)
def test_work_keeps_what_it_has_and_goes(
    file: Path,
    programs: Programs,
    monkeypatch: pytest.MonkeyPatch,
    sign: signal.Signals | None,
    state: str,
    calls: list[str],
) -> None:
    for name, value in ELEMENT.items():
        monkeypatch.setenv(name, value)
    assert runs.here("submit", file, "--set", "transfer.steps=100000").code == 0
    programs.say("scontrol")
    if sign is None:
        programs.say("squeue", "0:12")
    process = runs.start("work", submission(file).root, "--grace", "1")
    checkpoints = file.parent / "out" / "state" / "checkpoints"
    if sign is not None:
        paths = RunPaths(file.parent / "out")
        runs.wait_for(lambda: any(w.step > 3 for each in live.read(paths) for w in each.state.workers), "a few steps")
        process.send_signal(sign)
        process.send_signal(sign)  # clusters send several
    ended = runs.end_of(process)
    assert ended.code == 75 and len(list(checkpoints.glob("*"))) == 1, ended.err
    assert json.loads(submission(file).element(0).read_text())["state"] == state
    assert [call for call in programs.called() if "requeue" in call] == calls


@pytest.mark.slow
def test_work_that_cannot_be_put_back_says_so(file: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ELEMENT.items():
        monkeypatch.setenv(name, value)
    runs.here("submit", file, "--set", "transfer.steps=100000")
    programs.say("squeue", "0:10")
    programs.say("scontrol", error="scontrol: error: Requested operation not permitted", code=1)
    ended = runs.nst_batch("work", submission(file).root, "--grace", "1")
    assert ended.code == 75 and "not requeued: Requested operation not permitted" in ended.err
    assert json.loads(submission(file).element(0).read_text())["state"] == "left"


def test_work_that_cannot_begin_says_why(
    file: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In its word, too: nobody looks at its output at night."""
    runs.here("submit", file)
    for name, value in ELEMENT.items():
        monkeypatch.setenv(name, value)
    paths = RunPaths(tmp_path / "out")
    with entered(paths):
        first, *others = read_plan(paths)
        write_plan(paths, TaskTable.of([dataclasses.replace(first, id="f" * 32), *others]))
        ended = runs.here("work", submission(file).root)
    assert ended.code == 2
    word = json.loads(submission(file).element(0).read_text())
    assert word["state"] == "failed" and "from other pictures or with other settings" in word["why"]


@pytest.mark.parametrize("what", ["missing", "damaged"])
def test_work_without_a_plan(what: str, tmp_path: Path) -> None:
    if what == "damaged":
        (tmp_path / "tasks.npz").write_text("{")
    ended = runs.here("work", tmp_path)
    assert ended.code == 2 and str(tmp_path / "tasks.npz") in ended.err and "hint" in ended.err


def test_shards_are_rendered_apart_and_found_together(file: Path) -> None:
    """Two machines, two disks; then everything in one folder."""
    for number in (1, 2):
        out = f"output.dir=shard{number}"
        ended = runs.here("run", file, "--shard", f"{number}/2", "--set", out, "--json")
        assert ended.code == 0 and ended.json["tasks"] == ended.json["rendered"] == 2
    together = file.parent / "out"
    for number in (1, 2):
        for path in (file.parent / f"shard{number}").rglob("*"):
            if path.suffix in (".png", ".jsonl"):
                there = together / path.relative_to(file.parent / f"shard{number}")
                there.parent.mkdir(parents=True, exist_ok=True)
                assert not there.exists() or path.name == "plan.npz"
                there.write_bytes(path.read_bytes())
    ended = runs.here("plan", file, "--json")
    assert (ended.json["done"], ended.json["todo"]) == (4, 0)
    assert runs.here("run", file, "--shard", "3/2").code == 2


def test_a_shard_leaves_the_others_checkpoints(file: Path) -> None:
    """They may be of one folder."""
    paths = RunPaths(file.parent / "out")
    planned = runs.here("plan", file, "--json").json["decisions"]
    paths.checkpoints.mkdir(parents=True)
    for each in planned:
        paths.checkpoint(each["task"]).write_bytes(b"damaged")
    assert runs.here("run", file, "--shard", "1/2").code == 0
    assert len(paths.all_checkpoints()) == 2
