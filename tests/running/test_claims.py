"""Claims: one holder each, and none that is dead."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nst_batch.paths import RunPaths
from nst_batch.recorded.writers import STALE_SECONDS, entered
from nst_batch.running.claims import Claims, remove_all
from tests.lines import task
from tests.runs import REPOSITORY, files_end_at


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "run")


def test_one_at_a_time(paths: RunPaths) -> None:
    with entered(paths) as one, entered(paths) as other:
        mine, theirs = Claims(paths, one), Claims(paths, other)
        assert mine.take(task("a.png")) and mine.take(task("a.png"))
        assert not theirs.take(task("a.png")) and not theirs.is_free(task("a.png"))
        assert theirs.take(task("b.png")) and not mine.take(task("b.png"))
        theirs.release(task("a.png"))  # is not theirs to release
        assert not theirs.take(task("a.png"))
        mine.release(task("a.png"))
        assert theirs.is_free(task("a.png")) and theirs.take(task("a.png"))
        theirs.release_all()
        assert mine.take(task("a.png")) and mine.take(task("b.png"))


def test_what_a_dead_writer_had_in_hand_is_free(paths: RunPaths) -> None:
    with entered(paths) as here:
        with entered(paths) as gone:
            assert Claims(paths, gone).take(task("a.png"))
        claims = Claims(paths, here)
        assert claims.is_free(task("a.png")) and claims.take(task("a.png"))
        assert [path.name for path in paths.claims.iterdir()] == [paths.claim("a.png").name]


def test_a_claim_without_a_name_is_believed_for_a_while(paths: RunPaths) -> None:
    """Its writer has made it a moment ago, or was killed in that moment."""
    with entered(paths) as here:
        claims, path = Claims(paths, here), paths.claim("a.png")
        paths.claims.mkdir()
        path.write_bytes(b"")
        assert not claims.take(task("a.png"))
        before = path.stat().st_mtime - 2 * STALE_SECONDS
        os.utime(path, (before, before))
        assert claims.take(task("a.png"))


def test_who_takes_away_a_fresh_claim_by_mistake_puts_it_back(paths: RunPaths) -> None:
    with entered(paths) as here, entered(paths) as other:
        assert Claims(paths, other).take(task("a.png"))
        before = paths.claim("a.png").read_bytes()
        assert not Claims(paths, here)._remove(paths.claim("a.png"))  # as one does who saw a stale one there before
        assert paths.claim("a.png").read_bytes() == before and len(list(paths.claims.iterdir())) == 1


RACER = """
import pathlib, sys
from nst_batch.running.claims import Claims
from nst_batch.paths import RunPaths
from nst_batch.recorded.writers import entered
from tests.lines import task
paths = RunPaths(pathlib.Path(sys.argv[1]))
with entered(paths) as writer:
    print("ready", flush=True)
    sys.stdin.readline()
    claims = Claims(paths, writer)
    print(*(n for n in range(300) if claims.take(task(f"{n}.png"))), flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("stale", [False, True], ids=["new", "stale"])
def test_of_many_who_want_a_task_one_has_it(paths: RunPaths, stale: bool) -> None:
    if stale:
        with entered(paths) as gone:
            assert all(Claims(paths, gone).take(task(f"{n}.png")) for n in range(300))
    command = [sys.executable, "-c", RACER, str(paths.root)]
    pipe = subprocess.PIPE
    with contextlib.ExitStack() as stack:
        racers = [
            stack.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=REPOSITORY))
            for _ in range(4)
        ]
        assert [_heard(racer) for racer in racers] == ["ready\n"] * 4
        for racer in racers:
            _tell(racer)
        taken = [number for racer in racers for number in _heard(racer).split()]
        for racer in racers:
            _tell(racer)
    assert sorted(map(int, taken)) == list(range(300))


def _heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go on\n")
    process.stdin.flush()


def test_where_no_claim_can_be_written_tasks_are_rendered_all_the_same(paths: RunPaths) -> None:
    with entered(paths) as here, files_end_at(0):
        claims = Claims(paths, here)
        assert claims.take(task("a.png"))
        assert not list(paths.claims.iterdir())
    with entered(paths) as here:
        claims = Claims(paths, here)
        assert claims.take(task("a.png"))
        shutil.rmtree(paths.root)
        claims.release(task("a.png"))


def test_all_are_removed(paths: RunPaths) -> None:
    remove_all(paths)
    with entered(paths) as here:
        assert Claims(paths, here).take(task("a.png"))
        remove_all(paths)
        assert Claims(paths, here).is_free(task("a.png"))
