"""Archives are packed while a run goes on, in a thread: each as soon as nothing more will come into it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from types import TracebackType

from typing_extensions import Self, override

from nst_batch.archives import tar_outputs
from nst_batch.errors import NstError, in_words
from nst_batch.paths import RunPaths, archive_of
from nst_batch.recorded.decisions import Decision
from nst_batch.records import TaskResult
from nst_batch.running.observers import Observer
from nst_batch.running.packing import Stopped, pack

Note = Callable[[str], None]


class Packer(Observer):
    """Packs an archive when the last of its tasks has ended; enter it for as long as the run goes on.

    At the end it waits for what is still to be packed, but when the run was stopped: then loose files stay for the next
    run.

    Args:
        paths: of the run.
        archives: all that the run's tasks go into, of which loose files of an earlier run may be there.
        todo: outputs that are to be rendered now.
        note: for what a person should know; called in the thread that tells this observer things.
        stopped: whether the run was told to stop.
    """

    def __init__(
        self, paths: RunPaths, archives: Iterable[str], todo: Iterable[str], note: Note, stopped: Callable[[], bool]
    ) -> None:
        self._paths = paths
        self._left = tar_outputs.archives(todo)
        self._ready: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._problems: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._note = note
        self._stopped = stopped
        self._failed = False
        self._thread = threading.Thread(target=self._work, name="packer", daemon=True)
        for archive in archives:
            if archive not in self._left:
                self._ready.put(archive)

    @override
    def finished(self, slot: int, result: TaskResult, final: bool) -> None:
        """See ``Observer``."""
        if final:
            self._count(result.output)

    @override
    def elsewhere(self, decision: Decision) -> None:
        """See ``Observer``."""
        self._count(decision.task.output)

    @override
    def tick(self) -> None:
        """See ``Observer``."""
        while not self._problems.empty():
            self._note(self._problems.get())

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End: what is ready is packed yet."""
        self._failed = kind is not None
        self._ready.put(None)
        self._thread.join()
        self.tick()

    def _count(self, output: str) -> None:
        parts = archive_of(output)
        if parts is None:
            return
        self._left[parts[0]] -= 1
        if self._left[parts[0]] == 0:
            self._ready.put(parts[0])

    def _work(self) -> None:
        while (archive := self._ready.get()) is not None:
            try:
                pack(self._paths, archive, self._is_over)
            except Stopped:
                return
            except NstError as error:
                self._problems.put(f"{archive} is not packed: {error}; {error.hint}")
            except OSError as error:
                loose = self._paths.loose(archive).name
                self._problems.put(f"{archive} is not packed: {in_words(error)}; its pictures stay in {loose}")

    def _is_over(self) -> bool:
        return self._failed or self._stopped()
