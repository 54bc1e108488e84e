"""A run on a Ray cluster of two nodes, on loopback: actors and nodes are killed, and everything is done."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
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


# --- clusters as `ray start` begins them ------------------------------------------------------------------------------


@contextlib.contextmanager
def started(home: Path, **environment: str) -> Iterator[tuple[str, str]]:
    """A cluster of this machine alone: its address, and the one for programs outside of it."""
    pytest.importorskip("ray", reason="needs the extra nst_batch[ray]")
    port, outside, *others = _free_ports(5)
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--node-ip-address=127.0.0.1",
        f"--port={port}", f"--ray-client-server-port={outside}", "--include-dashboard=false", "--num-cpus=2",
        f"--node-manager-port={others[0]}", f"--object-manager-port={others[1]}", "--disable-usage-stats",
        f"--temp-dir={tempfile.mkdtemp(prefix='ray', dir='/tmp')}",
    ]  # fmt: skip
    variables = {**os.environ, "HOME": str(home), "PYTHONPATH": str(runs.REPOSITORY), **environment}
    with (home / "ray.log").open("wb") as log:
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log, start_new_session=True)
        try:
            runs.wait_for(lambda: _listens(outside) and _listens(port), "the cluster")
            yield f"127.0.0.1:{port}", f"ray://127.0.0.1:{outside}"
        finally:
            process.terminate()
            process.wait(timeout=runs.PATIENCE_SECONDS)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user who has once called ``ray.init()``, which leaves a token there."""
    pytest.importorskip("ray", reason="needs the extra nst_batch[ray]")
    found = tmp_path / "home"
    found.mkdir()
    program = "import ray; ray.init(num_cpus=1, include_dashboard=False, logging_level='ERROR')"
    subprocess.run(
        [sys.executable, "-c", program], check=True, env={**os.environ, "HOME": str(found), "RAY_AUTH_MODE": "token"}
    )
    assert (found / ".ray" / "auth_token").is_file()
    return found


def test_a_cluster_that_demands_a_token(
    home: Path, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of any that `ray start` begins where there is one: by its address, and from outside of it."""
    file, run = pipeline(tmp_path, weights, transfer__steps=5, run__devices=["cpu"]), tmp_path / "out"
    with started(home) as (inside, outside):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        ended = runs.nst_batch("run", file, "--engine", "ray", "--address", inside)
        assert ended.code == 2 and "token" in ended.err and "Traceback" not in ended.err, ended.err
        monkeypatch.delenv("RAY_AUTH_MODE")
        ended = runs.nst_batch("run", file, "--engine", "ray", "--address", inside)
        assert ended.code == 2 and "no Ray cluster" in ended.err and "token" in ended.err, ended.err
        monkeypatch.setenv("HOME", str(home))
        for address in (inside, outside):
            ended = runs.nst_batch("run", file, "--engine", "ray", "--address", address, "--limit", "4", "--json")
            assert ended.code == 0 and ended.json["rendered"] == 4, ended.err
    assert len(done(run)) == 8


def test_what_ray_kills_for_memory_is_tried_again_with_less(tmp_path: Path, weights: Path) -> None:
    total, available = (_memory(name) for name in ("MemTotal", "MemAvailable"))
    if available < 9 << 30:
        pytest.skip("needs 9 GB of free memory")
    file, run = pipeline(tmp_path, weights, transfer__steps=1500, run__devices=["cpu"]), tmp_path / "out"
    threshold = (total - available + (3 << 30)) / total
    with started(tmp_path, RAY_AUTH_MODE="disabled", RAY_memory_usage_threshold=f"{threshold:.4f}") as (address, _):
        process = runs.start("run", file, "--engine", "ray", "--address", address, "--limit", "1")
        runs.wait_for(lambda: _steps(run) > 1 or process.poll() is not None, "work")
        program = "import time; taken = b'x' * (5 << 30); time.sleep(600)"
        with subprocess.Popen([sys.executable, "-c", program]) as greedy:
            runs.wait_for(lambda: bool(runs.lines(run)) or process.poll() is not None, "the end of an actor")
            greedy.kill()
        ended = runs.end_of(process)
    assert ended.code == 0 and "was running out of memory" in ended.err, ended.err
    first, *_, last = sorted(runs.lines(run), key=lambda line: str(line["finished"]))
    assert (first["status"], first["error"]["type"]) == ("failed", "MemoryRanOut"), first
    assert last["status"] == "done" and last["given_up"][0].startswith("history "), last


def _memory(name: str) -> int:
    """Bytes of the machine."""
    (line,) = (line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) << 10
