"""The script that sbatch is given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nst_batch.cluster.script import Grace, Shape, script, shape_of
from nst_batch.errors import UsageError
from nst_batch.paths import SubmissionPaths
from nst_batch.pipeline_file.spec_run import Cluster, Run

PATHS = SubmissionPaths(Path("/scratch/holiday/submissions/20261123T100000-login-1-abcdef"))

GRACE = Grace(120, 120)
GOLDEN = """\
#!/bin/bash
# 60 tasks of holiday, by 32 elements with 1 GPU each; made by `nst-batch submit`.
# Elements share the tasks through the run's folder: any number of them may be added, requeued, killed or submitted
# again. Before its time is up, and when it is pre-empted, an element keeps the pictures that it has in hand.
#SBATCH --job-name=holiday
#SBATCH --array=0-31%8
#SBATCH --partition=gpu,gpu-long
#SBATCH --account=p1234
#SBATCH --qos=normal
#SBATCH --constraint="a100|h100"
#SBATCH --time=8:00:00
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --gres=gpu:a100:1
#SBATCH --signal=B:USR1@60
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=submissions/20261123T100000-login-1-abcdef/logs/%A_%a.log
#SBATCH --exclusive
#SBATCH --comment="a \\"night\\" \\\\ of # it"

set -e
trap "" USR1 # until nst-batch listens to it
module load cuda
export TORCH_HOME=/shared/torch
exec apptainer exec --nv /images/nst.sif nst-batch work /scratch/holiday/submissions/20261123T100000-login-1-abcdef \
--grace 60
"""


def written(**cluster: Any) -> str:
    return script(PATHS, "holiday", 60, Cluster(**cluster), Shape(6, 1), GRACE)


def is_bash(text: str) -> bool:
    return (
        subprocess.run(["bash", "-n"], input=text.encode(errors="surrogateescape"), capture_output=True).stderr == b""
    )


def test_the_whole_script() -> None:
    cluster = Cluster(
        partition="gpu,gpu-long", account="p1234", qos="normal", constraint="a100|h100",
        time="8:00:00", nodes=4, gpus_per_node=8, gpu_type="a100", cpus_per_task=8, mem="32G", array_limit=8, grace=60,
        setup="module load cuda\nexport TORCH_HOME=/shared/torch\n",
        command="apptainer exec --nv /images/nst.sif nst-batch",
        extra=("--exclusive", '--comment=a "night" \\ of # it'),
    )  # fmt: skip
    text = script(PATHS, "holiday", 60, cluster, shape_of(cluster, Run(), 60), Grace.of(cluster, 8 * 3600))
    assert text == GOLDEN and is_bash(text)


def test_the_shortest_script() -> None:
    text = written()
    assert f"exec {sys.executable} -m nst_batch work {PATHS.root} --grace 120\n" in text and is_bash(text)
    assert not any(name in text for name in ("--partition", "--mem", "--time", "None"))
    assert script(PATHS, "n", 1, Cluster(), Shape(1, 0), GRACE).splitlines()[1] == (
        "# 1 task of n, by 1 element; made by `nst-batch submit`."
    )


def test_failed_tasks_are_tried_again_if_asked() -> None:
    text = script(PATHS, "n", 2, Cluster(), Shape(2, 1), GRACE, retry_failed=True)
    assert text.endswith("--grace 120 --retry-failed\n")


@pytest.mark.parametrize(
    "name",
    ["it's", 'a "b"', "$(touch x)", "`x`", "a\nrm -rf b", "; exit", "--flag", "\udcff", "# no comment", "* ? ~ !"],
)
def test_folders_are_one_word_to_the_shell(name: str, tmp_path: Path) -> None:
    """And nothing in their names becomes a line of its own."""
    paths = SubmissionPaths(tmp_path / name / "submissions" / "s")
    text = script(paths, "n", 1, Cluster(command="printf '<%s>'"), Shape(1, 0), GRACE)
    assert [line for line in text.splitlines() if line.startswith("#SBATCH")][-1] == (
        "#SBATCH --output=submissions/s/logs/%A_%a.log"
    )
    ran = subprocess.run(["bash"], input=text.encode(errors="surrogateescape"), capture_output=True, cwd=tmp_path)
    assert ran.stdout == b"<work><" + str(paths.root).encode(errors="surrogateescape") + b"><--grace><120>"
    assert list(tmp_path.iterdir()) == []


def test_setup_that_fails_ends_the_element() -> None:
    text = script(PATHS, "n", 1, Cluster(setup="false", command="echo"), Shape(1, 0), GRACE)
    ran = subprocess.run(["bash"], input=text, capture_output=True, text=True)
    assert ran.returncode == 1 and ran.stdout == ""


@pytest.mark.parametrize(
    ("cluster", "run", "tasks", "shape"),
    [
        ({}, {}, 60, Shape(1, 1)),
        ({"nodes": 4, "gpus_per_node": 8}, {}, 60, Shape(32, 1)),
        ({"nodes": 4, "gpus_per_node": 8}, {}, 5, Shape(5, 1)),
        ({"nodes": 4, "gpus_per_node": 8}, {"devices_per_task": 4}, 60, Shape(8, 4)),
        ({"nodes": 4, "gpus_per_node": 8, "gpus_per_element": 8}, {"devices_per_task": 2}, 60, Shape(4, 8)),
        ({"nodes": 4}, {"devices": ["cpu", "cpu"]}, 60, Shape(4, 0)),
        ({"nodes": 4, "gpus_per_node": 0}, {}, 60, Shape(4, 0)),
        ({"nodes": 2, "gpus_per_node": 2}, {"devices": ["cpu"]}, 60, Shape(4, 1)),
    ],
)
def test_how_many_elements(cluster: dict[str, Any], run: dict[str, Any], tasks: int, shape: Shape) -> None:
    assert shape_of(Cluster(**cluster), Run(**run), tasks) == shape


@pytest.mark.parametrize(
    ("cluster", "run", "says"),
    [
        ({"gpus_per_node": 8, "gpus_per_element": 3}, {}, "8 GPUs cannot be shared out to elements of 3"),
        ({"gpus_per_node": 8, "gpus_per_element": 4}, {"devices_per_task": 3}, "3 GPUs .* do not fill 4"),
        ({"gpus_per_node": 8}, {"devices": ["cuda:0", "cuda:1"]}, "run.devices: cuda:1, but each element"),
    ],
)
def test_numbers_that_do_not_go_together(cluster: dict[str, Any], run: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        shape_of(Cluster(**cluster), Run(**run), 60)


@pytest.mark.parametrize(
    ("asked", "limit", "seconds", "signal"),
    [
        (120, 8 * 3600.0, 120, 120),
        (120, float("inf"), 120, 120),
        (120, 120.0, 40, 10),
        (30, 60.0, 20, 1),
        (60, 181.0, 60, 60),
    ],
)
def test_most_of_a_short_limit_is_left_for_rendering(asked: int, limit: float, seconds: int, signal: int) -> None:
    grace = Grace.of(Cluster(grace=asked), limit)
    assert grace == Grace(seconds, signal)
    text = script(PATHS, "n", 1, Cluster(grace=asked), Shape(1, 0), grace)
    assert f"B:USR1@{signal}\n" in text and f"--grace {seconds}\n" in text
