"""A worker: one process, one device, one loaded VGG-19; tasks come in, results go out, nothing is raised.

``Renderer`` does the work and is also what ``run --inline`` uses; ``main`` is the process around it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import platform
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable
from importlib import metadata
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import Any

import torch

from nst_batch import __version__
from nst_batch.atomic import write_atomic
from nst_batch.errors import Interrupted, NstError, OutputError
from nst_batch.messages import Broken, Job, Progress, Ready
from nst_batch.paths import RunPaths
from nst_batch.records import Failure, Source, Task, TaskResult, Weights, utc_now
from nst_batch.transfer.encode import encode
from nst_batch.transfer.images import load_picture
from nst_batch.transfer.metadata import made_by_us
from nst_batch.transfer.pictures import Picture, StylePart
from nst_batch.transfer.stylize import Stylized, Stylizer

REPORT_SECONDS = 0.2  # between two Progress messages: often enough for eyes, rare enough to cost nothing

VERSIONS = {
    "nst_batch": __version__,
    "torch": torch.__version__,
    "torchvision": metadata.version("torchvision"),
    "python": platform.python_version(),
}


class Renderer:
    """Renders tasks on one device.

    Args:
        paths: of the run; pictures are written below its root.
        weights: loaded once, here.
        device: as torch names it.
        threads: torch's CPU threads. On the CPU, equal threads give equal bytes.

    Raises:
        WeightsError: the weights cannot be loaded.
    """

    def __init__(self, paths: RunPaths, weights: Weights, device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self._paths = paths
        self._device = device
        self._stylizer = Stylizer(weights, device)

    def render(self, job: Job, on_progress: Callable[[Progress], None]) -> TaskResult:
        """Render one task and put its picture in place. Errors become a failed result.

        Raises:
            Interrupted: by ``on_progress``; nothing was written.
        """
        task, begun = job.task, time.perf_counter()
        common = TaskResult(
            task.id, "failed", task.output, attempt=job.attempt, started=utc_now(), device=self._device_name(),
            host=socket.gethostname(), versions=VERSIONS,
        )  # fmt: skip
        _reset_peak_memory(self._device)
        try:
            done = self._render(job, _reporter(task, on_progress))
        except Interrupted:
            raise
        except Exception as error:  # noqa: BLE001 - one bad task never stops a batch, whatever went wrong
            return dataclasses.replace(
                common, error=Failure.of(error), finished=utc_now(), seconds=time.perf_counter() - begun
            )
        return dataclasses.replace(
            common, status="done", **done, finished=utc_now(), seconds=time.perf_counter() - begun,
            peak_memory_bytes=_peak_memory(self._device),
        )  # fmt: skip

    def _render(self, job: Job, on_step: Callable[[int, float], None]) -> dict[str, Any]:
        """The fields of a done result that are about its picture."""
        task, target = job.task, self._paths.output(job.task.output)
        _refuse_foreign(target, job.owned)
        stylized = self._stylizer.transfer(
            _picture(task.content),
            [StylePart(_picture(style.source), style.weight, style.region) for style in task.styles],
            task.settings,
            seed=task.seed,
            start=_picture(task.start) if task.start else None,
            on_step=on_step,
        )
        data = encode(stylized.image, task.format, _metadata(task, stylized), stylized.alpha)
        write_atomic(target, data)
        return {
            "losses": stylized.losses,
            "curve": stylized.curve,
            "evaluations": stylized.evaluations,
            "restarts": stylized.restarts,
            "taken_back": stylized.taken_back,
            "scales": stylized.scales,
            "settled": stylized.settled,
            "balance": stylized.balance,
            "notes": stylized.notes,
            "width": stylized.image.shape[3],
            "height": stylized.image.shape[2],
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }

    def _device_name(self) -> str:
        if self._device.startswith("cuda"):
            return f"{self._device} ({torch.cuda.get_device_name(self._device)})"
        return self._device


def _picture(source: Source) -> Picture:
    mask = _picture(source.mask) if source.mask else None
    return Picture(source.digest, lambda: load_picture(Path(source.path), source.digest), source.path, mask)


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


def _refuse_foreign(target: Path, owned: bool) -> None:
    """Never overwrite what this run did not make. A picture whose line was lost with its run carries our mark."""
    if target.exists() and not owned and not made_by_us(target):
        raise OutputError(
            f"{target} is there, and nst_batch did not make it",
            hint="move it away, or change output.dir or output.name; then run --retry-failed",
        )


def _reporter(task: Task, on_progress: Callable[[Progress], None]) -> Callable[[int, float], None]:
    """Turns every evaluation into a Progress now and then."""
    begun = time.perf_counter()
    last = 0.0

    def on_step(step: int, loss: float) -> None:
        nonlocal last
        passed = time.perf_counter() - begun
        if step in (1, task.settings.steps) or passed - last >= REPORT_SECONDS:
            last = passed
            on_progress(Progress(task.id, step, task.settings.steps, loss, step / passed))

    return on_step


def _reset_peak_memory(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the high-water mark of resident memory


def _peak_memory(device: str) -> int:
    """Bytes: of the GPU's allocator for this task, or resident in this process (on Linux, for this task)."""
    if device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated(device))
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        scale = 1 if platform.system() == "Darwin" else 1024  # macOS counts bytes, others KiB
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


# --- the process ------------------------------------------------------------------------------------------------------


def main(pipe: connection.Connection[object, object], root: Path, weights: Weights, device: str, threads: int) -> None:
    """A worker process: until its pipe closes, or says ``Stop``, take a Job and send back a TaskResult.

    Between, send Progress. Signals are the scheduler's business: a terminal's Ctrl-C and a cluster's SIGTERM reach
    every process of a run, and workers must not die of them before they have been told to stop.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _leave_with_parent()
    try:
        renderer = Renderer(RunPaths(root), weights, device, threads)
    except NstError as error:
        pipe.send(Broken(str(error), error.hint))
        return

    def on_progress(progress: Progress) -> None:
        pipe.send(progress)
        if pipe.poll():  # while a task is in hand, the only thing that can come is Stop
            raise Interrupted("told to stop")

    try:
        pipe.send(Ready())
        while isinstance(job := pipe.recv(), Job):
            pipe.send(renderer.render(job, on_progress))
    except (EOFError, BrokenPipeError, ConnectionResetError, Interrupted):
        return


def _leave_with_parent() -> None:
    """End this process at once when the scheduler's ends, however it ends: nobody is left to record a result."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(0)  # threads of torch may be deep in a kernel; files are safe at any moment

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
