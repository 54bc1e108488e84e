"""A run outlives its surroundings: logs that are full or gone, terminals that are closed, pauses, other users."""

from __future__ import annotations

import contextlib
import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import runs

PAUSE_SECONDS = 8.0
SLOW_STEPS = 400  # seconds for a picture


def shell(line: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """A line of bash in which ``nst-batch`` is the program, and ``$1``, ``$2`` are ``words``."""
    program = f'nst-batch() {{ {shlex.quote(sys.executable)} -m nst_batch "$@"; }}\n{line}'
    environment = {**os.environ, "PYTHONPATH": str(runs.REPOSITORY)}
    return subprocess.run(
        ["bash", "-c", program, "bash", *map(str, words)],
        capture_output=True, text=True, env=environment, timeout=runs.PATIENCE_SECONDS, preexec_fn=runs.heed_signals,
    )  # fmt: skip


def all_done(pipeline: Path) -> bool:
    return len([line for line in runs.lines(pipeline.parent / "out") if line["status"] == "done"]) == 4


# --- logs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        'nst-batch run "$1" 2>&1 | head -1; exit ${PIPESTATUS[0]}',
        pytest.param('nst-batch run "$1" <&- >&- 2>&-', marks=pytest.mark.slow),
        pytest.param('nst-batch run "$1" --log-json 2>&1 | head -1; exit ${PIPESTATUS[0]}', marks=pytest.mark.slow),
        pytest.param('nst-batch run "$1" 2>/dev/full', marks=pytest.mark.slow),
        pytest.param('nst-batch run "$1" 2>&-', marks=pytest.mark.slow),
    ],
)
def test_a_run_goes_on_whatever_becomes_of_its_log(pipeline: Path, line: str) -> None:
    ended = shell(line, pipeline)
    assert (ended.returncode, all_done(pipeline)) == (0, True), ended.stderr
    assert "Traceback" not in ended.stderr and "Exception ignored" not in ended.stderr


@pytest.mark.slow
def test_a_run_outlives_who_writes_its_log(tmp_path: Path, weights: Path) -> None:
    """``(nohup nst-batch run P 2>&1) | tee log``, with tee ended."""
    runs.make_pictures(tmp_path)
    pipeline = runs.write_pipeline(tmp_path, weights, transfer__steps=60)
    reading, writing = os.pipe()
    process = runs.start("run", pipeline, stdout=writing, stderr=writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as log:
        log.readline()
    process.wait(timeout=runs.PATIENCE_SECONDS)
    assert (process.returncode, all_done(pipeline)) == (0, True)


@pytest.mark.slow
def test_a_run_does_not_wait_for_a_log_that_nobody_reads(tmp_path: Path, weights: Path) -> None:
    """As behind ``| less``: once the pipe is full, lines are dropped."""
    runs.make_pictures(tmp_path)
    pipeline = runs.write_pipeline(tmp_path, weights)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    process = runs.start("run", pipeline, stderr=writing)
    os.close(writing)
    ended = runs.end_of(process)
    os.close(reading)
    assert (ended.code, all_done(pipeline)) == (0, True)


@pytest.mark.parametrize(
    "line",
    [
        'nst-batch plan "$1" --json --all',
        "nst-batch presets",
        pytest.param('nst-batch status "$2" --watch', marks=pytest.mark.slow),
    ],
)
def test_who_has_seen_enough_ends_it_quietly(pipeline: Path, line: str) -> None:
    out = pipeline.parent / "out"
    assert "status" not in line or shell('nst-batch run "$1"', pipeline).returncode == 0
    ended = shell(f"{line} | head -c 1 >/dev/null; exit ${{PIPESTATUS[0]}}", pipeline, out)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.slow
def test_a_result_that_cannot_be_written_is_an_error_said_once(pipeline: Path) -> None:
    ended = shell('nst-batch plan "$1" --json > /dev/full', pipeline)
    assert ended.returncode == 1 and ended.stderr.count("standard output: No space left on device") == 1
    assert "Exception ignored" not in ended.stderr and "Traceback" not in ended.stderr
    ended = shell('nst-batch run "$1" --json | true; exit ${PIPESTATUS[0]}', pipeline)
    assert ended.returncode == 0 and all_done(pipeline), "who has gone away changes nothing about the run"


# --- terminals --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def in_terminal(*command: str | Path) -> Iterator[tuple[int, int]]:
    """A process whose terminal is ours: its number, and our end."""
    pid, ours = pty.fork()
    if pid == 0:
        runs.heed_signals()
        os.environ["PYTHONPATH"] = str(runs.REPOSITORY)
        os.execvp(str(command[0]), [str(word) for word in command])
    try:
        yield pid, ours
    finally:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def status_of(pid: int) -> int:
    deadline = time.monotonic() + runs.PATIENCE_SECONDS
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    raise AssertionError("it does not end")


@pytest.mark.slow
def test_a_closed_terminal_ends_a_run_that_goes_on_later(tmp_path: Path, weights: Path) -> None:
    runs.make_pictures(tmp_path, contents=1, styles=1)
    pipeline = runs.write_pipeline(tmp_path, weights, transfer__steps=SLOW_STEPS * 50)
    command = (sys.executable, "-m", "nst_batch", "run", pipeline)
    with in_terminal(*command) as (pid, ours):
        shown = b""
        while b" ev/s" not in shown:
            shown += os.read(ours, 4096)
        os.close(ours)
        assert status_of(pid) == 75
    assert list((tmp_path / "out" / "state" / "checkpoints").iterdir()), "what was in hand is kept"
    assert not list((tmp_path / "out" / "state" / "claims").iterdir())


@pytest.mark.slow
def test_nohup_outlives_its_terminal(tmp_path: Path, weights: Path) -> None:
    runs.make_pictures(tmp_path)
    pipeline = runs.write_pipeline(tmp_path, weights, transfer__steps=40)
    nohup = shutil.which("nohup")
    assert nohup
    with in_terminal(nohup, sys.executable, "-m", "nst_batch", "run", pipeline, "--log-json") as (pid, ours):
        shown = b""
        while b"run_started" not in shown and b"nohup.out" not in shown:
            shown += os.read(ours, 4096)
        runs.wait_for(lambda: (tmp_path / "out" / "state" / "live").is_dir(), "the run")
        os.close(ours)
        assert status_of(pid) == 0
    assert all_done(pipeline)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGHUP", "SIGTERM"])
def test_a_signal_leaves_what_goes_on_later(tmp_path: Path, weights: Path, name: str) -> None:
    """To all of its processes, as terminals and init systems do it; twice, for a terminal that is closed."""
    runs.make_pictures(tmp_path, contents=1, styles=1)
    pipeline = runs.write_pipeline(tmp_path, weights, transfer__steps=SLOW_STEPS * 50)
    process = runs.start("run", pipeline, start_new_session=True)
    checkpoints = tmp_path / "out" / "state" / "checkpoints"
    runs.wait_for(lambda: steps(tmp_path / "out") > 1, "work")
    for _ in range(2 if name == "SIGHUP" else 1):
        os.killpg(process.pid, signal.Signals[name])
    ended = runs.end_of(process)
    assert ended.code == 75 and list(checkpoints.iterdir()) and name in ended.err, ended.err


@pytest.mark.slow
def test_what_is_to_be_ignored_stays_ignored(pipeline: Path) -> None:
    """What a shell begins in the background does not end by another program's Ctrl-C."""

    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = runs.start("run", pipeline, "--set", "transfer.steps=60", preexec_fn=ignore, start_new_session=True)
    runs.wait_for(lambda: steps(pipeline.parent / "out") > 1, "work")
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGINT):
        os.killpg(process.pid, number)
    ended = runs.end_of(process)
    assert ended.code == 0 and all_done(pipeline), ended.err


def steps(run: Path) -> int:
    from nst_batch.paths import RunPaths
    from nst_batch.running import live

    workers = [worker for each in live.read(RunPaths(run)) for worker in each.state.workers]
    return max((worker.step for worker in workers), default=0)


# --- pauses -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_pause_is_no_hang(tmp_path: Path, weights: Path) -> None:
    """Ctrl-Z over lunch: twice, each longer than the time without a step after which a worker is ended."""
    runs.make_pictures(tmp_path)
    pipeline = runs.write_pipeline(tmp_path, weights, transfer__steps=SLOW_STEPS, run__timeout=PAUSE_SECONDS / 2)
    process = runs.start("run", pipeline, "--json", start_new_session=True)
    for _ in range(2):
        runs.wait_for(lambda: steps(tmp_path / "out") > 1 or process.poll() is not None, "work")
        os.killpg(process.pid, signal.SIGSTOP)
        time.sleep(PAUSE_SECONDS)
        os.killpg(process.pid, signal.SIGCONT)
        time.sleep(2)
    ended = runs.end_of(process)
    assert ended.code == 0 and ended.json["rendered"] == 4 and "made no step" not in ended.err, ended.err
    lines = runs.lines(tmp_path / "out")
    assert [line["attempt"] for line in lines] == [1, 1, 1, 1]
    assert all(line["seconds"] < PAUSE_SECONDS for line in lines), "pauses are no time that a picture took"


# --- other users ------------------------------------------------------------------------------------------------------

GROUP, USERS = 54321, (54322, 54323)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder of a group, in which new files are the group's."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root may be two users, by setpriv of util-linux")
    folder = Path(tempfile.mkdtemp(prefix="nst-shared-"))
    os.chown(folder, USERS[0], GROUP)
    folder.chmod(0o2775)
    for user in USERS:
        home = folder / f"home{user}"
        home.mkdir()
        os.chown(home, user, user)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def as_user(user: int, folder: Path, *arguments: str | Path) -> runs.Ended:
    environment = {**os.environ, "PYTHONPATH": str(runs.REPOSITORY), "HOME": str(folder / f"home{user}")}
    environment.pop("XDG_CACHE_HOME", None)
    who = (f"--reuid={user}", f"--regid={user}", f"--groups={GROUP}")
    may_read = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")  # this Python may be in root's home
    command = ("setpriv", *who, *may_read, sys.executable, "-m", "nst_batch", *map(str, arguments))
    told = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=runs.PATIENCE_SECONDS, cwd="/", umask=0o002
    )
    return runs.Ended(told.returncode, told.stdout, told.stderr)


@pytest.mark.slow
def test_two_users_of_a_group_share_a_run(shared: Path, weights: Path) -> None:
    """Each renders a half, into one tar file, which the second one makes anew; then the first compacts it all."""
    runs.make_pictures(shared)
    copy = shutil.copy(weights, shared / "vgg.pth")
    pipeline = runs.write_pipeline(shared, Path(copy), output__name="night.tar/{content}__{style}.png")
    for path in (Path(copy), pipeline, *shared.glob("*/*.png")):
        path.chmod(0o644)
    for user in USERS:
        ended = as_user(user, shared, "run", pipeline, "--limit", "2", "--json")
        assert ended.code == 0 and ended.json["rendered"] == 2, ended.err
    with tarfile.open(shared / "out" / "night.tar") as tar:
        assert len(tar.getnames()) == 4
    ours = [path for path in (shared / "out").rglob("*")]
    assert {path.stat().st_gid for path in ours} == {GROUP}
    assert not [path for path in ours if not path.stat().st_mode & 0o020], "the group may not write there"
    assert not [path for path in ours if path.suffix == ".png"], "loose pictures are left"
    for user in USERS:
        assert as_user(user, shared, "compact", shared / "out").code == 0
        ended = as_user(user, shared, "run", pipeline, "--force", "--json")
        assert ended.code == 0 and ended.json["rendered"] == 4, ended.err


@pytest.mark.slow
def test_a_lock_that_may_only_be_read_is_as_good(shared: Path, weights: Path) -> None:
    """As former versions made them."""
    runs.make_pictures(shared)
    copy = shutil.copy(weights, shared / "vgg.pth")
    pipeline = runs.write_pipeline(shared, Path(copy))
    for path in (Path(copy), pipeline, *shared.glob("*/*.png")):
        path.chmod(0o644)
    assert as_user(USERS[0], shared, "run", pipeline, "--limit", "1").code == 0
    for path in (shared / "out" / "state").iterdir():
        if path.is_file():
            path.chmod(0o644)
    ended = as_user(USERS[1], shared, "run", pipeline, "--json")
    assert ended.code == 0 and ended.json["done"] == 4, ended.err
