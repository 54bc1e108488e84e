"""The command line: parse, call, print, exit code. Heavy modules are imported by the commands that need them."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nst_batch import __version__
from nst_batch.cli_weights import weights_app
from nst_batch.console import print_json, printable, reports_errors, say
from nst_batch.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from nst_batch.decisions import Decision
    from nst_batch.forecasts import Forecaster
    from nst_batch.pipeline import Pipeline
    from nst_batch.progress import ProgressView
    from nst_batch.scheduler import Outcome, Scheduler
    from nst_batch.signals import StopSignals
    from nst_batch.writers import Writer

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

PipelineFile = Annotated[Path, typer.Argument(help="The pipeline file.", metavar="[PIPELINE]")]
Place = Annotated[
    Path, typer.Argument(help="A pipeline file, or the output folder of a run.", metavar="[PIPELINE|RUN]")
]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a value, as transfer.size=512.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Verify = Annotated[bool, typer.Option("--verify", help="Compare the SHA-256 of pictures that are there.")]
Force = Annotated[bool, typer.Option("--force", help="Render everything again.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Try tasks again that were given up.")]


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
    as_json: Json = False,
) -> int:
    """Render what is not there yet.

    Exit status: 0 all done, 1 some tasks failed, 2 bad input, 75 interrupted with work left (run again to go on),
    130 ended by a second Ctrl-C.
    """
    begun = time.monotonic()
    from nst_batch.pipeline import Choices, prepare
    from nst_batch.signals import StopSignals

    overrides = _overrides(sets)
    if devices is not None:
        overrides["run.devices"] = devices if devices == "auto" else f"[{devices}]"
    with StopSignals() as stop:
        ready = prepare(pipeline, overrides, Choices(verify, force, retry_failed), say, download=True)
        _warn_of_broken_lines(ready)
        todo = ready.todo()[:limit]
        outcome = _render(ready, todo, inline, stop) if todo else None
    rendered, failed, elsewhere = (outcome.rendered, outcome.failed, outcome.elsewhere) if outcome else (0, 0, 0)
    counts = ready.counts()
    summary = {
        "tasks": counts["tasks"],
        "done": counts["done"] + rendered + elsewhere,
        "failed": counts["failed"] + failed,
        "todo": counts["todo"] - rendered - elsewhere - failed,
        "rendered": rendered,
        "elsewhere": elsewhere,
        "skipped": counts["done"],
        "seconds": round(time.monotonic() - begun, 3),
    }
    _sum_up(ready, summary, interrupted=bool(stop.seen))
    if as_json:
        print_json(summary)
    if stop.seen and summary["todo"]:
        return ExitCode.RESUBMIT
    return ExitCode.SOME_FAILED if summary["failed"] else ExitCode.DONE


def _render(ready: Pipeline, todo: list[Decision], inline: bool, stop: StopSignals) -> Outcome:
    """Run the scheduler in the run's folder, with a view of its progress."""
    from nst_batch.progress import ProgressView, error_console

    with ready.entered(say) as writer, ProgressView(todo, ready.counts()["done"], error_console()) as view:
        view.note(f"{ready.spec.name}: {_tasks(len(todo))} to render, {ready.counts()['done']} done before")
        scheduler = _scheduler(ready, writer, view, stop)
        return (scheduler.run_inline if inline else scheduler.run)(todo, ready.owned())


def _scheduler(ready: Pipeline, writer: Writer, view: ProgressView, stop: StopSignals) -> Scheduler:
    from nst_batch.devices import choose_devices, choose_threads, grouped, sharing_memory  # torch: two seconds
    from nst_batch.messages import WorkerOptions
    from nst_batch.scheduler import Scheduler

    run = ready.spec.run
    devices = choose_devices(run.devices)
    threads = choose_threads(devices, run.threads)
    devices = grouped(devices, run.devices_per_task)
    batch = None if run.batch == "auto" else run.batch
    limits = ready.spec.limits.records()
    options = WorkerOptions(
        ready.paths.root, ready.weights, threads, batch, run.compile, limits, run.tile, run.memory_limit,
        sharing_memory(devices),
    )  # fmt: skip
    return Scheduler(ready.paths, options, devices, run.retries, run.timeout, writer, ready.news(), view, stop)


def _sum_up(ready: Pipeline, summary: dict[str, Any], *, interrupted: bool) -> None:
    """The last lines of a run."""
    from nst_batch.progress import clock

    if not (summary["rendered"] or summary["elsewhere"] or summary["failed"] or summary["todo"]):
        say(f"nothing to render: all {_tasks(summary['tasks'])} of {ready.spec.name} are done in {ready.paths.root}")
        return
    parts = [f"{summary['rendered']} rendered", f"{summary['skipped']} done before"]
    parts += [f"{summary['elsewhere']} done by another run"] if summary["elsewhere"] else []
    parts += [f"{summary['failed']} failed"] if summary["failed"] else []
    parts += [f"{summary['todo']} left"] if summary["todo"] else []
    say(f"{ready.spec.name}: {', '.join(parts)} in {clock(summary['seconds'])}, pictures in {ready.paths.root}")
    if summary["failed"]:
        _list_failures(ready)
    if interrupted and summary["todo"]:
        say("interrupted; run the same command again to go on")


def _list_failures(ready: Pipeline) -> None:
    """Every failed task with its reason and what to do, from the manifest as it is now."""
    from nst_batch.history import read

    attempts = read(ready.paths).attempts
    failed = [(task, attempts[task.id]) for task in ready.tasks if task.id in attempts]
    for task, attempt in failed[:SHOWN]:
        message, hint = (str(attempt.error.get(key) or "") for key in ("message", "hint"))
        say(f"  failed: {task.output}: {_with_hint(message, hint)}")
    if len(failed) > SHOWN:
        say(f"  … and {len(failed) - SHOWN} more; `nst-batch status` lists them")
    say("  `nst-batch run --retry-failed` tries them again")


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
    from nst_batch.pipeline import Choices, prepare

    ready = prepare(pipeline, _overrides(sets), Choices(verify, force, retry_failed), say)
    _warn_of_broken_lines(ready)
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
    print(f"{ready.spec.name}: {_tasks(counts['tasks'])}: {_in_words(counts)}")
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
    from nst_batch.pipeline import Choices, prepare
    from nst_batch.status import folder_status

    if place.is_dir():
        report = folder_status(place)
    else:
        ready = prepare(place, _overrides(sets), Choices(), say)
        _warn_of_broken_lines(ready)
        failures = {d.task.output: d.detail for d in ready.given_up()}
        hints = {d.task.output: d.hint for d in ready.given_up()}
        report = {"name": ready.spec.name, **ready.counts(), "failures": failures, "hints": hints}
    if as_json:
        report = {**report, "rendered": 0, "skipped": report["done"], "seconds": round(time.monotonic() - begun, 3)}
        print_json(report)
        return ExitCode.DONE
    print(f"{report['name']}: {_tasks(report['tasks'])}: {_in_words(report)}")
    for output, message in list(report["failures"].items())[:SHOWN]:
        print(printable(f"  failed: {output}: {_with_hint(message, report['hints'][output])}"))
    if len(report["failures"]) > SHOWN:
        print(f"  … and {len(report['failures']) - SHOWN} more; --json lists them all")
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


def _overrides(sets: list[str] | None) -> dict[str, str]:
    pairs = {}
    for text in sets or []:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise UsageError(f"--set {text}: write KEY=VALUE, as in --set transfer.size=512")
        pairs[key] = value
    return pairs


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _state(ready: Pipeline, begun: float) -> dict[str, Any]:
    counts = ready.counts()
    return {**counts, "rendered": 0, "skipped": counts["done"], "seconds": round(time.monotonic() - begun, 3)}


def _warn_of_broken_lines(ready: Pipeline) -> None:
    if ready.history.skipped:
        say(f"manifest: {ready.history.skipped} broken lines skipped (a crash, or a full disk)")


def _with_hint(message: str, hint: str) -> str:
    return f"{message} ({hint})" if hint else message


def _tasks(count: int) -> str:
    return f"{count} task" if count == 1 else f"{count} tasks"


def _in_words(counts: dict[str, Any]) -> str:
    return f"{counts['done']} done, {counts['todo']} to do, {counts['failed']} failed"
