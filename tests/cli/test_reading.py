"""What is said while many input files are read, and how it ends at a signal."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from nst_batch import columns
from nst_batch.cli.reading import Reading
from nst_batch.errors import Interrupted
from nst_batch.running.signals import StopSignals
from nst_batch.transfer.user_cache import digests_before
from tests import runs

SLOWLY = """
import sys, time
from nst_batch.planning import input_cache
from nst_batch.cli import reading
from nst_batch.cli.app import main
real, quick, seen = input_cache.see, int(sys.argv.pop(1)), []
def slow(*args):
    seen.append(1)
    time.sleep(0.004 if len(seen) <= quick else 0.4)
    return real(*args)
input_cache.see, input_cache._MANY = slow, 100
reading.QUIET_SECONDS = reading.LINE_SECONDS = 0.1
sys.argv[0] = "nst-batch"
main()
"""
RANDOM = ("--set", "weights=random")


def test_nothing_is_said_of_what_is_over_soon(capfd: pytest.CaptureFixture[str]) -> None:
    with Reading() as told:
        for number in range(1, 1001):
            told(number, 1000)
    assert capfd.readouterr() == ("", "")


def test_how_far_it_is_is_said_now_and_then(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Reading() as told:
        for number in range(1, 200_001):
            now[0] += 0.0001
            told(number, 1_000_000)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2  # 20 seconds
    assert lines[0].startswith("reading input files: 30,001 of 1,000,000, about 1:37 left, done at ")


def test_another_reading_begins_anew(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are digested first, and pictures may be looked for long."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Reading() as told:
        told(1, 1)
        now[0] += 50
        told(1, 100)
        told(2, 100)
        assert capfd.readouterr().err == ""
        now[0] += 4
        told(3, 100)
    assert re.match("reading input files: 3 of 100, about 2:09 left", capfd.readouterr().err)


def test_on_a_terminal_a_line_is_drawn_again_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    now, out = [100.0], io.StringIO()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    console = Console(file=out, force_terminal=True, width=80, height=10, _environ={"TERM": "xterm"})
    monkeypatch.setattr("nst_batch.cli.reading.error_console", lambda: console)
    with Reading() as told:
        for number in range(1, 101):
            now[0] += 0.1
            told(number, 1000)
        assert 20 < out.getvalue().count("reading input files: ") < 30  # four times a second, from the third second on
    assert out.getvalue().endswith("\x1b[J\x1b[?7h\x1b[?25h")
    out.truncate(0)
    with Reading(as_events=True) as told:
        for number in range(1, 101):
            now[0] += 0.1
            told(number, 1000)
    assert out.getvalue() == ""


def test_the_first_signal_ends_it() -> None:
    with StopSignals() as stop, Reading(stop) as told:
        told(1, 10)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted, match="stopped while input files were read: 2 of 10"):
            told(2, 10)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline over many files that were there before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    runs.make_pictures(tmp_path, contents=1, styles=1)
    for number in range(600):
        path = tmp_path / "content" / f"{number}.png"
        path.write_bytes(b"no picture %d" % number)
        os.utime(path, (0, 0))
    return runs.write_pipeline(tmp_path, tmp_path / "unused")


def slowly(*arguments: str | Path, quick: int = 1000) -> subprocess.Popen[str]:
    """A real process that reads slowly, ``quick`` files not so slowly, with weights that need not be read."""
    environment = {**os.environ, "PYTHONPATH": str(runs.REPOSITORY), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", SLOWLY, str(quick), *map(str, arguments), *RANDOM],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def known(digests: Path) -> int:
    return len(columns.load(digests)[1]["keys"])


def until_reading(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    while not process.stderr.readline().startswith("reading input files: "):
        assert process.poll() is None, runs.end_of(process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_while_it_reads_keeps_what_was_read(file: Path, number: int) -> None:
    process = slowly("run", file, quick=150)
    until_reading(process)
    process.send_signal(number)
    ended = runs.end_of(process)
    assert ended.code == 75 and ended.out == ""
    assert re.search(r"error: stopped while input files were read: \d+ of 60\d", ended.err)
    assert "run the same command again to go on" in ended.err
    digests = file.parent / "out" / "state" / "digests.npz"
    before = known(digests)
    assert 20 < before < 600
    again = runs.here("run", file, "--limit", "0", *RANDOM)
    assert again.code == 0 and known(digests) >= 600


def test_a_plan_that_is_ended_keeps_what_was_read_for_the_run(file: Path) -> None:
    """There is no folder of the run yet, and planning makes none."""
    process = slowly("plan", file, quick=150)
    until_reading(process)
    process.send_signal(signal.SIGINT)
    ended = runs.end_of(process)
    assert ended.code == 130 and "run the same command again to go on" in ended.err
    spare = digests_before(file.parent / "out")
    assert spare is not None and 20 < known(spare) < 600 and not (file.parent / "out").exists()
    assert runs.here("plan", file, *RANDOM).code == 0
    assert not (file.parent / "out").exists()
    assert runs.here("run", file, "--limit", "0", *RANDOM).code == 0
    assert known(file.parent / "out" / "state" / "digests.npz") >= 600 and not spare.exists()


@pytest.mark.parametrize("command", ["status", "submit"])
def test_other_commands_say_it_too(file: Path, command: str) -> None:
    more = ["--dry-run"] if command == "submit" else []
    ended = runs.end_of(slowly(command, file, *more))
    assert ended.code == 0, ended.err
    assert re.search(r"^reading input files: \d+ of 60\d, about", ended.err, re.MULTILINE)


def test_programs_are_told_as_programs_are(file: Path) -> None:
    ended = runs.end_of(slowly("run", file, "--log-json", "--limit", "0"))
    assert ended.code == 0 and '"event": "note"' in ended.err and "reading input files: " in ended.err
    assert all(line.startswith("{") for line in ended.err.splitlines())
