"""What Slurm's commands say, read."""

from __future__ import annotations

from pathlib import Path

import pytest

from nst_batch.cluster import slurm
from nst_batch.cluster.slurm import NEVER, Position, Seen
from nst_batch.errors import UsageError
from nst_batch.planning.shares import ALONE, Part
from tests.cluster.programs import Programs

ELEMENT = {
    "SLURM_JOB_ID": "17", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_MIN": "0",
    "SLURM_ARRAY_TASK_COUNT": "6", "SLURM_RESTART_COUNT": "2", "SLURMD_NODENAME": "node7",
}  # fmt: skip


def test_where_this_process_is() -> None:
    assert slurm.place({}) is None
    assert slurm.place(ELEMENT) == Position("12", "12_3", 3, Part(3, 6), 2, "node7")
    assert slurm.place({"SLURM_JOB_ID": "17"}) == Position("17", "17", 0, ALONE, 0, "")


def test_an_array_with_gaps_has_no_parts() -> None:
    """Someone submits elements 1 and 9 again."""
    assert slurm.place({**ELEMENT, "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "2"}) == Position(
        "12", "12_3", 3, ALONE, 2, "node7"
    )


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("5:03", 303.0),
        ("1:02:03", 3723.0),
        ("2-01:00:00", 176400.0),
        ("UNLIMITED", NEVER),
        ("INVALID", NEVER),
        ("", NEVER),
    ],
)
def test_the_time_that_is_left(said: str, seconds: float, programs: Programs) -> None:
    programs.say("squeue", said)
    assert slurm.seconds_left({"SLURM_JOB_ID": "17"}) == seconds
    assert slurm.seconds_left({}) == NEVER


def test_the_last_element_asks_for_its_own_time(programs: Programs) -> None:
    """Its SLURM_JOB_ID is the array's, of which Slurm lists all elements."""
    programs.say("squeue", "0:40")
    environment = {"SLURM_JOB_ID": "17", "SLURM_ARRAY_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "3"}
    assert slurm.seconds_left(environment | {"SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "0"}) == 40
    assert programs.called() == ["squeue --noheader --jobs=17_3 --format=%L"]


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("90", 5400), ("90:30", 5430), ("1:00:30", 3630), ("2-0", 172800), ("1-2:30", 95400), ("1-0:0:5", 86405)],
)
def test_a_time_in_seconds(time: str, seconds: float) -> None:
    assert slurm.seconds_of(time) == seconds


@pytest.mark.parametrize(
    ("said", "seconds"), [("cpu*|0:30:00\ngpu|1:00:00", 1800.0), ("cpu*|n/a\ngpu|1:00:00", NEVER), ("", NEVER)]
)
def test_the_time_of_who_asks_for_none(said: str, seconds: float, programs: Programs) -> None:
    programs.say("sinfo", said)
    assert slurm.usual(None) == seconds and slurm.usual("gpu") == (3600.0 if said else NEVER)


def test_limits_of_partitions(programs: Programs) -> None:
    programs.say("sinfo", "cpu*|1:00:00\ngpu|2-00:00:00\ngpu|2-00:00:00\nfree|infinite")
    assert [slurm.longest(each) for each in (None, "gpu", "cpu,gpu", "free", "other")] == [
        3600.0, 172800.0, 172800.0, NEVER, NEVER,
    ]  # fmt: skip


def test_what_is_queued(programs: Programs) -> None:
    programs.say(
        "squeue",
        "12|0|RUNNING|node1|None|1:00:00\n12|1|PENDING||BeginTime|8:00:00\n"
        "99|0|RUNNING|node2|None|1:00\n13|N/A|PENDING||Priority|1:00\n13|7|COMPLETING|node1|None|1:00",
    )
    assert slurm.queued(["12", "13"]) == [
        Seen("12", 0, "RUNNING", "node1", "1:00:00 left"),
        Seen("12", 1, "PENDING", "", "BeginTime"),
        Seen("13", 0, "PENDING", "", "Priority"),
        Seen("13", 7, "COMPLETING", "node1", ""),
    ]
    programs.say("squeue", error="slurm_load_jobs error: Unable to contact slurm controller", code=1)
    assert slurm.queued(["12"]) is None


def test_what_accounting_says(programs: Programs) -> None:
    programs.say(
        "sacct", "12_0|COMPLETED|node1|0:0\n12_1|CANCELLED by 0|node2|0:15\n12_[2-3]|PENDING|None assigned|0:0"
    )
    assert slurm.ended(["12"]) == [
        Seen("12", 0, "COMPLETED", "node1", "exit 0:0"),
        Seen("12", 1, "CANCELLED by 0", "node2", "exit 0:15"),
    ]
    programs.say("sacct", error="Slurm accounting storage is disabled", code=1)
    assert slurm.ended(["12"]) == [] and slurm.ended([]) == []


def test_a_job_is_submitted_from_its_folder(programs: Programs, tmp_path: Path) -> None:
    programs.say("sbatch", "4711;cluster")
    assert slurm.submit(tmp_path / "script.sh", tmp_path) == "4711"
    assert programs.called() == [f"sbatch --parsable --chdir={tmp_path} {tmp_path}/script.sh"]


def test_what_slurm_refuses_is_said_in_its_words(programs: Programs, tmp_path: Path) -> None:
    programs.say(
        "sbatch",
        error="sbatch: error: invalid partition specified: x\nsbatch: error: Batch job submission failed",
        code=1,
    )
    with pytest.raises(UsageError) as error:
        slurm.submit(tmp_path / "script.sh", tmp_path)
    assert str(error.value) == "sbatch: invalid partition specified: x; Batch job submission failed"
    programs.say("scancel", error="scancel: error: Kill job error on job id 1: Access denied", code=1)
    with pytest.raises(UsageError, match="scancel 1: Kill job error on job id 1: Access denied"):
        slurm.cancel("1")
    programs.say("scontrol", error="scontrol: error: Job has already finished for job 1", code=1)
    assert slurm.requeue("1") == "Job has already finished for job 1"


def test_the_largest_array(programs: Programs) -> None:
    programs.say("scontrol", "MaxArraySize            = 1001\nMaxJobCount = 10000")
    assert slurm.most_elements() == 1001


def test_a_machine_without_slurm(programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    programs.forget(monkeypatch)
    assert slurm.queued(["1"]) is None and slurm.ended(["1"]) == [] and slurm.most_elements() is None
    assert slurm.longest(None) == NEVER and slurm.seconds_left({"SLURM_JOB_ID": "1"}) == NEVER
    assert slurm.requeue("1_2") == "there is no scontrol on this machine"
    with pytest.raises(UsageError, match="not on this machine") as error:
        slurm.submit(tmp_path / "script.sh", tmp_path)
    assert "--dry-run" in error.value.hint


def test_a_controller_that_does_not_answer(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "PATIENCE_SECONDS", 0.2)
    (programs.calls.parent / "scontrol").write_text("#!/bin/sh\nexec sleep 20\n")
    assert slurm.most_elements() is None, "we do without"
    assert slurm.requeue("1_2") == "scontrol: no answer for 0.2 s"
