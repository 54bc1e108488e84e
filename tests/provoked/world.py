"""What is needed to do something wrong on purpose.

A new error needs a function with ``@provokes`` in one of the modules beside this one, which does what ends in it. What
is said is noted where it is made, whoever catches it; so a function need not see to it that anything comes out.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nst_batch.cluster.submission import Submitted
from nst_batch.paths import RunPaths, SubmissionPaths
from nst_batch.pipeline import Choices, Pipeline, prepare
from nst_batch.planning.frozen import save
from nst_batch.planning.planned import write_plan
from nst_batch.running.links import Worker
from nst_batch.running.messages import WorkerOptions
from nst_batch.running.scheduler import Scheduler
from nst_batch.running.signals import StopSignals
from nst_batch.settings import TransferSettings
from nst_batch.transfer import weights
from tests import runs
from tests.cluster.programs import Programs

SMALL = TransferSettings(size=32, scales=(), steps=2, octaves=1)


@dataclass
class World:
    """A folder of one's own, and what is patched in it."""

    folder: Path
    patch: pytest.MonkeyPatch

    def file(self, name: str, content: bytes = b"") -> Path:
        """A file."""
        path = self.folder / name
        path.write_bytes(content)
        return path

    def picture(self, name: str = "a.png", size: int = 32) -> Path:
        """A picture."""
        runs.save_picture(self.folder / name, seed=1, size=size)
        return self.folder / name

    def pipeline(self, overrides: dict[str, str] | None = None, **settings: Any) -> Pipeline:
        """One picture to render, in ``out``."""
        runs.make_pictures(self.folder, contents=1, styles=1)
        file = runs.write_pipeline(self.folder, self.folder / "unused", **settings)
        return prepare(file, {"weights": "random", **(overrides or {})}, Choices(), lambda _: None)

    def planned(self) -> RunPaths:
        """A run's folder with a plan in it."""
        ready = self.pipeline()
        ready.paths.root.mkdir()
        write_plan(ready.paths, ready.tasks)
        return ready.paths

    def submission(self, ready: Pipeline, job: str = "12") -> SubmissionPaths:
        """As if it had been submitted."""
        paths = SubmissionPaths(ready.paths.submissions / "s")
        paths.root.mkdir(parents=True)
        paths.job.write_text(json.dumps(dataclasses.asdict(Submitted(job, 1, 0, 1, "2026-11-23T10:00:00"))))
        save(ready.frozen, paths.tasks)
        return paths

    def programs(self) -> Programs:
        """Slurm's."""
        return Programs(self.folder / "programs", self.patch)

    def without(self, *modules: str) -> None:
        """These cannot be imported."""
        for module in modules:
            self.patch.setitem(sys.modules, module, None)

    def options(self, **options: Any) -> WorkerOptions:
        """Of a worker with the untrained weights."""
        return WorkerOptions(self.folder / "out", options.pop("weights", weights.RANDOM), threads=1, **options)

    @contextlib.contextmanager
    def scheduler(self, **changes: Any) -> Iterator[tuple[Scheduler, Pipeline]]:
        """One that has begun nothing, and will wait for nothing."""
        ready = self.pipeline()
        watcher = SimpleNamespace(note=print, finished=lambda *_, **__: None, tick=lambda: None)
        with ready.entered(lambda _: None) as writer:
            options = self.options(**changes)
            yield (
                Scheduler(
                    ready.paths, options, ["cpu"], 0, -1.0, writer, ready.news(), cast(Any, watcher), StopSignals()
                ),
                ready,
            )


class Dead(Worker):
    """A worker that has ended."""

    def __init__(self, pipe: Any = None, *, for_memory: bool = False) -> None:
        super().__init__(0, "cpu", cast(Any, pipe or SimpleNamespace(close=lambda: None, poll=lambda: False)))
        self.for_memory = for_memory

    def signs(self) -> tuple[Any, Any]:
        raise NotImplementedError

    def has_ended(self) -> bool:
        return True

    def kill(self) -> None:
        pass

    def manner_of_death(self) -> str:
        return "was killed by SIGSEGV"

    def was_killed_for_memory(self) -> bool:
        return self.for_memory

    def bury(self) -> None:
        pass


Provoke = Callable[[World], object]


@dataclass(frozen=True)
class Provocation:
    """``names``: what the message has to name, as the user wrote it or will look for it."""

    do: Provoke
    names: str

    @property
    def name(self) -> str:
        """Of the function."""
        return self.do.__name__


PROVOCATIONS: list[Provocation] = []


def provokes(names: str) -> Callable[[Provoke], Provoke]:
    """Enter a function in the list; its error names ``names``."""

    def enter(do: Provoke) -> Provoke:
        PROVOCATIONS.append(Provocation(do, names))
        return do

    return enter


def called(command: Callable[..., Any], *arguments: Any, **options: Any) -> object:
    """A command's function, as it is under what turns errors into exit codes."""
    return cast(Any, command).__wrapped__(*arguments, **options)
