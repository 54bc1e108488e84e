"""Slurm's commands, called and read; no other module knows what they print."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nst_batch.errors import UsageError
from nst_batch.planning.shares import ALONE, Part

PATIENCE_SECONDS = 60.0  # a controller under load takes long to answer
SHORT_PATIENCE_SECONDS = 10.0  # where nothing depends on the answer
NEVER = float("inf")
ENDS = frozenset((
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
    "TIMEOUT",
))  # fmt: skip
"""States of a job that is over. In all others it waits, begins (CONFIGURING: its node boots), runs or is leaving."""


@dataclass(frozen=True)
class Position:
    """Where this process is: in which element of which job.

    ``name`` is the element's, as scontrol takes it; ``restarts`` counts how often it was requeued.
    """

    job: str
    name: str
    index: int
    part: Part
    restarts: int
    node: str


@dataclass(frozen=True)
class Seen:
    """What Slurm says of an element: ``state`` in its words, ``detail`` the reason why it waits, or the time it has."""

    job: str
    index: int
    state: str
    node: str = ""
    detail: str = ""


def place(environment: Mapping[str, str]) -> Position | None:
    """Of this process; None: in no job of Slurm's."""
    job = environment.get("SLURM_JOB_ID")
    if not job:
        return None
    array, index = environment.get("SLURM_ARRAY_JOB_ID"), _number(environment, "SLURM_ARRAY_TASK_ID")
    count, first = _number(environment, "SLURM_ARRAY_TASK_COUNT", 1), _number(environment, "SLURM_ARRAY_TASK_MIN")
    whole = array and 0 <= index - first < count  # an array such as 1,5,9 has gaps
    part = Part(index - first, count) if whole else ALONE
    return Position(
        array or job, f"{array}_{index}" if array else job, index, part,
        _number(environment, "SLURM_RESTART_COUNT"), environment.get("SLURMD_NODENAME", ""),
    )  # fmt: skip


def seconds_left(environment: Mapping[str, str]) -> float:
    """Until this job's time limit; infinite where there is none, or nobody tells.

    Slurm is asked for the element: the last one of an array has the array's own number as its SLURM_JOB_ID, for which
    all of its elements are listed.
    """
    here = place(environment)
    told = _ask("squeue", "--noheader", f"--jobs={here.name}", "--format=%L") if here else None
    return NEVER if told is None else _seconds(told.strip())


def submit(script: Path, folder: Path, options: Iterable[str] = ()) -> str:
    """Give a script to Slurm, to be run in ``folder``; the job's id.

    Raises:
        UsageError: Slurm is not here, or does not take it; what it says is in the message.
    """
    told = _sbatch(["--parsable", f"--chdir={folder}", *options, str(script)])
    return told.stdout.strip().splitlines()[-1].partition(";")[0]


def try_out(script: Path, folder: Path) -> str:
    """What Slurm would do with a script, in its words; nothing is submitted.

    Raises:
        UsageError: as ``submit``.
    """
    told = _sbatch(["--test-only", f"--chdir={folder}", str(script)])
    return _said(told).removeprefix("sbatch: ")


def most_elements() -> int | None:
    """How many elements an array may have here; None: nobody tells."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _ask("scontrol", "show", "config") or "", re.MULTILINE)
    return int(found[1]) if found else None


def longest(partitions: str | None) -> float:
    """Seconds that a job may have in these partitions (with commas between them; None: the default one), as Slurm has
    it; infinite where it has no limit, or does not say. Many controllers take a longer job, and never begin it."""
    return max(_times(partitions, "%l"), default=NEVER)


def usual(partitions: str | None) -> float:
    """Seconds that a job gets there which asks for no time; infinite where Slurm does not say."""
    found = _times(partitions, "%L")
    return min(found) if min(found, default=NEVER) < NEVER else longest(partitions)


def _times(partitions: str | None, code: str) -> list[float]:
    wanted = partitions.split(",") if partitions else []
    found = list[float]()
    for line in (_ask("sinfo", "--noheader", f"--format=%P|{code}") or "").splitlines():
        name, limit = line.strip().split("|")
        if name.rstrip("*") in wanted or (name.endswith("*") and not wanted):
            found.append(_seconds(limit))
    return found


def partitions() -> list[str]:
    """Names of the partitions there are; the default one ends with ``*``.

    Raises:
        UsageError: its controller does not answer; what sinfo says is in the message.
    """
    told = _call("sinfo", "--noheader", "--format=%P", patience=SHORT_PATIENCE_SECONDS)
    if told.returncode:
        raise UsageError(f"sinfo has no answer: {_said(told)}", hint="ask on a login node of the cluster")
    return sorted({line.strip() for line in told.stdout.splitlines() if line.strip()})


def seconds_of(time: str) -> float:
    """A time as sbatch takes it: minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes, …"""
    days, dash, rest = time.rpartition("-")
    numbers = [int(each) for each in rest.split(":")]
    if dash:
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
    elif len(numbers) == 3:
        hours, minutes, seconds = numbers
    else:
        hours, minutes, seconds = 0, *(*numbers, 0)[:2]
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60.0 + seconds


def queued(jobs: Iterable[str]) -> list[Seen] | None:
    """Elements that run or wait, of these jobs; None: Slurm is not here, or does not answer."""
    told = _ask("squeue", "--noheader", "--array", "--me", "--format=%F|%K|%T|%N|%r|%L")
    if told is None:
        return None
    found, wanted = [], set(jobs)
    for line in told.splitlines():
        job, index, state, node, reason, left = line.split("|", 5)
        if job in wanted:
            detail = f"{left} left" if state == "RUNNING" else reason.removeprefix("None")
            found.append(Seen(job, int(index) if index.isdecimal() else 0, state, node, detail))
    return found


def ended(jobs: Iterable[str]) -> list[Seen]:
    """Elements as accounting knows them; none where a cluster has no accounting."""
    wanted = ",".join(jobs)
    asked = ("--noheader", "--parsable2", "--allocations", f"--jobs={wanted}", "--format=JobID,State,NodeList,ExitCode")
    found = []
    for line in (_ask("sacct", *asked) or "").splitlines() if wanted else ():
        name, state, node, code = line.split("|", 3)
        job, _, index = name.partition("_")
        if index.isdecimal():
            found.append(Seen(job, int(index), state, node, f"exit {code}"))
    return found


def cancel(job: str) -> None:
    """End a job's elements, those that wait and those that run.

    Raises:
        UsageError: Slurm does not do it.
    """
    told = _call("scancel", job)
    if told.returncode:
        raise UsageError(f"scancel {job}: {_said(told)}", hint="see `squeue --me` for what is yours")


def requeue(name: str) -> str:
    """Put this element back into the queue; why that cannot be done, or nothing."""
    if not shutil.which("scontrol"):
        return "there is no scontrol on this machine"
    try:
        told = _call("scontrol", "requeue", name)
    except UsageError as error:
        return str(error)
    return _said(told) if told.returncode else ""


def _sbatch(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    if not shutil.which("sbatch"):
        raise UsageError(
            "sbatch: not on this machine", hint="submit from a login node; --dry-run prints the script without it"
        )
    told = _call("sbatch", *arguments)
    if told.returncode:
        raise UsageError(f"sbatch: {_said(told)}", hint="see `sinfo` for what there is; --dry-run prints the script")
    return told


def _ask(*command: str) -> str | None:
    """What a command prints; None: it is not here, refuses, or does not answer, and we do without."""
    try:
        told = _call(*command) if shutil.which(command[0]) else None
    except UsageError:
        return None
    return told.stdout if told is not None and told.returncode == 0 else None


def _call(*command: str, patience: float | None = None) -> subprocess.CompletedProcess[str]:
    """Raises UsageError: no answer."""
    patience = PATIENCE_SECONDS if patience is None else patience
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=patience, check=False)
    except subprocess.TimeoutExpired as error:
        raise UsageError(
            f"{command[0]}: no answer for {patience:g} s", hint="its controller may be busy: try again later"
        ) from error


def _said(told: subprocess.CompletedProcess[str]) -> str:
    """A command's message, without its own name before each line."""
    lines = (re.sub(r"^\w+: (error: )?", "", line) for line in told.stderr.strip().splitlines())
    return "; ".join(line for line in lines if line) or f"exit status {told.returncode}"


def _number(environment: Mapping[str, str], name: str, default: int = 0) -> int:
    text = environment.get(name, "")
    return int(text) if text.isdecimal() else default


def _seconds(text: str) -> float:
    """``1-02:03:04``, ``2:03``: days-hours:minutes:seconds."""
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text)
    if not found:
        return NEVER  # UNLIMITED, NOT_SET, INVALID
    days, hours, minutes, seconds = (int(each or 0) for each in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60.0 + seconds
