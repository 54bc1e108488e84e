"""From a finished transfer to a file in place and a result, while the device is at the next one already."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from nst_batch import __version__
from nst_batch.archives import tar_outputs, tars
from nst_batch.archives.tar_headers import key_of
from nst_batch.atomic import write_atomic
from nst_batch.errors import OUT_OF_ROOM, OutputError, StorageError
from nst_batch.paths import RunPaths, archive_of
from nst_batch.pipeline_file.file_kinds import IMAGE_SUFFIXES
from nst_batch.recorded.status import is_of
from nst_batch.records import Failure, Task, TaskResult, utc_now
from nst_batch.running.checkpoints import Checkpoints
from nst_batch.running.messages import Job
from nst_batch.sizes import size_of
from nst_batch.transfer.encode import encode
from nst_batch.transfer.member import Stylized
from nst_batch.transfer.metadata import made_by_us, of_content

OnResult = Callable[[TaskResult], None]
"""Told each result, in another thread than that which asked for it."""


class Finisher:
    """Encodes and writes pictures, one after another, in a thread of its own.

    Args:
        paths: of the run; pictures are written below its root.
        sidecars: whether labels that stand beside a content in its tar file go with the picture, where that goes into
            a tar file too.
    """

    def __init__(self, paths: RunPaths, *, sidecars: bool = True) -> None:
        self._paths = paths
        self._sidecars = sidecars
        self._checkpoints = Checkpoints(paths)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="finisher")
        self._pending: list[Future[None]] = []

    def check(self, job: Job) -> None:
        """See to it that the picture may be written, before it is made.

        Raises:
            OutputError: a file is there that may not be replaced, or the format does not hold so large a picture.
        """
        if refusal := job.task.format.refusal(*size_of(job.task)):
            raise OutputError(f"{job.task.output}: {refusal}")
        archive = archive_of(job.task.output)
        if archive and (objection := tar_outputs.objection(self._paths, archive[0])):
            raise OutputError(
                f"{self._paths.root / archive[0]} is there, and cannot be added to: {objection}",
                hint="move it away, or change output.dir or output.name; then run --retry-failed",
            )
        self._refuse_to_replace(job)

    def _refuse_to_replace(self, job: Job) -> None:
        """Never overwrite what this run did not make, nor what somebody has altered since.

        A picture whose line was lost with its run carries our mark.

        Raises:
            OutputError: such a file is there.
        """
        target = self._paths.written(job.task.output)
        try:
            size = target.stat().st_size
        except OSError:
            return
        if not job.owned and not made_by_us(target):
            raise OutputError(
                f"{target} is there, and nst_batch did not make it",
                hint="move it away, or change output.dir or output.name; then run --retry-failed",
            )
        if size and job.bytes not in (None, size) and not is_of(self._paths, job.task.output, job.task.id):
            raise OutputError(
                f"{target} was altered since it was rendered, and is kept", hint="move it away, or run with --force"
            )

    def finish(self, job: Job, stylized: Stylized, common: TaskResult, on_result: OnResult) -> None:
        """Put a picture in place, soon.

        Args:
            job: whose it is.
            stylized: the picture.
            common: what the result has in common with those rendered with it; a failed one until more is known.
            on_result: told what became of it.
        """
        here = dataclasses.replace(stylized, image=stylized.image.cpu())
        self._pending.append(self._thread.submit(self._finish, job, here, common, on_result))

    def wait(self) -> None:
        """Until all is in place and told."""
        done, self._pending = wait(self._pending).done, []
        for future in done:
            future.result()  # what on_result raised

    def _finish(self, job: Job, stylized: Stylized, common: TaskResult, on_result: OnResult) -> None:
        begun = time.perf_counter()
        try:
            given_up = (*common.given_up, *stylized.given_up)
            self._refuse_to_replace(job)  # once more: it took a while
            fields = {"status": "done", "given_up": given_up, **self._write(job.task, stylized)}
        except Exception as error:  # noqa: BLE001 - whatever a disk or an encoder may have against one picture
            fields = {"error": Failure.of(error), "bytes": getattr(error, "bytes_wanted", 0)}
        seconds = common.seconds + time.perf_counter() - begun
        on_result(dataclasses.replace(common, **fields, seconds=seconds, finished=utc_now()))

    def _write(self, task: Task, stylized: Stylized) -> dict[str, Any]:
        """The fields of a done result that are about its picture."""
        theirs = of_content(Path(task.content.path), task.format.metadata)
        data = encode(stylized.image, task.format, _metadata(task, stylized), stylized.alpha, theirs)
        if self._sidecars and archive_of(task.output):
            self._put_sidecars(task)
        _put(self._paths.written(task.output), data)
        self._checkpoints.drop(task)
        return {
            "losses": stylized.losses,
            "curve": stylized.curve,
            "terms": stylized.terms,
            "evaluations": stylized.evaluations,
            "restarts": stylized.restarts,
            "taken_back": stylized.taken_back,
            "scales": stylized.scales,
            "settled": stylized.settled,
            "balance": stylized.balance,
            "notes": stylized.notes,
            "precision": stylized.precision,
            "strips": stylized.strips,
            "history": stylized.history,
            "history_precision": stylized.history_precision,
            "width": stylized.image.shape[3],
            "height": stylized.image.shape[2],
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }

    def _put_sidecars(self, task: Task) -> None:
        """Before the picture: where it is, they are."""
        target = self._paths.written(key_of(task.output))
        for ending, data in tars.sidecars(task.content.path, IMAGE_SUFFIXES).items():
            _put(target.with_name(f"{target.name}.{ending}"), data)


def _put(target: Path, data: bytes) -> None:
    try:
        write_atomic(target, data)
    except OSError as error:
        if error.errno in OUT_OF_ROOM:
            raise StorageError(f"{target}: {error.strerror}", len(data)) from error
        raise


def _metadata(task: Task, stylized: Stylized) -> dict[str, object]:
    return {
        "task": task.id,
        "content": Path(task.content.path).name,
        "style": "+".join(Path(style.source.path).name for style in task.styles),
        "settings": dataclasses.asdict(task.settings),
        "weights": task.weights.name,
        "loss": stylized.losses.total,
        "version": __version__,
    }
