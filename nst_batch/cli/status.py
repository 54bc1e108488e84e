"""What became of a run: ``nst-batch status``, ``report``, ``export``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from nst_batch.cli.cluster import job_report, print_jobs
from nst_batch.cli.console import (
    SHOWN,
    in_words,
    overridden,
    print_json,
    printable,
    reports_errors,
    say,
    tasks,
    with_hint,
)
from nst_batch.cli.options import Json, Place, Sets, run_of
from nst_batch.errors import ExitCode, UsageError


@reports_errors
def status(place: Place = Path("pipeline.yaml"), sets: Sets = None, as_json: Json = False) -> int:
    """Show what is done, failed and left, from a pipeline file or from a run's folder alone."""
    begun = time.monotonic()
    from nst_batch.cli.rendering import warn_of_broken_lines
    from nst_batch.paths import RunPaths
    from nst_batch.pipeline import Choices, prepare
    from nst_batch.status import folder_status

    if place.is_dir():
        report = folder_status(place)
    else:
        ready = prepare(place, overridden(sets), Choices(), say)
        warn_of_broken_lines(ready)
        failures = {d.task.output: d.detail for d in ready.given_up()}
        hints = {d.task.output: d.hint for d in ready.given_up()}
        report = {"name": ready.name, **ready.counts(), "failures": failures, "hints": hints}
    jobs = job_report(RunPaths(place if place.is_dir() else ready.paths.root))
    if as_json:
        report = {**report, "rendered": 0, "skipped": report["done"], "seconds": round(time.monotonic() - begun, 3)}
        print_json({**report, "jobs": jobs})
        return ExitCode.DONE
    print(f"{report['name']}: {tasks(report['tasks'])}: {in_words(report)}")
    for output, message in list(report["failures"].items())[:SHOWN]:
        print(printable(f"  failed: {output}: {with_hint(message, report['hints'][output])}"))
    if len(report["failures"]) > SHOWN:
        print(f"  … and {len(report['failures']) - SHOWN} more; --json lists them all")
    print_jobs(jobs)
    return ExitCode.DONE


@reports_errors
def export(
    places: Annotated[
        list[Path],
        typer.Argument(
            help="A pipeline file, or the output folder of a run; and the file: .csv, .jsonl or .parquet.",
            metavar="[PIPELINE|RUN] FILE",
        ),
    ],
    sets: Sets = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> int:
    """Write all that is known of a run's tasks into a table, one row each."""
    from nst_batch.rows import export as write

    if len(places) > 2:
        raise UsageError(f"export: {len(places)} names; write [PIPELINE|RUN] FILE")
    place, file = places if len(places) == 2 else (Path("pipeline.yaml"), places[0])
    count = write(run_of(place, sets), file, force=force)
    say(f"{tasks(count)} in {file}")
    return ExitCode.DONE


@reports_errors
def report(
    place: Place = Path("pipeline.yaml"),
    sets: Sets = None,
    beside: Annotated[
        bool, typer.Option("--beside", help="Keep small pictures beside the page, not inside it: for thousands.")
    ] = False,
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> int:
    """Write a page to look at: every picture, in a grid of contents and styles."""
    from nst_batch.report.page import write_report

    page = write_report(run_of(place, sets), where="beside" if beside else "inside")
    print(printable(str(page)))
    if show:
        typer.launch(str(page))
    return ExitCode.DONE
