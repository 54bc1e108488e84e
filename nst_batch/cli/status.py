"""What became of a run: ``nst-batch status``, ``report``, ``export``."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nst_batch.cli.cluster import job_report
from nst_batch.cli.console import overridden, print_json, printable, reports_errors, say, tasks
from nst_batch.cli.options import Json, Place, Sets, run_of
from nst_batch.errors import ExitCode, UsageError
from nst_batch.paths import RunPaths

if TYPE_CHECKING:
    from nst_batch.report.page import Where
    from nst_batch.running.overview import Overview

TOLD_SECONDS = 10.0


@reports_errors
def status(
    place: Place = Path("pipeline.yaml"),
    sets: Sets = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing it until the run is over.")] = False,
    as_json: Json = False,
) -> int:
    """Show what is done, failed, left and going on, from a pipeline file or from a run's folder alone."""
    begun = time.monotonic()
    from nst_batch.cli.figures import show
    from nst_batch.cli.overviews import facts, lines
    from nst_batch.running.overview import Follower

    if watch:
        from nst_batch.cli.watch import follow

        return follow(run_of(place, sets), as_json=as_json)
    if place.is_dir():
        paths = RunPaths(place)
        seen = Follower(paths).look()
    else:
        paths, seen = _by_file(place, sets)
    jobs = job_report(paths)
    if as_json:
        print_json(facts(seen, jobs, begun))
    else:
        show(lambda width: lines(seen, jobs, width))
    return ExitCode.DONE


def _by_file(file: Path, sets: list[str] | None) -> tuple[RunPaths, Overview]:
    """Tasks as the file has them now, and what goes on in its folder."""
    from nst_batch.cli.reading import Reading
    from nst_batch.cli.rendering import warn_of_broken_lines
    from nst_batch.pipeline import Choices, prepare
    from nst_batch.running.overview import Follower, nothing_yet

    with Reading() as reading:
        ready = prepare(file, overridden(sets), Choices(), say, progress=reading)
    warn_of_broken_lines(ready)
    paths, name, counts = ready.paths, ready.name, ready.counts()
    given_up = {each.task.output: (each.detail, each.hint) for each in ready.given_up()}
    del ready  # what follows reads as much again
    try:
        seen = Follower(paths).look()
    except UsageError:
        seen = nothing_yet(paths)
    return paths, seen.with_counts(name, counts, given_up)


@reports_errors
def export(
    places: Annotated[
        list[Path],
        typer.Argument(
            help="A pipeline file, or the output folder of a run; and the file: .csv, .jsonl or .parquet. "
            "With --tensorboard, a folder.",
            metavar="[PIPELINE|RUN] FILE",
        ),
    ],
    sets: Sets = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Losses by evaluation and small pictures, as TensorBoard reads them.")
    ] = False,
    sample: Annotated[
        str | None,
        typer.Option(
            metavar="N|all", help="With --tensorboard: so many pictures. Default: all up to 5000, 500 of more."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another one chooses other pictures.")] = 0,
) -> int:
    """Write all that is known of a run's tasks into a table, one row each."""
    if len(places) > 2:
        raise UsageError(f"export: {len(places)} names; write [PIPELINE|RUN] FILE")
    place, file = places if len(places) == 2 else (Path("pipeline.yaml"), places[0])
    if tensorboard:
        from nst_batch.report.events import export_events
        from nst_batch.report.sample import parsed

        count, done = export_events(run_of(place, sets), file, force=force, most=parsed(sample), seed=seed)
        what = f"{count} of {done}" if count < done else f"{count}"
        say(f"{what} picture{'s' * (done != 1)} in {file}: tensorboard --logdir {shlex.quote(str(file))}")
        return ExitCode.DONE
    if sample is not None:
        raise UsageError(f"--sample {sample}: a table has all rows", hint="leave it out, or add --tensorboard")
    from nst_batch.recorded.row_files import export as write

    say(f"{tasks(write(run_of(place, sets), file, force=force, tick=_Ticks()))} in {file}")
    return ExitCode.DONE


class _Ticks:
    """Says now and then how far a large table is."""

    def __init__(self) -> None:
        self._next = time.monotonic() + TOLD_SECONDS

    def __call__(self, done: int, of: int) -> None:
        if time.monotonic() >= self._next:
            self._next += TOLD_SECONDS
            say(f"export: {done:,} of {of:,} rows")


@reports_errors
def report(
    place: Place = Path("pipeline.yaml"),
    sets: Sets = None,
    sample: Annotated[
        str | None,
        typer.Option(
            metavar="N|all",
            help="Show so many pictures: failures, and others from all over. Default: all up to 5000, 500 of more.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another one shows other pictures.")] = 0,
    beside: Annotated[
        bool | None,
        typer.Option(
            "--beside/--inside",
            help="Keep small pictures beside the page or inside it. Default: inside, but for samples of more than 400.",
            show_default=False,
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> int:
    """Write a page to look at: every picture, in a grid of contents and styles, or a sample of many."""
    from nst_batch.report.keeper import goes_on
    from nst_batch.report.page import write_report
    from nst_batch.report.sample import parsed

    most, paths = parsed(sample), run_of(place, sets)
    where: Where | None = None if beside is None else "beside" if beside else "inside"
    page = write_report(paths, where=where, live=goes_on(paths), most=most, seed=seed)
    print(printable(str(page)))
    if show:
        typer.launch(str(page))
    return ExitCode.DONE
