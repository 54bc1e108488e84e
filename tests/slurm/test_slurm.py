"""Submissions on a real Slurm, disturbed in every way that clusters have."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nst_batch.doctor import queue
from tests import runs
from tests.slurm.cluster import CLOUD, CLOUD_PARTITION, Cluster, run

pytestmark = pytest.mark.slurm

BOOT_SECONDS = 40.0
PATIENCE_SECONDS = 600.0  # six processes on two cores, and Slurm's own delays


class Job:
    """A submitted run.

    Args:
        root: an empty folder.
        weights: a file of them.
        pictures: contents and styles.
        settings: of the pipeline file.
    """

    def __init__(self, root: Path, weights: Path, pictures: tuple[int, int], **settings: Any) -> None:
        runs.make_pictures(root, *pictures, size=64)
        settings = {"transfer__size": 64, "cluster": {"time": 30, "nodes": 3, "gpus_per_node": 2}, **settings}
        self.pipeline = runs.write_pipeline(root, weights, **settings)
        self.run = root / "out"
        self.tasks = pictures[0] * pictures[1]
        self.seen: set[str] = set()  # tasks of which there was a checkpoint
        self.id = ""

    def submit(self, *more: str) -> str:
        ended = runs.nst_batch("submit", self.pipeline, "--json", *more)
        assert ended.code == 0, ended.err
        self.id = str(ended.json["job"])
        return self.id

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Until it holds; meanwhile checkpoints are noted."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}:\n{self.logs()}"
            self.seen |= {path.stem for path in (self.run / "state" / "checkpoints").glob("*.safetensors")}
            time.sleep(0.2)

    def wait_for_pictures(self, count: int) -> None:
        self.wait(lambda: len(self.done()) >= count, f"{count} pictures")

    def wait_for_end(self) -> None:
        self.wait(lambda: not run("squeue", "--noheader", f"--jobs={self.id}", check=False), "the job's end")
        assert len(set(self.done())) == self.tasks or self.writers(), f"ended with work left:\n{self.logs()}"
        self.wait(lambda: not self.writers(), "orphans to end")

    def done(self) -> list[str]:
        return [line["output"] for line in runs.lines(self.run) if line["status"] == "done"]

    def writers(self) -> list[Path]:
        folder = self.run / "state" / "writers"
        return list(folder.iterdir()) if folder.is_dir() else []

    def word(self, index: int) -> dict[str, Any]:
        """What an element said of itself last; nothing so far."""
        found = list(self.run.glob(f"submissions/*/elements/{index}.json"))
        return dict(json.loads(max(found).read_text())) if found else {}

    def elements(self) -> dict[int, dict[str, Any]]:
        """As ``status`` has those of the last job."""
        found = runs.nst_batch("status", self.run, "--json").json["jobs"][-1]["elements"]
        return {each["index"]: each for each in found}

    def logs(self) -> str:
        return runs.nst_batch("logs", self.run, "--lines", "20").out

    def judge(self) -> Counter[str]:
        """Everything is there, and what is recorded is what is there; how often each picture was rendered."""
        found, lines = runs.pictures(self.run), [one for one in runs.lines(self.run) if one["status"] == "done"]
        last = {line["output"]: line for line in sorted(lines, key=lambda line: line["finished"])}
        assert len(last) == len(found) == self.tasks
        for output, data in found.items():
            assert (last[output]["bytes"], last[output]["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert not runs.temporaries(self.run)
        assert not list((self.run / "state" / "checkpoints").glob("*")), "checkpoints of what is done"
        assert not list((self.run / "state" / "claims").glob("*")), "claims of those who have left"
        assert not [line for line in runs.lines(self.run) if line["status"] == "failed" and not _is_death(line)]
        begun = {line["task"] for line in lines if line["resumed"]}
        assert self.seen <= begun, "a picture in the middle was begun anew"
        rendered = Counter(line["output"] for line in lines)
        restarts = [self.word(index).get("restarts") for index in range(6)]
        print(f"{len(last)} done, none amiss; {sum(count > 1 for count in rendered.values())} rendered twice; "
              f"{len(self.seen)} kept in the middle, and all of them gone on with; restarts {restarts}")  # fmt: skip
        return rendered


def _is_death(line: dict[str, Any]) -> bool:
    return str(line["error"]["type"]) == "WorkerDied"


def test_a_night_of_faults(calm: Cluster, tmp_path: Path, weights_file: Path) -> None:
    """A worker is killed, an element requeued, one told to go, a node lost, and a node taken by those who may."""
    job = Job(tmp_path, weights_file, (10, 6), transfer__steps=60)
    job.submit()
    job.wait_for_pictures(6)
    os.kill(runs.workers_of(job.word(0)["pid"])[0], signal.SIGKILL)
    run("scontrol", "requeue", f"{job.id}_1")
    run("scancel", "--signal=USR1", "--batch", f"{job.id}_2")
    job.wait_for_pictures(12)
    calm.kill("node3")
    job.wait_for_pictures(16)
    run(
        "sbatch",
        "--partition=high",
        "--nodelist=node1",
        "--ntasks=2",
        "--time=1",
        "--output=/dev/null",
        "--wrap=sleep 8",
    )
    job.wait(lambda: job.word(0).get("state") != "running", "pre-emption")
    job.wait_for_end()
    rendered = job.judge()
    assert job.seen, "nothing was ever kept in the middle"
    assert max(rendered.values()) == 1, f"rendered twice: {rendered}"
    assert len([line for line in runs.lines(job.run) if line["status"] == "failed"]) == 1, "the killed worker's"
    assert job.word(1)["restarts"] >= 1 and job.word(2)["restarts"] >= 1


@pytest.mark.slow
def test_a_time_limit_that_is_too_short(calm: Cluster, tmp_path: Path, weights_file: Path) -> None:
    """Elements leave in time, put themselves back into the queue, and go on in the middle of their pictures.

    The command is a wrapper that does not ``exec``, so that no signal of Slurm's arrives; the last element's job number
    is that of all.
    """
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(f'#!/bin/sh\n{sys.executable} -m nst_batch "$@"\nexit $?\n')
    wrapper.chmod(0o755)
    cluster = {"time": "1", "nodes": 2, "gpus_per_node": 1, "grace": 30, "command": str(wrapper)}
    job = Job(tmp_path, weights_file, (2, 2), transfer__steps=1500, cluster=cluster)
    job.submit()
    job.wait_for_end()
    assert max(job.judge().values()) == 1
    assert len(job.seen) >= 2, "nothing was interrupted"
    assert min(job.word(index)["restarts"] for index in (0, 1)) >= 1
    assert max(job.word(index)["restarts"] for index in (0, 1)) >= 2
    assert "back in the queue" in job.logs() and "TIME LIMIT" not in job.logs()


def test_most_of_a_short_time_is_used(calm: Cluster, tmp_path: Path, weights_file: Path) -> None:
    """The grace of hours is shortened for minutes, and that is said."""
    job = Job(
        tmp_path, weights_file, (1, 1), transfer__steps=100_000,
        cluster={"time": "2", "nodes": 1, "gpus_per_node": 1},
    )  # fmt: skip
    begun = time.monotonic()
    ended = runs.nst_batch("submit", job.pipeline, "--json")
    assert "leave 40 s before their time limit" in ended.err
    job.id = str(ended.json["job"])
    job.wait(lambda: job.word(0).get("state") == "requeued", "the end of its time")
    took = time.monotonic() - begun
    assert 65 < took < 120, f"left after {took:.0f} of 120 s"
    run("scancel", job.id)


def test_a_node_that_boots_is_at_work(calm: Cluster, tmp_path: Path, weights_file: Path) -> None:
    """``status --watch`` waits for it, and does not advise to submit once more."""
    job = Job(
        tmp_path, weights_file, (1, 1), transfer__steps=2,
        cluster={"time": 5, "nodes": 1, "gpus_per_node": 1, "partition": CLOUD_PARTITION},
    )  # fmt: skip
    job.submit()
    job.wait(lambda: job.elements()[0]["state"] == "configuring", "the node to boot")
    watching = runs.start("status", job.run, "--watch")
    time.sleep(BOOT_SECONDS)
    assert watching.poll() is None and job.elements()[0]["state"] == "configuring"
    calm.revive(CLOUD)
    job.wait_for_end()
    ended = runs.end_of(watching)
    assert ended.code == 0 and "nobody is at work" not in ended.err and "1 done" in ended.out, ended.out + ended.err
    job.judge()


def test_an_element_that_fails_before_its_first_word(calm: Cluster, tmp_path: Path, weights_file: Path) -> None:
    job = Job(
        tmp_path, weights_file, (1, 1), transfer__steps=2,
        cluster={"time": 5, "nodes": 1, "gpus_per_node": 1, "command": f"{sys.executable} -c 'import no_such_library'"},
    )  # fmt: skip
    job.submit()
    job.wait(lambda: not run("squeue", "--noheader", f"--jobs={job.id}", check=False), "its end")
    element = job.elements()[0]
    assert element["state"] == "failed" and element["detail"].startswith("before it could begin: see "), element
    assert "no_such_library" in Path(element["detail"].rpartition("see ")[2]).read_text()


@pytest.mark.slow
def test_cancelled_and_submitted_again_over_orphans(calm: Cluster, tmp_path: Path, weights_file: Path) -> None:
    """A node that Slurm has lost goes on rendering whatever is cancelled; who comes next shares with it."""
    job = Job(tmp_path, weights_file, (10, 6), transfer__steps=60)
    job.submit()
    job.wait_for_pictures(6)
    calm.kill("node2")
    ended = runs.nst_batch("cancel", job.run)
    assert ended.code == 0 and job.id in ended.err
    job.wait(lambda: all(job.word(index)["state"] == "left" for index in (0, 1, 4, 5)), "elements that can be reached")
    orphans = [job.word(index)["pid"] for index in (2, 3)]
    before = set(job.done())
    assert all(runs.alive(pid) for pid in orphans) and len(before) < job.tasks
    job.submit()
    job.wait(lambda: len(set(job.done())) == job.tasks, "all pictures")
    job.wait(lambda: not job.writers(), "orphans to end")
    rendered = job.judge()
    assert max(rendered.values()) == 1, f"rendered twice: {rendered}"


def test_names_that_shells_and_slurm_would_read_otherwise(calm: Cluster, tmp_path: Path, weights_file: Path) -> None:
    root = tmp_path / 'it\'s 100 "quoted" $(touch here) `x` ünï\n#SBATCH --begin=now+1hour'
    root.mkdir()
    job = Job(
        root, weights_file, (1, 1), transfer__steps=2,
        cluster={"gpus_per_node": 1, "time": "5:00", "extra": ["--comment=it's a \"test\" \\ # of 50% of it"]},
    )  # fmt: skip
    job.submit()
    said = run("scontrol", "show", "job", job.id)
    assert 'Comment=it\'s a "test" \\ # of 50% of it' in said
    job.wait_for_end()
    job.judge()
    (log,) = job.run.glob("submissions/*/logs/*.log")
    assert log.name == f"{job.id}_0.log" and "1 rendered" in log.read_text()
    assert not list(tmp_path.rglob("here")) and not Path("here").exists()


@pytest.mark.parametrize("name", ["100%A", "back\\slash"])
def test_a_folder_that_slurm_would_misread(calm: Cluster, tmp_path: Path, weights_file: Path, name: str) -> None:
    job = Job(tmp_path, weights_file, (1, 1), output__dir=name)
    ended = runs.nst_batch("submit", job.pipeline)
    assert ended.code == 2 and "output.dir" in ended.err and "'%'" in ended.err


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (["--partition", "nowhere"], "nowhere"),
        (["--gpus-per-node", "7"], "not available"),
        (["--mem", "900T"], "not available"),
        (["--time", "99-0"], "limit of 1 hours"),
        (["--nodes", "60", "--gpus-per-node", "2"], "MaxArraySize"),
        (["--extra", "--no-such-option=1"], "no-such-option"),
    ],
)
def test_what_slurm_would_not_take(
    calm: Cluster, tmp_path: Path, weights_file: Path, asked: list[str], says: str
) -> None:
    """It is said before anything is submitted, and nothing is left of it."""
    job = Job(tmp_path, weights_file, (11, 11), transfer__steps=2)
    if "7" in asked:
        asked = [*asked, "--set", "cluster.gpus_per_element=7"]
    ended = runs.nst_batch("submit", job.pipeline, *asked)
    assert ended.code == 2 and says.lower() in ended.err.lower(), ended.err
    assert "Traceback" not in ended.err and not (job.run / "submissions").exists()
    assert not run("squeue", "--noheader")


def test_the_script_alone_can_be_submitted(calm: Cluster, tmp_path: Path, weights_file: Path) -> None:
    """By hand, from the run's folder; and what is printed is what is submitted."""
    job = Job(tmp_path, weights_file, (2, 1), transfer__steps=2)
    first = job.submit()
    job.wait_for_end()
    (script,) = job.run.glob("submissions/*/script.sh")
    printed = runs.nst_batch("submit", job.pipeline, "--dry-run", "--set", "transfer.steps=3").out
    name = script.parent.name
    there = next(word for word in shlex.split(printed, comments=True) if "/submissions/" in word)
    assert printed.replace(Path(there).name, name) == script.read_text()
    again = run("sbatch", "--parsable", f"--export=ALL,PYTHONPATH={runs.REPOSITORY}", f"--chdir={job.run}", str(script))
    job.wait(lambda: not run("squeue", "--noheader", f"--jobs={again}", check=False), "its end")
    assert first != again and "nothing to render" in job.logs()
    job.judge()


def test_the_doctor_names_partitions(calm: Cluster) -> None:
    found = queue.slurm()
    assert found.level == "ok" and found.text.startswith("partitions: ") and "*" in found.text
