"""Who renders which picture, where several runs write into one folder.

A claim is a file that only one process can make. It names its writer: when that one has ended without letting go, the
claim is stale and goes to whoever takes it. Claims save work, and no more: two writers of one picture would both put a
whole file in place, and both record it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from pathlib import Path

from nst_batch.atomic import MODE
from nst_batch.paths import RunPaths
from nst_batch.recorded.writers import STALE_SECONDS, Writer
from nst_batch.records import Task

TURN_SUFFIX = ".turn"  # of the file that says who deals with a stale claim


class Claims:
    """The pictures that this writer has in hand, and those of others.

    Args:
        paths: of the run.
        writer: this process.
    """

    def __init__(self, paths: RunPaths, writer: Writer) -> None:
        self._paths = paths
        self._writer = writer
        self._held: dict[str, Path] = {}  # by output name

    def take(self, task: Task) -> bool:
        """Claim a task; False: another writer has it in hand.

        Where no claim can be written (a full disk), there is none: to render twice is better than not to render.
        """
        if task.output in self._held:
            return True
        path = self._paths.claim(task.output)
        try:
            taken = self._make(path, task) or (self._is_stale(path) and self._take_over(path, task))
        except OSError:
            return True
        if taken:
            self._held[task.output] = path
        return taken

    def is_free(self, task: Task) -> bool:
        """Whether a task could be taken."""
        path = self._paths.claim(task.output)
        return not path.exists() or self._is_stale(path)

    def release(self, task: Task) -> None:
        """Let go of a task: what there is to say of it is recorded."""
        path = self._held.pop(task.output, None)
        if path is not None:
            with contextlib.suppress(OSError):  # a folder that has gone: then the claim has, too
                path.unlink()

    def release_all(self) -> None:
        """Let go of all; no process of this run may be at work any more."""
        for path in self._held.values():
            with contextlib.suppress(OSError):
                path.unlink()
        self._held.clear()

    def _make(self, path: Path, task: Task) -> bool:
        try:
            descriptor = _create(path)
        except FileExistsError:
            return False
        try:
            os.write(descriptor, json.dumps({"writer": self._writer.name, "output": task.output}).encode())
        except OSError:
            path.unlink()
            raise
        finally:
            os.close(descriptor)
        return True

    def _is_stale(self, path: Path) -> bool:
        holder = _holder(path)
        if holder:
            return not self._writer.is_alive(holder)
        try:
            return self._writer.seconds_since(path) > STALE_SECONDS  # its writer has just made it, or died just then
        except OSError:
            return False  # it has just let go

    def _take_over(self, path: Path, task: Task) -> bool:
        """Make a stale claim ours. Of several who want that, one after another has its turn, and looks again: who took
        away what it had seen before would take away another's fresh claim, and leave room for a third."""
        turn = path.with_name(f"{path.name}{TURN_SUFFIX}")
        if not self._make(turn, task):
            if self._is_stale(turn):
                self._remove(turn)  # for the next one
            return False
        try:
            if not self._is_stale(path):
                return False
            path.unlink(missing_ok=True)
            return self._make(path, task)
        finally:
            turn.unlink(missing_ok=True)

    def _remove(self, path: Path) -> bool:
        """Take a stale claim away. Of several who try, one renames it; who renamed a fresh one puts it back."""
        aside = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
        try:
            path.rename(aside)
        except OSError:
            return False
        stale = self._is_stale(aside)
        if not stale:
            with contextlib.suppress(OSError):
                os.link(aside, path)
        with contextlib.suppress(OSError):
            aside.unlink()
        return stale


def remove_all(paths: RunPaths) -> None:
    """Delete every claim. Call it only when no writer is alive."""
    with contextlib.suppress(OSError):
        for path in paths.claims.iterdir():
            path.unlink(missing_ok=True)


def _create(path: Path) -> int:
    """Raises OSError; FileExistsError: another was there first."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        return os.open(path, flags, MODE)
    except FileNotFoundError:  # the first claim of all
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, MODE)


def _holder(path: Path) -> str:
    try:
        return str(json.loads(path.read_bytes())["writer"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
