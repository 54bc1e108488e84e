"""Files and results of finished transfers, made in a thread of their own."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
import torch
from PIL import Image

from nst_batch.archives import tar_outputs
from nst_batch.errors import OutputError
from nst_batch.paths import RunPaths
from nst_batch.records import Losses, Source, Style, Task, TaskResult
from nst_batch.running.finishing import Finisher
from nst_batch.running.messages import Job
from nst_batch.running.packing import pack
from nst_batch.settings import TransferSettings
from nst_batch.transfer.member import Stylized
from nst_batch.transfer.weights import RANDOM
from tests import runs, tar_files

SOURCE = Source("a.png", "0" * 64, 1, 20, 10)


def job(output: str, *, owned: bool = False) -> Job:
    return Job(Task("0" * 32, SOURCE, (Style(SOURCE),), TransferSettings(), RANDOM, output), owned=owned)


def stylized(grey: float) -> Stylized:
    losses = Losses(1.5, 1.0, 0.5, {})
    return Stylized(
        torch.full((1, 3, 10, 20), grey),
        None,
        losses,
        ((1, 2.0),),
        {"tv": (2.0,)},
        7,
        0,
        0,
        ((20, 10, 7),),
        False,
        None,
        (),
        "fp32",
    )


def common(output: str) -> TaskResult:
    return TaskResult("0" * 32, "failed", output, seconds=3.0, together=2)


def test_a_picture_becomes_a_file_and_then_a_result(tmp_path: Path) -> None:
    finisher, found = Finisher(RunPaths(tmp_path)), list[tuple[TaskResult, bool, str]]()

    def on_result(result: TaskResult) -> None:
        found.append((result, (tmp_path / result.output).is_file(), threading.current_thread().name))

    for place in range(3):
        finisher.finish(job(f"sub/{place}.png"), stylized(place / 4), common(f"sub/{place}.png"), on_result)
    finisher.wait()
    assert [(result.output, result.status, there) for result, there, _ in found] == [
        (f"sub/{place}.png", "done", True) for place in range(3)
    ]
    first, _, thread = found[0]
    assert thread != threading.current_thread().name
    assert (first.evaluations, first.width, first.height, first.together) == (7, 20, 10, 2) and first.seconds > 3
    with Image.open(tmp_path / "sub" / "2.png") as image:
        assert image.getpixel((3, 3)) == (128, 128, 128)


def test_a_file_that_cannot_be_written_is_a_failed_result_that_may_pass(tmp_path: Path) -> None:
    (tmp_path / "sub").write_text("a file where a folder should be")
    finisher, found = Finisher(RunPaths(tmp_path)), list[TaskResult]()
    finisher.finish(job("sub/a.png"), stylized(0.5), common("sub/a.png"), found.append)
    finisher.finish(job("b.png"), stylized(0.5), common("b.png"), found.append)
    finisher.wait()
    assert [result.status for result in found] == ["failed", "done"]
    assert found[0].error is not None and found[0].error.transient and found[0].error.hint


def no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_named_as_such_with_what_it_would_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finisher, found = Finisher(RunPaths(tmp_path)), list[TaskResult]()
    monkeypatch.setattr(os, "fsync", no_room)  # the border to the disk
    finisher.finish(job("a.png"), stylized(0.5), common("a.png"), found.append)
    finisher.wait()
    (result,) = found
    assert result.error is not None and (result.error.type, result.error.transient) == ("StorageError", True)
    assert result.error.message == f"{tmp_path / 'a.png'}: No space left on device" and result.bytes > 100
    assert not list(tmp_path.iterdir())


def test_somebody_elses_file_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    finisher = Finisher(RunPaths(tmp_path))
    runs.save_picture(tmp_path / "theirs.png", seed=1)
    finisher.check(job("free.png"))
    finisher.check(job("theirs.png", owned=True))
    with pytest.raises(OutputError, match=r"theirs\.png is there"):
        finisher.check(job("theirs.png"))


def test_what_cannot_be_told_is_no_secret(tmp_path: Path) -> None:
    """The pipe to the scheduler has gone: the worker has to know."""

    def broken(_: TaskResult) -> None:
        raise BrokenPipeError

    finisher = Finisher(RunPaths(tmp_path))
    finisher.finish(job("a.png"), stylized(0.5), common("a.png"), broken)
    with pytest.raises(BrokenPipeError):
        finisher.wait()


def in_archive(tmp_path: Path, **changes: bool) -> tuple[Job, Finisher]:
    """A picture from one tar file, with labels there, that is to go into another."""
    members = {"n/a.png": tar_files.png(1), "n/a.cls": b"7", "n/a.mask.png": tar_files.png(2)}
    source = Source(f"{tar_files.save(tmp_path / 'in.tar', members)}/n/a.png", "0" * 64, 1, 20, 10)
    task = Task("0" * 32, source, (Style(SOURCE),), TransferSettings(), RANDOM, "out.tar/n/a__s.png")
    return Job(task), Finisher(RunPaths(tmp_path / "run"), **changes)


@pytest.mark.parametrize("sidecars", [True, False])
def test_a_picture_for_an_archive_is_loose_and_has_its_labels(tmp_path: Path, sidecars: bool) -> None:
    (job, finisher), found = in_archive(tmp_path, sidecars=sidecars), list[TaskResult]()
    finisher.check(job)
    finisher.finish(job, stylized(0.5), common(job.task.output), found.append)
    finisher.wait()
    assert [(result.status, result.output) for result in found] == [("done", "out.tar/n/a__s.png")]
    loose = tmp_path / "run" / "out.tar.loose" / "n"
    assert {path.name for path in loose.iterdir()} == {"a__s.png"} | ({"a__s.cls"} if sidecars else set())
    paths = RunPaths(tmp_path / "run")
    assert pack(paths, "out.tar") == 1 + sidecars
    assert tar_outputs.sha256(paths, job.task.output) == found[0].sha256
    assert not sidecars or tar_outputs.read(paths, "out.tar/n/a__s.cls") == b"7"
    finisher.check(job)  # what is in it is ours


def test_labels_that_cannot_be_read_are_a_failed_result(tmp_path: Path) -> None:
    (job, finisher), found = in_archive(tmp_path), list[TaskResult]()
    (tmp_path / "in.tar").write_bytes(b"text")
    finisher.finish(job, stylized(0.5), common(job.task.output), found.append)
    finisher.wait()
    assert found[0].error is not None and "in.tar: not a tar file" in found[0].error.message
    assert not (tmp_path / "run").exists()


def test_somebody_elses_archive_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    job, finisher = in_archive(tmp_path)
    (tmp_path / "run").mkdir()
    tar_files.save(tmp_path / "run" / "out.tar", {"theirs.png": b""})
    for each in (job, Job(job.task, owned=True)):  # our line is of an archive that was there before
        with pytest.raises(OutputError, match=r"out\.tar is there, and cannot be added to: nst_batch did not make all"):
            finisher.check(each)
    (tmp_path / "run" / "out.tar").unlink()
    tar_files.put_loose(RunPaths(tmp_path / "run"), "out.tar", {"n/a__s.png": tar_files.png(1, ours=False)})
    with pytest.raises(OutputError, match=r"out\.tar\.loose/n/a__s\.png is there, and nst_batch did not make it"):
        finisher.check(job)
