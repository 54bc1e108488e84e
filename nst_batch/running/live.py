"""What each process that renders in a folder is doing, in a small file there: for ``status``, on any machine.

It costs nothing: written at most every other second, without waiting for the disk, and if it cannot be written, it is
old and no more. A writer marks its file when it leaves; what killed ones left is told by their heartbeats, and cleared
away by whoever begins next.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from typing_extensions import override

from nst_batch.atomic import write_atomic
from nst_batch.paths import LIVE_SUFFIX, RunPaths
from nst_batch.records import utc_now
from nst_batch.running.observers import Observer
from nst_batch.running.run_state import RunState, WorkerState
from nst_batch.running.tally import Tally

WRITE_SECONDS = 2.0
PATIENCE = 50.0  # times as long as the last writing took: a slow file server is not to hold up a run


@dataclass(frozen=True)
class Live:
    """What a writer says of itself. ``begun`` and ``updated`` are as ``utc_now``; ``ended``: it has left."""

    writer: str
    host: str
    pid: int
    begun: str
    updated: str = ""
    ended: bool = False
    state: RunState = field(default_factory=RunState)


class LiveFile(Observer):
    """An observer that keeps a writer's file, while it is entered.

    Args:
        paths: of the run.
        writer: its name there.
        tally: told everything before.
    """

    def __init__(self, paths: RunPaths, writer: str, tally: Tally) -> None:
        self._path = paths.live(writer)
        self._about = Live(writer, socket.gethostname(), os.getpid(), utc_now())
        self._tally = tally
        self._next = 0.0

    def __enter__(self) -> LiveFile:
        self._write()
        return self

    def __exit__(self, *_: object) -> None:
        self._about = replace(self._about, ended=True)
        self._write()

    @override
    def tick(self) -> None:
        """Write it, if it is time."""
        if time.monotonic() >= self._next:
            self._write()

    def _write(self) -> None:
        begun = time.monotonic()
        now = replace(self._about, updated=utc_now(), state=self._tally.state())
        with contextlib.suppress(OSError):  # a full disk, a folder that has gone: it is for people, and no more
            write_atomic(self._path, json.dumps(dataclasses.asdict(now)).encode(), durable=False)
        took = time.monotonic() - begun
        self._next = begun + max(WRITE_SECONDS, PATIENCE * took)


def read(paths: RunPaths) -> list[Live]:
    """What all writers say whose files are there, in the order in which they began; of the dead too."""
    found = list[Live]()
    with contextlib.suppress(OSError):
        for path in paths.lives.glob(f"[!.]*{LIVE_SUFFIX}"):
            with contextlib.suppress(OSError, ValueError, TypeError, LookupError, AttributeError):
                found.append(_parsed(json.loads(path.read_bytes())))
    return sorted(found, key=lambda each: (each.begun, each.writer))


def bury(paths: RunPaths, is_alive: Callable[[str], bool]) -> None:
    """Delete the files of writers that have left or died. Call it at the entrance."""
    with contextlib.suppress(OSError):
        for path in paths.lives.glob(f"[!.]*{LIVE_SUFFIX}"):
            if not is_alive(path.name.removesuffix(LIVE_SUFFIX)):
                path.unlink(missing_ok=True)


def _parsed(values: dict[str, Any]) -> Live:
    """Raises ValueError, TypeError, LookupError or AttributeError: not what ``LiveFile`` writes."""
    state = values["state"]
    workers = tuple(
        _made(WorkerState, {**each, "outputs": tuple(map(str, each["outputs"]))}) for each in state["workers"]
    )
    found: Live = _made(Live, {**values, "state": _made(RunState, {**state, "workers": workers})})
    return found


_KINDS: dict[Any, Any] = {
    "str": str, "int": int, "float": (int, float), "float | None": (int, float, type(None)),
}  # fmt: skip


def _made(kind: type[Any], values: dict[str, Any]) -> Any:
    """Of what another version wrote, what is known here; numbers are numbers."""
    fields = {each.name: each.type for each in dataclasses.fields(kind)}
    known = {name: value for name, value in values.items() if name in fields}
    for name, value in known.items():
        if not isinstance(value, _KINDS.get(fields[name], object)):
            raise TypeError(f"{name}: {value}")
    return kind(**known)
