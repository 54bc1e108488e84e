"""A run on the command line: the scheduler at work in the run's folder, somebody watching, and a last word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from nst_batch import environment
from nst_batch.archives.tar_outputs import archives
from nst_batch.cli.console import say, tasks, tell
from nst_batch.cli.events import EventLog
from nst_batch.cli.failures import altered_line, failure_lines
from nst_batch.cli.figures import clock, per_hour, show
from nst_batch.cli.progress import ProgressView, error_console
from nst_batch.paths import ARCHIVE_SUFFIX
from nst_batch.pipeline import Pipeline
from nst_batch.planning.shares import ALONE, Part
from nst_batch.recorded.alike import NAMED
from nst_batch.recorded.decisions import Decision
from nst_batch.recorded.writers import Writer
from nst_batch.running.deadline import NEVER, Deadline
from nst_batch.running.live import LiveFile
from nst_batch.running.observers import Observer, Observers
from nst_batch.running.signals import StopSignals
from nst_batch.running.tally import Tally

if TYPE_CHECKING:
    from nst_batch.cluster.ray_engine import RayEngine
    from nst_batch.running.links import Start
    from nst_batch.running.messages import WorkerOptions
    from nst_batch.running.recording import Outcome


def render(
    ready: Pipeline,
    todo: Sequence[Decision],
    stop: StopSignals,
    *,
    inline: bool = False,
    part: Part = ALONE,
    deadline: Deadline = NEVER,
    on_entered: Callable[[Writer], None] = lambda _: None,
    engine: RayEngine | None = None,
    events: bool = False,
) -> Outcome:
    """Render what is to do; beside others, perhaps, that do the same in this folder.

    Args:
        ready: the pipeline.
        todo: of its decisions.
        stop: signals, entered by the caller.
        inline: in this process.
        part: which of several that begin together this is.
        deadline: when it has to be over.
        on_entered: told who we are, once it is certain that we may write there.
        engine: a cluster whose actors render; None: processes of this machine do.
        events: whether programs read what happens, or people.
    """
    from nst_batch.report.keeper import PageKeeper, wanted, write_last
    from nst_batch.running.packer import Packer

    paged = wanted(ready.run.report, len(ready.tasks))
    with ready.entered(say) as writer, ExitStack() as watching:
        on_entered(writer)
        tally = Tally(todo, ready.counts()["done"], _how_many(ready, engine), ready.forecaster())
        watching.enter_context(live := LiveFile(ready.paths, writer.name, tally))
        if events:
            shown: Observer = EventLog(tally, ready.paths)
            tell("run_started", name=ready.name, folder=str(ready.paths.root), writer=writer.name, **ready.counts(),
                 rendering=len(todo))  # fmt: skip
        else:
            watching.enter_context(view := ProgressView(tally, error_console()))
            view.note(f"{ready.name}: {tasks(len(todo))} to render, {ready.counts()['done']} done before")
            shown = view
        with environment.applied(environment.OPENMP if inline else {}):
            from nst_batch.running.scheduler import Scheduler  # torch: two seconds

        devices, options, begin = _workers(ready, engine)
        run = ready.run
        heard: list[Observer] = [tally, live, shown]
        if found := _archives(ready):
            left = ready.todo()  # of them, this may be a part only
            outputs = (left.tasks.outputs[row] for row in left.rows.tolist())
            heard.append(watching.enter_context(Packer(ready.paths, found, outputs, shown.note, lambda: stop.seen)))
        if paged:
            heard.append(watching.enter_context(PageKeeper(ready.paths, len(ready.tasks), writer.is_first)))
        scheduler = Scheduler(
            ready.paths, options, devices, run.retries, run.timeout, writer, ready.news(),
            Observers(*heard), stop, part, deadline, begin,
        )  # fmt: skip
        outcome = (scheduler.run_inline if inline else scheduler.run)(todo, ready.owned())
    if paged and not stop.seen and (problem := write_last(ready.paths, len(ready.tasks))):
        say(f"no report: {problem}; `nst-batch report` tries again")
    return outcome


def pack_rest(ready: Pipeline, stop: StopSignals) -> None:
    """Pack what a run has left loose that was ended when all was rendered."""
    from nst_batch.running.packer import Packer

    if found := _archives(ready):
        with Packer(ready.paths, found, (), say, lambda: stop.seen):
            pass


def _archives(ready: Pipeline) -> Counter[str]:
    """The tar files into which pictures go."""
    outputs = ready.tasks.outputs
    return archives(outputs) if outputs.mention(f"{ARCHIVE_SUFFIX}/") else Counter()


def _how_many(ready: Pipeline, engine: RayEngine | None) -> int:
    """Workers there will be, as far as can be told before torch is there."""
    return ready.forecaster().here.workers if engine is None else len(engine.devices)


def _workers(ready: Pipeline, engine: RayEngine | None) -> tuple[Sequence[str], WorkerOptions, Start]:
    """What each worker renders on, what all of them are told, and how one begins."""
    from nst_batch.running.devices import choose_devices, choose_threads, grouped, sharing_memory
    from nst_batch.running.messages import WorkerOptions
    from nst_batch.running.processes import WorkerProcess

    run, begin = ready.run, WorkerProcess if engine is None else engine.start
    if engine is None:
        alone = choose_devices(run.devices)
        devices, threads = grouped(alone, run.devices_per_task), choose_threads(alone, run.threads)
        sharing = sharing_memory(devices)
    else:
        devices, threads, sharing = engine.devices, engine.threads, engine.sharing
    batch = None if run.batch == "auto" else run.batch
    options = WorkerOptions(
        ready.paths.root, ready.weights, threads, batch, run.compile, ready.frozen.limits, run.tile,
        run.memory_limit, sharing, run.labels == "copy",
    )  # fmt: skip
    return devices, options, begin


def summary_of(ready: Pipeline, outcome: Outcome | None, seconds: float) -> dict[str, Any]:
    """What has become of a run's tasks; ``outcome`` is None where there was nothing to do."""
    rendered, failed, elsewhere = (outcome.rendered, outcome.failed, outcome.elsewhere) if outcome else (0, 0, 0)
    counts = ready.counts()
    hours = seconds / 3600
    return {
        "tasks": counts["tasks"],
        "done": counts["done"] + rendered + elsewhere,
        "altered": len(ready.altered()),
        "failed": counts["failed"] + failed,
        "todo": counts["todo"] - rendered - elsewhere - failed,
        "rendered": rendered,
        "elsewhere": elsewhere,
        "skipped": counts["done"],
        "left_out": ready.left_out_facts(),
        "seconds": round(seconds, 3),
        "pictures_per_hour": round(rendered / hours, 1) if hours else 0.0,
        "evaluations_per_second": round(outcome.evaluations / seconds, 2) if outcome and seconds else 0.0,
    }


def sum_up(ready: Pipeline, summary: dict[str, Any]) -> None:
    """The last lines of a run."""
    if not (summary["rendered"] or summary["elsewhere"] or summary["failed"] or summary["todo"]):
        say(f"nothing to render: all {tasks(summary['tasks'])} of {ready.name} are done in {ready.paths.root}")
        _tell_altered(ready)
        return
    parts = [f"{summary['rendered']} rendered", f"{summary['skipped']} done before"]
    parts += [f"{summary['elsewhere']} done by another run"] if summary["elsewhere"] else []
    parts += [f"{summary['failed']} failed"] if summary["failed"] else []
    parts += [f"{summary['todo']} left"] if summary["todo"] else []
    say(f"{ready.name}: {', '.join(parts)} in {clock(summary['seconds'])}")
    if summary["rendered"]:
        say(f"  {per_hour(summary['pictures_per_hour'])}, {summary['evaluations_per_second']:.1f} evaluations/s")
    say(f"  pictures in {ready.paths.root}")
    if summary["rendered"] or summary["skipped"]:
        page = ready.paths.report
        say(f"  report: {page if page.exists() else f'nst-batch report {page.parent}'}")
    _tell_altered(ready)
    if summary["failed"]:
        _list_failures(ready)


def _tell_altered(ready: Pipeline) -> None:
    if altered := ready.altered():
        say(altered_line(len(altered), [each.task.output for each in altered[:NAMED]]))


def _list_failures(ready: Pipeline) -> None:
    """Why tasks failed and what to do, from the manifest as it is now."""
    from nst_batch.recorded.alike import groups
    from nst_batch.recorded.history import last_words, read

    attempts = read(ready.paths).attempts
    tasks = ready.decisions.tasks
    failed = {tasks.outputs[row]: last_words(tried) for task, tried in attempts.items() for row in tasks.rows_of(task)}
    found = groups(failed)
    show(lambda width: failure_lines(found, width), error_console())


def warn_of_broken_lines(ready: Pipeline) -> None:
    """Say it when the manifest could not be read whole."""
    if ready.history.skipped:
        say(f"manifest: {ready.history.skipped} broken lines skipped (a crash, or a full disk)")
