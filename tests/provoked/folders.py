"""Output folders and disks that refuse, and looking at what was made."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

from nst_batch.cli import explain
from nst_batch.cli.compact import Ticks
from nst_batch.cli.console import reports_errors
from nst_batch.cli.reading import Reading
from nst_batch.cli.status import export as export_command
from nst_batch.paths import RunPaths
from nst_batch.planning.planned import read_plan, write_plan
from nst_batch.planning.task_table import TaskTable
from nst_batch.recorded import writers
from nst_batch.recorded.compaction import compact
from nst_batch.recorded.manifest import ManifestWriter
from nst_batch.recorded.row_files import export
from nst_batch.records import Failure, OutputFormat, TaskResult
from nst_batch.report.events import export_events
from nst_batch.report.page import write_report
from nst_batch.report.sample import parsed
from nst_batch.running.finishing import Finisher, _put
from nst_batch.running.messages import Job
from nst_batch.running.packing import pack
from nst_batch.running.signals import StopSignals
from tests import lines, tar_files
from tests.provoked.world import World, called, provokes

# --- the output folder, and the disk ---


@provokes("output.dir")
def a_folder_that_cannot_be_entered(world: World) -> None:
    with writers.entered(RunPaths(world.file("out"))):
        pass


@provokes("output.dir")
def a_folder_in_which_no_run_can_begin(world: World) -> None:
    with writers.entrance(RunPaths(world.file("out"))):
        pass


@provokes("out")
def a_run_that_never_gets_going(world: World) -> None:
    world.patch.setattr(writers, "ENTRANCE_SECONDS", -1.0)
    paths = RunPaths(world.folder / "out")
    with writers.entrance(paths), writers.entrance(paths):
        pass


@provokes("c0__s0.png")
def a_run_of_other_pictures_under_the_same_names(world: World) -> None:
    other = world.pipeline({"transfer.steps": "7"})
    with world.pipeline().entered(lambda _: None), other.entered(lambda _: None):
        pass


@provokes("theirs.png")
def a_picture_that_is_not_ours(world: World) -> None:
    world.picture("theirs.png")
    Finisher(RunPaths(world.folder)).check(Job(lines.task("theirs.png")))


@provokes("ours.png")
def a_picture_that_was_altered_meanwhile(world: World) -> None:
    (world.folder / "ours.png").write_bytes(b"by hand")
    Finisher(RunPaths(world.folder)).check(Job(lines.task("ours.png"), owned=True, bytes=9))


@provokes("s.tar")
def an_archive_that_is_not_ours(world: World) -> None:
    tar_files.save(world.folder / "s.tar", {"a.png": b""})
    Finisher(RunPaths(world.folder)).check(Job(lines.task("s.tar/b.png")))


@provokes("s.tar")
def an_archive_that_is_not_ours_to_pack(world: World) -> None:
    tar_files.save(world.folder / "s.tar", {"a.png": b""})
    tar_files.put_loose(RunPaths(world.folder), "s.tar", {"b.png": tar_files.png(1)})
    pack(RunPaths(world.folder), "s.tar")


@provokes("s.tar")
def an_archive_that_goes_on_changing(world: World) -> None:
    path = tar_files.save(world.folder / "s.tar", {})
    tar_files.put_loose(RunPaths(world.folder), "s.tar", {"b.png": tar_files.png(1)})

    def changing() -> bool:
        os.utime(path)
        return False

    pack(RunPaths(world.folder), "s.tar", changing)


def _no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@provokes("a.png")
def a_full_disk(world: World) -> None:
    world.patch.setattr(os, "fsync", _no_room)
    _put(world.folder / "a.png", b"picture")


@provokes("a.png")
def a_disk_that_stays_full(world: World) -> None:
    world.patch.setattr("nst_batch.running.recording.takes", lambda *_: False)
    full = Failure("StorageError", "a.png: No space left on device", "", transient=True)
    with world.scheduler() as (scheduler, ready):
        (task,) = ready.tasks
        scheduler._begin(ready.todo(), {})
        (job,) = scheduler._dealer.next_batch(0, 1)
        scheduler._record([(0, job, TaskResult(task.id, "failed", task.output, error=full))])


@provokes("manifest")
def a_result_that_cannot_be_recorded(world: World) -> None:
    world.file("manifest")
    task = lines.task()
    ManifestWriter(RunPaths(world.folder)).append(task, lines.done(task))


@provokes("out")
def compacting_where_nothing_was_recorded(world: World) -> None:
    compact(RunPaths(world.folder / "out"))


def _two_parts(world: World) -> RunPaths:
    paths, task = RunPaths(world.folder / "out"), lines.task()
    for _ in range(2):
        lines.write(paths, (task, lines.done(task)))
    return paths


@provokes("out")
def two_compactions_at_once(world: World) -> None:
    paths = _two_parts(world)

    def meanwhile(*_: int) -> None:
        compact(paths)

    compact(paths, tick=meanwhile)


@provokes("manifest")
def compacting_without_room(world: World) -> None:
    world.patch.setattr("nst_batch.planning.disk.free", lambda _: 10)
    compact(_two_parts(world))


@provokes("manifest")
def compacting_on_a_disk_that_refuses(world: World) -> None:
    paths = _two_parts(world)
    world.patch.setattr(os, "fsync", _no_room)
    compact(paths)


@provokes("compacting")
def compacting_until_a_signal_comes(world: World) -> None:
    stop = StopSignals()
    stop.stop("SIGINT")
    compact(_two_parts(world), tick=Ticks(stop))


@provokes("5 of 9")
def reading_until_a_signal_comes(world: World) -> None:
    stop = StopSignals()
    stop.stop("SIGINT")
    Reading(stop)(5, 9)


@provokes("images/a.webp")
def a_picture_too_large_for_its_format(world: World) -> None:
    task = replace(lines.task("images/a.webp", fit="native"), format=OutputFormat(".webp"))
    wide = replace(task, content=replace(task.content, width=17_000, height=20))
    Finisher(RunPaths(world.folder)).check(Job(wide))


@provokes("out/x")
def a_system_that_refuses(world: World) -> None:
    @reports_errors
    def command() -> int:
        raise OSError(errno.EMFILE, "Too many open files", "out/x")

    command()


@provokes("memory")
def a_system_without_memory(world: World) -> None:
    @reports_errors
    def command() -> int:
        raise MemoryError

    command()


# --- looking at what was made ---


@provokes("gaty")
def a_preset_that_there_is_not(world: World) -> None:
    called(explain.presets, "gaty")


@provokes("a.png")
def inspecting_what_is_not_there(world: World) -> None:
    called(explain.inspect, world.folder / "a.png")


@provokes("a.png")
def inspecting_what_others_made(world: World) -> None:
    called(explain.inspect, world.picture())


@provokes("export")
def exporting_with_three_names(world: World) -> None:
    called(export_command, [Path("a"), Path("b"), Path("c.csv")])


@provokes("plan.npz")
def a_folder_without_a_run(world: World) -> None:
    read_plan(RunPaths(world.folder))


@provokes("t.xlsx")
def a_table_of_another_kind(world: World) -> None:
    export(world.planned(), world.folder / "t.xlsx")


@provokes("t.csv")
def a_table_that_is_there(world: World) -> None:
    export(world.planned(), world.file("t.csv"))


@provokes("t.csv")
def a_table_that_cannot_be_written(world: World) -> None:
    (world.folder / "t.csv").mkdir()
    export(world.planned(), world.folder / "t.csv", force=True)


@provokes("pyarrow")
def a_table_without_its_library(world: World) -> None:
    world.without("pyarrow")
    export(world.planned(), world.folder / "t.parquet")


@provokes("board")
def a_board_where_something_is(world: World) -> None:
    (world.folder / "board").mkdir()
    world.file("board/x")
    export_events(world.planned(), world.folder / "board")


@provokes("board")
def a_board_that_is_a_file(world: World) -> None:
    export_events(world.planned(), world.file("board"))


@provokes("/proc")
def a_board_that_cannot_be_written(world: World) -> None:
    export_events(world.planned(), Path("/proc/board"))


@provokes("../a.png")
def a_board_of_names_outside(world: World) -> None:
    paths, task = RunPaths(world.folder / "out"), lines.task("../a.png")
    paths.root.mkdir()
    lines.put(paths, task)
    lines.write(paths, (task, lines.done(task)))
    write_plan(paths, TaskTable.of([task]))
    export_events(paths, world.folder / "board")


@provokes("tensorboard")
def a_board_without_its_library(world: World) -> None:
    world.without("tensorboard.compat.proto")
    export_events(world.planned(), world.folder / "board")


@provokes("--sample")
def a_table_of_some(world: World) -> None:
    called(export_command, [world.folder, Path("t.csv")], sample="10")


@provokes("--sample")
def a_sample_that_is_no_number(_: World) -> None:
    parsed("many")


@provokes("report.html")
def a_page_that_cannot_be_written(world: World) -> None:
    paths = world.planned()
    paths.report.mkdir()
    write_report(paths)
