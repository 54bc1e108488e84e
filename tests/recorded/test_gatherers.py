"""Processes that read a manifest together."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from nst_batch.paths import RunPaths
from nst_batch.recorded import gatherers, parts, recall
from nst_batch.recorded.compaction import compact
from nst_batch.recorded.gatherers import Gatherers
from nst_batch.recorded.gathering import Gathered, gather
from nst_batch.recorded.history import ManifestReader, read
from nst_batch.recorded.manifest import line
from nst_batch.recorded.parts import Parts, Stretch
from tests.histories import grow, moment
from tests.lines import done, task, write
from tests.recorded.test_recall import facts


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    """A run's folder with several parts."""
    paths = RunPaths(tmp_path / "run")
    grow(paths, random.Random(4), parts=9)
    grow(paths, random.Random(5), parts=9)
    return paths


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three processes for whatever little."""
    monkeypatch.setattr(gatherers, "WORTH_BYTES", 1)
    monkeypatch.setattr(gatherers, "cores", lambda: 3)
    monkeypatch.setattr(parts, "STRETCH_BYTES", 700)


@pytest.fixture
def not_here(together: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``together``; this process must not read anything itself."""

    def refuse(folder: Path, stretch: Stretch) -> Gathered:
        raise AssertionError(f"{stretch} of {folder} is for another process")

    monkeypatch.setattr(gatherers, "_tried", refuse)


def stretches(paths: RunPaths) -> list[Stretch]:
    return next(Parts(paths.manifest).stretches())


def said(found: list[Gathered | None]) -> list[object]:
    return [each and (each.failed, each.cut, each.skipped, each.end, each.done.columns()["offsets"].tolist())
            for each in found]  # fmt: skip


def program(change: str) -> str:
    """What processes run, with something changed there."""
    first, last = gatherers._PROGRAM.split("serve(int")
    return f"{first}from nst_batch.recorded import gatherers\n{change}\nserve(int{last}"


def children() -> list[int]:
    """Processes of this one that gather."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=True)
    commands = {pid: Path(f"/proc/{pid}/cmdline") for pid in map(int, found.stdout.split())}
    return [pid for pid, path in commands.items() if path.exists() and b"recorded.gatherers" in path.read_bytes()]


def ended(process: int) -> bool:
    """Within a time that is long for it; who waits for nobody's status has ended as well."""
    for _ in range(600):
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def test_they_give_what_one_gives_in_the_same_order(paths: RunPaths, not_here: None) -> None:
    wanted = stretches(paths)
    assert len(wanted) > 10
    assert said(all_of(paths, wanted)) == said([gather(paths.manifest, each) for each in wanted])
    assert not children()


def all_of(paths: RunPaths, wanted: list[Stretch]) -> list[Gathered | None]:
    with contextlib.closing(Gatherers(paths.manifest, wanted)) as found:
        assert len(children()) == 3
        return list(found.each())


def test_who_has_much_in_hand_waits_until_it_is_asked(
    paths: RunPaths, not_here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gatherers, "_PROGRAM", program("gatherers._AHEAD_BYTES = 1"))
    test_they_give_what_one_gives_in_the_same_order(paths, not_here)


def test_a_history_that_several_read_is_the_same(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = facts(read(paths))
    monkeypatch.setattr(gatherers, "cores", lambda: 3)
    monkeypatch.setattr(gatherers, "WORTH_BYTES", 1)
    for size in (300, 5000):
        monkeypatch.setattr(parts, "STRETCH_BYTES", size)
        assert facts(read(paths)) == wanted


def test_none_is_begun_for_little(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    assert read(paths).lines > 0
    monkeypatch.setattr(gatherers, "WORTH_BYTES", 1)
    monkeypatch.setattr(gatherers, "cores", lambda: 1)
    assert read(paths).lines > 0


@pytest.mark.parametrize("left", [2, 0])
def test_the_work_of_those_that_die_is_done_by_others(paths: RunPaths, together: None, left: int) -> None:
    wanted = stretches(paths)
    with contextlib.closing(Gatherers(paths.manifest, wanted)) as together_:
        victims = children()
        assert len(victims) == 3
        for victim in victims[left:]:
            os.kill(victim, signal.SIGKILL)
        got = list(together_.each())
    assert said(got) == said([gather(paths.manifest, each) for each in wanted])


def test_where_none_can_be_begun_the_caller_reads(
    paths: RunPaths, together: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The border that is faked: the system has no process left, or none of this kind."""
    wanted = facts(read(paths))

    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert facts(read(paths)) == wanted
    monkeypatch.undo()
    monkeypatch.setattr(gatherers, "WORTH_BYTES", 1)
    monkeypatch.setattr(gatherers, "cores", lambda: 3)
    monkeypatch.setattr(gatherers, "_PROGRAM", "raise SystemExit(3)")
    assert facts(read(paths)) == wanted


def test_an_error_is_the_callers_and_nobody_is_left(paths: RunPaths, together: None) -> None:
    (paths.manifest / "zz.jsonl").mkdir()
    with pytest.raises(IsADirectoryError):
        ManifestReader(paths).read()
    assert not children()


def test_what_is_begun_before_it_is_asked_for_is_the_same(paths: RunPaths, not_here: None) -> None:
    reader = ManifestReader(paths)
    reader.begin()
    assert len(children()) == 3
    found = facts(reader.read())
    assert not children()
    reader = ManifestReader(paths)
    assert facts(reader.read()) == found


@pytest.mark.parametrize("when", ["while it is read", "when it was read"])
def test_what_was_written_since_it_was_begun_is_read(paths: RunPaths, together: None, when: str) -> None:
    """By writers that have gone when it is looked at: nobody would look again."""
    part = sorted(paths.manifest.iterdir())[0]
    lines = [
        line(each, done(each, finished=moment(10**6 - n))) for n, each in enumerate((task("new.png"), task("x.png")))
    ]
    reader = ManifestReader(paths)
    reader.begin()
    if when == "when it was read":
        assert all(map(ended, children()))
    unended = not part.read_bytes().endswith(b"\n")
    part.write_bytes(part.read_bytes() + (b"\n" if unended else b"") + lines[0] + lines[1][:-30])
    write(paths, (task("other.png"), done(task("other.png"))))
    found = facts(reader.read())
    reader.follow("own", lambda _: False)
    assert found == facts(read(paths)) and {"new.png", "other.png"} < set(reader.history.rendered)
    assert reader.more() == set()


def test_of_nothing_that_was_begun_all_is_read(tmp_path: Path, together: None) -> None:
    paths = RunPaths(tmp_path / "later")
    reader = ManifestReader(paths)
    reader.begin()
    write(paths, (task("new.png"), done(task("new.png"))))
    assert facts(reader.read()) == facts(read(paths)) and "new.png" in reader.history.rendered
    empty = RunPaths(tmp_path / "empty")
    empty.manifest.mkdir(parents=True)
    (empty.manifest / "a.jsonl").touch()
    reader = ManifestReader(empty)
    reader.begin()
    (empty.manifest / "a.jsonl").write_bytes(line(task("new.png"), done(task("new.png"))))
    assert "new.png" in reader.read().rendered


@pytest.mark.parametrize("when", ["while it is read", "when it was read"])
def test_what_was_merged_after_it_was_begun_is_read(paths: RunPaths, together: None, when: str) -> None:
    reader = ManifestReader(paths)
    reader.begin()
    if when == "when it was read":
        assert all(map(ended, children()))
    compact(paths)
    ours, theirs = reader.read(), read(paths)
    assert ours.attempts == theirs.attempts and dict(ours.rendered) == dict(theirs.rendered)
    assert ours.lines >= theirs.lines, "some of which were superseded"
    assert reader.more() == set()


def test_where_something_is_remembered_nothing_is_begun(
    paths: RunPaths, together: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recall, "WORTH_BYTES", 0)
    paths.state.mkdir()
    wanted, reader = facts(read(paths)), ManifestReader(paths)
    reader.begin()
    assert not children() and facts(reader.read()) == wanted


def test_what_was_begun_and_is_not_wanted_ends(paths: RunPaths, together: None) -> None:
    reader = ManifestReader(paths)
    reader.begin()
    those = children()
    assert len(those) == 3
    reader.close()
    assert all(map(ended, those))
    reader.close()


SCRIPT = """
import os, sys
from pathlib import Path
from nst_batch.paths import RunPaths
from nst_batch.recorded import gatherers, parts, recall
from nst_batch.recorded.compaction import compact
from nst_batch.recorded.history import read
gatherers.WORTH_BYTES, gatherers.cores, parts.STRETCH_BYTES = 1, lambda: 3, 700
print("begins", flush=True)
if len(sys.argv) > 2:
    def take(self, number):
        print(*(process.pid for _, process in self._processes), flush=True)
        sys.stdin.read()
    gatherers.Gatherers._sent = take
print(len(read(RunPaths(Path(sys.argv[1]))).rendered))
"""


def test_files_of_the_folder_where_one_is_are_not_run(
    paths: RunPaths, not_here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "pickle", "socket", "numpy"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nraise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    all_of(paths, stretches(paths))
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_where_state_may_not_be_entered_it_is_read_all_the_same(paths: RunPaths) -> None:
    paths.state.mkdir(exist_ok=True)
    paths.state.chmod(0)
    reader = ManifestReader(paths)
    reader.begin()
    assert reader.read().lines > 0
    paths.state.chmod(0o700)


def test_a_script_without_a_guard_is_run_once(paths: RunPaths, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    ran = subprocess.run([sys.executable, script, paths.root], capture_output=True, text=True, check=True)
    assert (ran.stdout.split(), ran.stderr) == (["begins", str(len(read(paths).rendered))], "")


def test_they_end_with_who_began_them(paths: RunPaths, tmp_path: Path) -> None:
    """Long before they have read all of their share."""
    script = tmp_path / "script.py"
    slow = program("import time\ngatherers._tried = lambda *_: time.sleep(10)")
    script.write_text(
        f"{SCRIPT.partition('print')[0]}gatherers._PROGRAM = {slow!r}\nprint{SCRIPT.partition('print')[2]}"
    )
    with subprocess.Popen(
        [sys.executable, script, paths.root, "stop"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        those = list(map(int, process.stdout.readline().split()))
        assert len(those) == 3 and all(Path(f"/proc/{each}").exists() for each in those)
        process.kill()
    assert all(map(ended, those)), "in less time than a share takes"
