"""A run on a Ray cluster of two nodes, on loopback: actors and nodes are killed, and everything is done."""

from __future__ import annotations

import hashlib
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nst_batch.paths import RunPaths
from nst_batch.running import live
from tests import runs

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]

ACTOR = b"ray::Actor"  # what Ray calls the process of an actor of that class


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.save_weights(tmp_path_factory.mktemp("weights") / "vgg.pth")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes with two cores each."""
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # or Ray asks for the address of a network card
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(runs.REPOSITORY))
    pytest.importorskip("ray", reason="needs the extra nst_batch[ray]")
    from ray.cluster_utils import Cluster

    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 2, "node_ip_address": "127.0.0.1", "include_dashboard": False},
    )
    try:
        made.second = made.add_node(num_cpus=2, node_ip_address="127.0.0.1")
        yield made
    finally:
        made.shutdown()


def actors() -> list[int]:
    """Processes of actors."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cmdline").read_bytes().startswith(ACTOR):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def done(run: Path) -> list[str]:
    return [line["output"] for line in runs.lines(run) if line["status"] == "done"]


def judge(run: Path, tasks: int) -> None:
    """Everything is there, once, and what is recorded is what is there."""
    found, lines = runs.pictures(run), [line for line in runs.lines(run) if line["status"] == "done"]
    assert len(found) == tasks and set(Counter(line["output"] for line in lines).values()) == {1}
    for line in lines:
        data = found[line["output"]]
        assert (line["bytes"], line["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert not runs.temporaries(run) and not list((run / "state" / "checkpoints").glob("*"))


def pipeline(root: Path, weights: Path, **settings: Any) -> Path:
    runs.make_pictures(root, contents=8, styles=5, size=64)
    settings = {"transfer__size": 64, "run__devices": ["cpu"] * 4, **settings}
    return runs.write_pipeline(root, weights, **settings)


def test_actors_and_nodes_may_die(cluster: Any, tmp_path: Path, weights: Path) -> None:
    file, run = pipeline(tmp_path, weights, transfer__steps=60), tmp_path / "out"
    process = runs.start("run", file, "--engine", "ray", "--address", cluster.address, "--json")
    runs.wait_for(lambda: len(done(run)) >= 6 or process.poll() is not None, "some pictures")
    assert len(actors()) == 4
    os.kill(actors()[0], signal.SIGKILL)
    runs.wait_for(lambda: len(done(run)) >= 12 or process.poll() is not None, "more of them")
    cluster.remove_node(cluster.second, allow_graceful=False)
    ended = runs.end_of(process)
    assert ended.code == 0 and ended.json["done"] == ended.json["rendered"] == 40, ended.err
    judge(run, 40)
    failed = [line["error"]["message"] for line in runs.lines(run) if line["status"] == "failed"]
    assert failed == ["the worker on cpu died"], "a lost machine is no failure of its tasks"
    assert "went with its machine" in ended.err and "Traceback" not in ended.err
    runs.wait_for(lambda: not actors(), "actors to go")


def test_a_signal_keeps_what_is_in_hand(cluster: Any, tmp_path: Path, weights: Path) -> None:
    """And a run without Ray goes on where it was."""
    file, run = pipeline(tmp_path, weights, transfer__steps=600), tmp_path / "out"
    process = runs.start("run", file, "--engine", "ray", "--address", cluster.address, "--limit", "4")
    checkpoints = run / "state" / "checkpoints"
    runs.wait_for(lambda: _steps(run) > 10, "work")
    process.send_signal(signal.SIGTERM)
    ended = runs.end_of(process)
    assert ended.code == 75, ended.err
    kept = {path.stem for path in checkpoints.glob("*.safetensors")}
    assert kept
    assert runs.nst_batch("run", file, "--limit", "4", "--devices", "cpu,cpu").code == 0
    assert kept <= {line["task"] for line in runs.lines(run) if line["resumed"]}


def _steps(run: Path) -> int:
    """Evaluations of the picture that is furthest."""
    workers = [worker for each in live.read(RunPaths(run)) for worker in each.state.workers]
    return max((worker.step for worker in workers), default=0)


def test_no_cluster_and_no_ray(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="needs the extra nst_batch[ray]")
    file = pipeline(tmp_path, weights)
    ended = runs.nst_batch("run", file, "--engine", "ray", "--address", "127.0.0.1:1")
    assert ended.code == 2 and "--address 127.0.0.1:1: no Ray cluster" in ended.err and "ray start" in ended.err
    (tmp_path / "ray.py").write_text("raise ImportError('none')")
    monkeypatch.setattr(runs, "REPOSITORY", f"{tmp_path}:{runs.REPOSITORY}")
    ended = runs.nst_batch("run", file, "--engine", "ray")
    assert ended.code == 2 and "pip install 'nst_batch[ray]'" in ended.err
