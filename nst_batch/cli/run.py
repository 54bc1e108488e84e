"""``nst-batch run``."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from nst_batch.cli.console import overridden, print_json, reports_errors, say, speak_in_events, tell
from nst_batch.cli.options import Force, Json, PipelineFile, RetryFailed, Sets, Verify
from nst_batch.errors import ExitCode


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
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Tell what happens as JSON objects on standard error, for programs.")
    ] = False,
) -> int:
    """Render what is not there yet.

    Exit status: 0 all done, 1 some tasks failed, 2 bad input, 75 interrupted with work left (run again to go on),
    130 ended by a second Ctrl-C.
    """
    begun = time.monotonic()
    if log_json:
        speak_in_events()
    from nst_batch.cli.reading import Reading
    from nst_batch.cli.rendering import pack_rest, render, sum_up, summary_of, warn_of_broken_lines
    from nst_batch.pipeline import Choices, prepare
    from nst_batch.planning.shares import parse
    from nst_batch.running.signals import StopSignals

    overrides = overridden(sets)
    if devices is not None:
        overrides["run.devices"] = devices if devices == "auto" else f"[{devices}]"
    with StopSignals() as stop:
        choices = Choices(verify, force, retry_failed, None if shard is None else parse(shard))
        with Reading(stop, as_events=log_json) as reading:
            ready = prepare(pipeline, overrides, choices, say, to_run=True, progress=reading)
        warn_of_broken_lines(ready)
        todo = ready.todo()[:limit]
        outcome = None
        if todo and engine == "ray":
            from nst_batch.cluster.ray_engine import connected

            with connected(address, ready.run) as cluster:
                outcome = render(ready, todo, stop, engine=cluster, events=log_json)
        elif todo:
            outcome = render(ready, todo, stop, inline=inline, events=log_json)
        else:
            pack_rest(ready, stop)
    summary = summary_of(ready, outcome, time.monotonic() - begun)
    if log_json:
        tell("run_finished", **summary, interrupted=bool(stop.seen and summary["todo"]))
    else:
        sum_up(ready, summary)
        if stop.seen and summary["todo"]:
            say("interrupted; run the same command again to go on")
    if as_json:
        with contextlib.suppress(BrokenPipeError):  # whoever has gone away: the run is what it is
            print_json(summary)
    if stop.seen and summary["todo"]:
        return ExitCode.RESUBMIT
    return ExitCode.SOME_FAILED if summary["failed"] else ExitCode.DONE
