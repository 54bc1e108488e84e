"""Compacts copies of a manifest and is killed in each, before and after each step that changes the file system.

``python -m tests.killed RUN COPIES LARGEST`` (bytes that are merged into one part) prints the steps that there are, as
JSON; it fails where a line was lost or counted twice.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nst_batch.paths import RunPaths
from nst_batch.recorded import merging
from nst_batch.recorded.compaction import compact
from nst_batch.recorded.history import ManifestReader
from nst_batch.recorded.parts import heads
from tests.histories import known
from tests.runs import temporaries

STEPS = ("open", "write", "fsync", "close", "replace", "unlink", "mkdir")


def main(run: str, copies: str, largest: str) -> None:
    merging.LARGEST = int(largest)
    original = RunPaths(Path(run))
    before, names, step = known(original), list[str](), 0
    while True:
        for after in (False, True):
            paths = RunPaths(Path(copies) / f"{step}{'after' if after else 'before'}")
            shutil.copytree(original.root, paths.root)
            following = ManifestReader(paths)
            following.read()
            following.follow("", lambda _: False)
            status = _killed_at(step, paths, after=after)
            if os.WIFEXITED(status):
                assert os.WEXITSTATUS(status) == 0
                print(json.dumps(names))
                return
            assert os.WTERMSIG(status) == signal.SIGKILL
            _check(paths, before, following)
        names.append((paths.root.parent / "step").read_text())
        step += 1


def _check(paths: RunPaths, before: Any, following: ManifestReader) -> None:
    assert known(paths) == before, f"{paths.root.name}: after the kill"
    assert following.more() == set(), f"{paths.root.name}: no news for who had read all"
    compact(paths)
    assert known(paths) == before, f"{paths.root.name}: compacted after the kill"
    assert following.more() == set() and not temporaries(paths.root)
    assert not any((paths.manifest / name).exists() for head in heads(paths.manifest).values() for name in head.parts)
    assert (dict(following.history.rendered), following.history.attempts) == before[:2]


def _killed_at(step: int, paths: RunPaths, *, after: bool) -> int:
    """What became of a process that compacts, and kills itself there."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    count = [-1]
    for name in STEPS:
        changed = _dying(getattr(os, name), name, count, step, paths.root.parent / "step", after=after)
        setattr(os, name, changed)
        if hasattr(pathlib, "_NormalAccessor") and hasattr(pathlib._NormalAccessor, name):  # Python 3.10 has its own
            setattr(pathlib._NormalAccessor, name, staticmethod(changed))
    compact(paths)
    os._exit(0)


def _dying(
    real: Callable[..., Any], name: str, count: list[int], step: int, note: Path, *, after: bool
) -> Callable[..., Any]:
    def called(*arguments: Any, **options: Any) -> Any:
        count[0] += 1
        if count[0] != step:
            return real(*arguments, **options)
        note.write_text(name)
        try:
            return real(*arguments, **options) if after else None
        finally:
            os.kill(os.getpid(), signal.SIGKILL)

    return called


if __name__ == "__main__":
    main(*sys.argv[1:])
