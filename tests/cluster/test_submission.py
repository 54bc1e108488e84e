"""Giving a plan to Slurm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nst_batch.cluster.submission import Submission, submitted
from nst_batch.errors import UsageError
from nst_batch.pipeline import Choices, Pipeline, prepare
from nst_batch.planning.frozen import load
from tests import runs
from tests.cluster.programs import Programs

Make = Callable[..., Pipeline]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(**settings: Any) -> Pipeline:
        runs.make_pictures(tmp_path)
        file = runs.write_pipeline(tmp_path, tmp_path / "unused", **settings)
        return prepare(file, {"weights": "random"}, Choices(), print)

    return made


def test_a_job_has_its_plan_its_script_and_its_number(make: Make, programs: Programs) -> None:
    programs.say("sbatch", "4711")
    ready = make(cluster={"nodes": 3, "gpus_per_node": 1})
    made = Submission(ready)
    done = made.submit()
    assert (done.job, done.elements, done.gpus, done.tasks) == ("4711", 3, 1, 4)
    assert submitted(ready.paths) == [(made.paths, done)]
    assert load(made.paths.tasks) == ready.frozen and made.paths.script.read_text() == made.script
    assert made.paths.logs.is_dir(), "Slurm makes no folders"
    tried, given = (call for call in programs.called() if call.startswith("sbatch"))
    assert "--test-only" in tried and "--parsable" in given
    assert f"--chdir={ready.paths.root}" in given and given.endswith(str(made.paths.script))


def test_jobs_are_in_the_order_of_time(make: Make, programs: Programs) -> None:
    ready = make()
    for number in ("2", "1", "3"):
        programs.say("sbatch", number)
        Submission(ready).submit()
    assert [job.job for _, job in submitted(ready.paths)] == ["2", "1", "3"]
    (ready.paths.submissions / "x").mkdir()
    newest, _ = submitted(ready.paths)[-1]
    newest.job.write_text("{")
    assert [job.job for _, job in submitted(ready.paths)] == ["2", "1"], "what is broken is passed over"


def test_of_what_slurm_refuses_nothing_is_left(make: Make, programs: Programs) -> None:
    programs.say("sbatch", error="sbatch: error: no", code=1)
    ready = make()
    with pytest.raises(UsageError, match="sbatch: no"):
        Submission(ready).submit()
    assert not ready.paths.submissions.exists() and submitted(ready.paths) == []


@pytest.mark.parametrize(
    ("cluster", "says"),
    [
        ({"nodes": 4, "gpus_per_node": 1}, "cluster.nodes: 4 elements, but an array may have 3"),
        ({"time": "2:00:00"}, "cluster.time: 2:00:00 is more than the partition's limit of 1 hours"),
    ],
)
def test_what_slurm_would_take_and_never_begin(
    make: Make, programs: Programs, cluster: dict[str, Any], says: str
) -> None:
    programs.say("scontrol", "MaxArraySize = 3")
    programs.say("sinfo", "low*|1:00:00")
    with pytest.raises(UsageError, match=says):
        Submission(make(cluster=cluster)).submit()


def test_a_folder_that_cannot_be_written(make: Make, programs: Programs) -> None:
    ready = make()
    ready.paths.root.mkdir()
    ready.paths.submissions.write_text("a file")
    with pytest.raises(UsageError, match=r"output\.dir: .*cannot be written"):
        Submission(ready).submit()
