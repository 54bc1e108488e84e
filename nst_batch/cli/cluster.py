"""``nst-batch submit``, ``cancel``, ``logs``, and ``work``, which is what each element of a job runs."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nst_batch.cli.console import overridden, print_json, printable, reports_errors, say, tasks
from nst_batch.cli.options import Json, PipelineFile, Place, RetryFailed, Sets, run_of
from nst_batch.errors import ExitCode, NstError, UsageError

if TYPE_CHECKING:
    from nst_batch.cluster.elements import Diary
    from nst_batch.cluster.slurm import Position
    from nst_batch.paths import RunPaths
    from nst_batch.pipeline import Pipeline
    from nst_batch.running.recording import Outcome
    from nst_batch.running.signals import StopSignals


@reports_errors
def submit(
    pipeline: PipelineFile = Path("pipeline.yaml"),
    sets: Sets = None,
    partition: Annotated[str | None, typer.Option(help="As sbatch has it.")] = None,
    account: Annotated[str | None, typer.Option(help="As sbatch has it.")] = None,
    qos: Annotated[str | None, typer.Option(help="As sbatch has it.")] = None,
    time_limit: Annotated[str | None, typer.Option("--time", help="Of each element, as 8:00:00.")] = None,
    nodes: Annotated[int | None, typer.Option(help="As many machines' worth of elements.")] = None,
    gpus_per_node: Annotated[int | None, typer.Option(help="Of each machine; one element for each.")] = None,
    cpus_per_task: Annotated[int | None, typer.Option(help="Cores of each element.")] = None,
    mem: Annotated[str | None, typer.Option(help="Of each element, as 32G.")] = None,
    constraint: Annotated[str | None, typer.Option(help="As sbatch has it.")] = None,
    array_limit: Annotated[int | None, typer.Option(help="Elements that run at once, at most.")] = None,
    extra: Annotated[list[str] | None, typer.Option(help="An option of sbatch, as --extra=--mail-type=END.")] = None,
    retry_failed: RetryFailed = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the script, and submit nothing.")] = False,
    as_json: Json = False,
) -> int:
    """Give what is not rendered yet to Slurm: an array of a few long-lived elements that share the tasks.

    What is not given here stands in the pipeline file, under cluster. Run it again to submit what is left.
    """
    begun = time.monotonic()
    from nst_batch.cli.reading import Reading
    from nst_batch.cluster.submission import Submission
    from nst_batch.pipeline import Choices, prepare

    given = {
        "partition": partition, "account": account, "qos": qos, "time": time_limit, "nodes": nodes,
        "gpus_per_node": gpus_per_node, "cpus_per_task": cpus_per_task, "mem": mem, "constraint": constraint,
        "array_limit": array_limit, "extra": extra,
    }  # fmt: skip
    overrides = {f"cluster.{key}": json.dumps(value) for key, value in given.items() if value is not None}  # as YAML
    choices = Choices(retry_failed=retry_failed)
    with Reading() as reading:
        ready = prepare(pipeline, overridden(sets) | overrides, choices, say, to_run=not dry_run, progress=reading)
    counts = ready.counts()
    report: dict[str, Any] = {**counts, "rendered": 0, "skipped": counts["done"]}
    if not ready.todo():
        say(f"nothing to submit: {ready.name} has {counts['done']} done, {counts['failed']} failed, and nothing to do")
        if as_json:
            print_json(report | {"job": None, "seconds": round(time.monotonic() - begun, 3)})
        return ExitCode.DONE
    made = Submission(ready, retry_failed=retry_failed)
    if dry_run:
        print(made.script, end="")
        return ExitCode.DONE
    _heed_others(ready)
    with ready.entered(say):  # so that it is refused now, not at night, where others render other pictures
        done = made.submit()
    say(f"submitted job {done.job}: {tasks(done.tasks)} of {ready.name}, {made.shape.in_words}")
    if made.grace.seconds < ready.cluster.grace:
        say(f"  elements leave {made.grace.seconds} s before their time limit, a third of it, and not "
            f"{ready.cluster.grace} (cluster.grace)")  # fmt: skip
    for what, command in (("status", "status"), ("output", "logs"), ("to end it", "cancel")):
        say(f"  {what:9} nst-batch {command} {printable(str(ready.paths.root))}")
    if as_json:
        report |= {"job": done.job, "elements": done.elements, "script": str(made.paths.script)}
        print_json(report | {"seconds": round(time.monotonic() - begun, 3)})
    return ExitCode.DONE


def _heed_others(ready: Pipeline) -> None:
    """Raises UsageError: a job that waits or runs would render other pictures under the same names."""
    from nst_batch.cluster.slurm import queued
    from nst_batch.cluster.submission import submitted
    from nst_batch.planning.frozen import load

    jobs = {job.job: paths for paths, job in submitted(ready.paths)}
    ours = ready.tasks
    for job in sorted({seen.job for seen in queued(jobs) or ()}):
        theirs = load(jobs[job].tasks).tasks
        if others := theirs.rendered_otherwise(ours):
            raise UsageError(
                f"job {job} is to render {others[0]} from other pictures or with other settings",
                hint=f"end it first: nst-batch cancel {ready.paths.root}",
            )
        say(f"job {job} is still at work here: both will share what is left")


@reports_errors
def cancel(place: Place = Path("pipeline.yaml"), sets: Sets = None) -> int:
    """End this run's jobs; pictures in hand are kept, and `submit` goes on where they were."""
    from nst_batch.cluster import slurm
    from nst_batch.cluster.submission import submitted

    paths = run_of(place, sets)
    jobs = [job.job for _, job in submitted(paths)]
    waiting = slurm.queued(jobs) if jobs else []
    if waiting is None:
        raise UsageError("squeue: not on this machine, or no answer", hint="cancel from a login node of the cluster")
    found = {job: sum(each.job == job for each in waiting) for job in jobs}
    for job, count in found.items():
        if count:
            slurm.cancel(job)
            say(f"job {job} ended: {count} elements; `nst-batch submit` goes on with what is left")
    if not any(found.values()):
        say(f"no job to end: none of {len(jobs)} is in Slurm's queue" if jobs else "no job to end: none was submitted")
    return ExitCode.DONE


@reports_errors
def logs(
    place: Place = Path("pipeline.yaml"),
    sets: Sets = None,
    element: Annotated[int | None, typer.Option(min=0, help="Of this one alone.")] = None,
    lines: Annotated[int, typer.Option(min=1, help="The last ones of each.")] = 10,
) -> int:
    """Show what the elements of the last job print."""
    from nst_batch.cluster.submission import submitted

    paths = run_of(place, sets)
    jobs = submitted(paths)
    if not jobs:
        raise UsageError(f"{paths.root}: no job was submitted from here", hint="`nst-batch submit` submits one")
    folder, job = jobs[-1]
    ending = "*" if element is None else str(element)
    found = sorted(folder.logs.glob(f"*_{ending}.log"), key=lambda path: int(path.stem.rpartition("_")[2]))
    if not found:
        say(f"job {job.job}: nothing was printed yet in {folder.logs}")
    for path in found:
        print(printable(f"==> {path} <=="))
        for line in path.read_text(errors="replace").splitlines()[-lines:]:
            print(printable(line))
    return ExitCode.DONE


@reports_errors
def work(
    folder: Annotated[Path, typer.Argument(help="A submission's folder.", metavar="SUBMISSION")],
    retry_failed: RetryFailed = False,
    grace: Annotated[int, typer.Option(min=1, help="Seconds before a job's time limit at which to leave.")] = 120,
) -> int:
    """Render what was submitted, beside others who do. Jobs call it: see the script that `submit --dry-run` prints.

    Leaves in good time before a Slurm job's time limit, or at SIGUSR1, and puts itself back into the queue while there
    is work left. Exit status: as `run`.
    """
    begun = time.monotonic()
    from nst_batch.running.signals import StopSignals

    with StopSignals(patient=True) as stop:  # first of all: a job may be pre-empted as soon as it begins
        from nst_batch.cli.rendering import sum_up, summary_of
        from nst_batch.cluster import slurm
        from nst_batch.cluster.elements import Diary
        from nst_batch.paths import SubmissionPaths
        from nst_batch.pipeline import Choices, compare
        from nst_batch.planning.frozen import load

        here = slurm.place(os.environ)
        paths = SubmissionPaths(Path(os.path.abspath(folder)))
        ready = compare(load(paths.tasks), paths.run, Choices(retry_failed=retry_failed))
        diary = Diary(paths, here)
        try:
            outcome = _render(ready, here, grace, stop, diary) if ready.todo() else None
        except NstError as error:
            diary.end("failed", str(error), moved=False)
            raise
        summary = summary_of(ready, outcome, time.monotonic() - begun)
        sum_up(ready, summary)
        return _leave(summary, stop.reasons, here, diary, moved=outcome is None or outcome.moved)


def _render(ready: Pipeline, here: Position | None, grace: float, stop: StopSignals, diary: Diary) -> Outcome:
    from nst_batch.cli.rendering import render
    from nst_batch.cluster.slurm import seconds_left
    from nst_batch.planning.shares import ALONE
    from nst_batch.running.deadline import Deadline

    ahead = ready.forecaster()

    def seconds_of(task: Any) -> float | None:
        found = ahead.of(task)
        return found.seconds if found else None

    def time_left() -> float:
        return seconds_left(os.environ)

    deadline = Deadline(time_left(), grace, seconds_of, again=time_left)
    return render(
        ready, ready.todo(), stop, part=here.part if here else ALONE, deadline=deadline,
        on_entered=lambda writer: diary.begin(writer.name),
    )  # fmt: skip


def _leave(summary: dict[str, Any], reasons: list[str], here: Position | None, diary: Diary, *, moved: bool) -> int:
    """The last word: done, failed, or what is left goes back into the queue."""
    from nst_batch.cluster import slurm

    why = reasons[0] if reasons else ""
    if not (reasons and summary["todo"]):
        diary.end("failed" if summary["failed"] else "done", "", moved=True)
        return ExitCode.SOME_FAILED if summary["failed"] else ExitCode.DONE
    if here is None or "SIGTERM" in reasons or "SIGINT" in reasons:  # pre-empted: Slurm does it; or ended on purpose
        diary.end("left", why, moved=True)
        say(f"interrupted ({why}); what is left goes on where it was when this is begun again")
        return ExitCode.RESUBMIT
    diary.end("requeued", why, moved=moved)
    refused = slurm.requeue(here.name) if diary.may_go_on else "it has not made a step for several restarts"
    if refused:
        diary.correct("left", f"{why}; not requeued: {refused}")
        say(f"interrupted ({why}), and not requeued: {refused}; `nst-batch submit` goes on with what is left")
    else:
        say(f"interrupted ({why}): element {here.name} is back in the queue, and goes on where it was")
    return ExitCode.RESUBMIT


def job_report(paths: RunPaths) -> list[dict[str, Any]]:
    """A run's jobs and their elements, for ``status``."""
    from nst_batch.cluster.elements import elements

    return [
        {**dataclasses.asdict(job), "elements": [dataclasses.asdict(each) for each in found]}
        for job, found in elements(paths)
    ]


def job_lines(jobs: list[dict[str, Any]]) -> list[str]:
    """The same as text: of jobs before the last, only what is still at work."""
    from nst_batch.cluster.elements import is_at_work

    lines = []
    for place, job in enumerate(jobs):
        last, active = place == len(jobs) - 1, [e for e in job["elements"] if is_at_work(e["state"])]
        if not (last or active):
            continue
        lines.append(
            f"job {job['job']}, submitted {job['at'][:16].replace('T', ' ')} UTC: {len(job['elements'])} elements"
        )
        for each in job["elements"] if last else active:
            times = "once" if each["restarts"] == 1 else f"{each['restarts']} times"
            again = f", restarted {times}" if each["restarts"] else ""
            detail = f" ({each['detail']})" if each["detail"] else ""
            pictures = f"{each['pictures']} picture{'s' * (each['pictures'] != 1)}"
            text = f"  {each['index']:3}  {each['state']:11} {each['node']:12} {pictures}{again}{detail}"
            lines.append(printable(text))
    return lines


def may_go_on(jobs: list[dict[str, Any]]) -> bool:
    """Whether any element is at work, or will be."""
    from nst_batch.cluster.elements import is_at_work

    return any(is_at_work(each["state"]) for job in jobs for each in job["elements"])
