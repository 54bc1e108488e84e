"""The command line: parse, call, print, exit code. Heavy modules are imported by the commands that need them."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nst_batch import __version__
from nst_batch.cli_cluster import add_cluster_commands, job_report, print_jobs, run_of
from nst_batch.cli_options import Force, Json, PipelineFile, Place, RetryFailed, Sets, Verify
from nst_batch.cli_weights import weights_app
from nst_batch.console import overridden, print_json, printable, reports_errors, say, tasks, with_hint
from nst_batch.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from nst_batch.decisions import Decision
    from nst_batch.forecasts import Forecaster
    from nst_batch.pipeline import Pipeline

SHOWN = 20  # lines of a list on a terminal; --json has them all

app = typer.Typer(
    name="nst-batch",
    help="Render every content x style pair of a pipeline file, on all GPUs, resumably.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: no rich import, and it pastes well
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(weights_app, name="weights")
add_cluster_commands(app)


@app.command()
@reports_errors
def run(
    pipeline: PipelineFile = Path("pipeline.yaml"),
    sets: Sets = None,
    devices: Annotated[
        str | None, typer.Option(help="One worker for each: cuda:0,cuda:1 or cpu,cpu; auto for every GPU.")
    ] = None,
    retry_failed: RetryFailed = False,
    verify: Verify = False,
    force: Force = False,
    inline: Annotated[bool, typer.Option("--inline", help="Render in this process, for debugging.")] = False,
    limit: Annotated[int | None, typer.Option(min=0, help="Render at most so many pictures.")] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="One of N equal shares of the tasks, for machines without a common disk."),
    ] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="ray: on the machines of a Ray cluster, one actor for each GPU.")
    ] = "local",
    address: Annotated[str, typer.Option(help="Of the Ray cluster: auto, HOST:PORT or ray://HOST:PORT.")] = "auto",
    as_json: Json = False,
) -> int:
    """Render what is not there yet.

    Exit status: 0 all done, 1 some tasks failed, 2 bad input, 75 interrupted with work left (run again to go on),
    130 ended by a second Ctrl-C.
    """
    begun = time.monotonic()
    from nst_batch.cli_run import render, sum_up, summary_of, warn_of_broken_lines
    from nst_batch.pipeline import Choices, prepare
    from nst_batch.shares import parse
    from nst_batch.signals import StopSignals

    overrides = overridden(sets)
    if devices is not None:
        overrides["run.devices"] = devices if devices == "auto" else f"[{devices}]"
    with StopSignals() as stop:
        choices = Choices(verify, force, retry_failed, None if shard is None else parse(shard))
        ready = prepare(pipeline, overrides, choices, say, download=True)
        warn_of_broken_lines(ready)
        todo = ready.todo()[:limit]
        outcome = None
        if todo and engine == "ray":
            from nst_batch.cluster.ray_engine import connected

            with connected(address, ready.run) as cluster:
                outcome = render(ready, todo, stop, engine=cluster)
        elif todo:
            outcome = render(ready, todo, stop, inline=inline)
    summary = summary_of(ready, outcome, time.monotonic() - begun)
    sum_up(ready, summary)
    if stop.seen and summary["todo"]:
        say("interrupted; run the same command again to go on")
    if as_json:
        print_json(summary)
    if stop.seen and summary["todo"]:
        return ExitCode.RESUBMIT
    return ExitCode.SOME_FAILED if summary["failed"] else ExitCode.DONE


@app.command()
@reports_errors
def plan(
    pipeline: PipelineFile = Path("pipeline.yaml"),
    sets: Sets = None,
    verify: Verify = False,
    force: Force = False,
    retry_failed: RetryFailed = False,
    as_json: Json = False,
) -> int:
    """Show what would be rendered, and why."""
    begun = time.monotonic()
    from nst_batch.cli_run import warn_of_broken_lines
    from nst_batch.pipeline import Choices, prepare

    ready = prepare(pipeline, overridden(sets), Choices(verify, force, retry_failed), say)
    warn_of_broken_lines(ready)
    ahead = ready.forecaster()
    if as_json:
        listed = [
            {"task": d.task.id, "output": d.task.output, "state": d.state, "reason": d.reason, "detail": d.detail}
            | _forecast(ahead, d)
            for d in ready.decisions
        ]
        total = dataclasses.asdict(ahead.total(d.task for d in ready.todo()))
        print_json({**_state(ready, begun), "reasons": ready.reasons(), "forecast": total, "decisions": listed})
        return ExitCode.DONE
    counts = ready.counts()
    print(f"{ready.name}: {tasks(counts['tasks'])}: {_in_words(counts)}")
    for reason, count in ready.reasons().items():
        print(f"  {count} {reason}")
    if counts["todo"]:
        print(f"  {_in_total(ahead, ready)}")
    _print_decisions([d for d in ready.decisions if d.state != "done"], ahead)
    return ExitCode.DONE


def _forecast(ahead: Forecaster, decision: Decision) -> dict[str, Any]:
    """What is expected of a task that is to be rendered; nothing where the picture's size is not known."""
    found = ahead.of(decision.task) if decision.state == "todo" else None
    return {"forecast": None if found is None else dataclasses.asdict(found)}


def _in_total(ahead: Forecaster, ready: Pipeline) -> str:
    from nst_batch.memory import in_words
    from nst_batch.progress import clock

    total, workers = ahead.total(d.task for d in ready.todo()), ahead.here.workers
    parts = [f"about {clock(total.seconds)} on {workers} worker{'s' * (workers > 1)}"]
    parts += [f"{in_words(total.bytes)} at most{' each' * (workers > 1)}"]
    parts += [f"{total.strips} in strips, to save memory"] if total.strips else []
    parts += [f"{total.too_large} too large for the memory there is"] if total.too_large else []
    return ", ".join(parts) + ("" if ahead.is_measured else " (nothing was measured here yet)")


def _print_decisions(decisions: list[Decision], ahead: Forecaster) -> None:
    from nst_batch.memory import in_words
    from nst_batch.progress import clock

    for decision in decisions[:SHOWN]:
        why = f"{decision.reason}: {decision.detail}" if decision.detail else decision.reason
        gone = "" if decision.state == "todo" else "  (given up; --retry-failed tries again)"
        expected = ahead.of(decision.task) if decision.state == "todo" else None
        takes = f"  {clock(expected.seconds)}, {in_words(expected.bytes)}" if expected else ""
        takes += f", strips of {expected.way.rows} rows" if expected and expected.way.rows else ""
        takes += ", does not fit" if expected and not expected.fits else ""
        print(printable(f"{decision.task.output}  {why}{gone}{takes}"))
    if len(decisions) > SHOWN:
        print(f"… and {len(decisions) - SHOWN} more; --json lists them all")


@app.command()
@reports_errors
def status(place: Place = Path("pipeline.yaml"), sets: Sets = None, as_json: Json = False) -> int:
    """Show what is done, failed and left, from a pipeline file or from a run's folder alone."""
    begun = time.monotonic()
    from nst_batch.cli_run import warn_of_broken_lines
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
    print(f"{report['name']}: {tasks(report['tasks'])}: {_in_words(report)}")
    for output, message in list(report["failures"].items())[:SHOWN]:
        print(printable(f"  failed: {output}: {with_hint(message, report['hints'][output])}"))
    if len(report["failures"]) > SHOWN:
        print(f"  … and {len(report['failures']) - SHOWN} more; --json lists them all")
    print_jobs(jobs)
    return ExitCode.DONE


@app.command(name="export")
@reports_errors
def export_rows(
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
    from nst_batch.rows import export

    if len(places) > 2:
        raise UsageError(f"export: {len(places)} names; write [PIPELINE|RUN] FILE")
    place, file = places if len(places) == 2 else (Path("pipeline.yaml"), places[0])
    count = export(run_of(place, sets), file, force=force)
    say(f"{tasks(count)} in {file}")
    return ExitCode.DONE


@app.command()
@reports_errors
def presets(
    name: Annotated[str | None, typer.Argument(help="Print this one as YAML, ready to paste.")] = None,
) -> int:
    """List the presets, or print one."""
    import yaml

    from nst_batch.presets import PRESETS
    from nst_batch.settings import choices

    if name is None:
        for each in PRESETS:
            print(each)
        return ExitCode.DONE
    if name not in PRESETS:
        raise UsageError(f"no preset {name!r}; {choices(name, PRESETS)}")
    settings = {key: _plain(value) for key, value in dataclasses.asdict(PRESETS[name]).items()}
    print(yaml.safe_dump({"transfer": {"preset": name, **settings}}, sort_keys=False, default_flow_style=None), end="")
    return ExitCode.DONE


@app.command()
@reports_errors
def inspect(
    file: Annotated[Path, typer.Argument(help="A picture that nst_batch made.", metavar="PICTURE")],
    as_json: Json = False,
) -> int:
    """Show what made a picture: its task, inputs, settings and loss, from the file itself."""
    import yaml

    from nst_batch.transfer.metadata import read_metadata

    if not file.is_file():
        raise UsageError(f"no such file: {file}")
    found = read_metadata(file)
    if found is None:
        raise UsageError(f"{file}: nothing of nst_batch's is stored in it", hint="did another program save it again?")
    if as_json:
        print_json(found)
    else:
        print(yaml.safe_dump(found, sort_keys=False, default_flow_style=None, allow_unicode=True), end="")
    return ExitCode.DONE


@app.command()
@reports_errors
def schema() -> int:
    """Print the JSON Schema of a pipeline file, for editors."""
    from nst_batch.spec import PipelineSpec

    print(json.dumps(PipelineSpec.model_json_schema(), indent=2))
    return ExitCode.DONE


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def main() -> None:
    """The console script ``nst-batch``."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # file names hold what a terminal's encoding may not
    app()


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _state(ready: Pipeline, begun: float) -> dict[str, Any]:
    counts = ready.counts()
    return {**counts, "rendered": 0, "skipped": counts["done"], "seconds": round(time.monotonic() - begun, 3)}


def _in_words(counts: dict[str, Any]) -> str:
    return f"{counts['done']} done, {counts['todo']} to do, {counts['failed']} failed"
