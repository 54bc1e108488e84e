"""Loose files go into archives, and none is lost on the way, whoever is killed or interferes when."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from nst_batch.archives import tar_outputs, tars
from nst_batch.archives.tar_headers import key_of
from nst_batch.atomic import remove_temporaries
from nst_batch.errors import OutputError
from nst_batch.paths import RunPaths
from nst_batch.running import packing
from nst_batch.running.packing import Stopped, pack
from tests import tar_files
from tests.runs import REPOSITORY, files_end_at
from tests.tar_files import png, put_loose

OLD = {"a.png": png(1), "b.png": png(2), "b.cls": b"2"}
LOOSE = {"a.png": png(3), "c.png": png(4), "c.cls": b"4", "n/d.png": png(5)}
BOTH = OLD | LOOSE


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    """An archive, and newer files for it."""
    paths = RunPaths(tmp_path / "run")
    put_loose(paths, "s.tar", OLD)
    assert pack(paths, "s.tar") == 3
    put_loose(paths, "s.tar", LOOSE)
    return paths


def held(paths: RunPaths) -> dict[str, bytes]:
    """All outputs of the archive, as a run finds them."""
    return {name: tar_outputs.read(paths, f"s.tar/{name}") for name in tar_outputs.sizes(paths, "s.tar")}


def everything(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() if path.is_file() else b""
        for path in root.rglob("*")
        if "state" not in path.parts
    }


def test_what_is_loose_goes_in_and_what_was_there_stays(paths: RunPaths) -> None:
    assert held(paths) == BOTH
    assert pack(paths, "s.tar") == 4
    assert [path.name for path in paths.root.iterdir() if path != paths.state] == ["s.tar"]
    found = tar_files.contents(paths.root / "s.tar")
    assert found == held(paths) == BOTH
    assert list(found) == ["a.png", "b.cls", "b.png", "c.cls", "c.png", "n/d.png"]
    assert pack(paths, "s.tar") == 0 and pack(paths, "none.tar") == 0 and not (paths.root / "none.tar").exists()


def test_equal_files_give_equal_bytes(paths: RunPaths, tmp_path: Path) -> None:
    other = RunPaths(tmp_path / "other")
    put_loose(other, "s.tar", dict(reversed(BOTH.items())))
    pack(other, "s.tar")
    pack(paths, "s.tar")
    assert (other.root / "s.tar").read_bytes() == (paths.root / "s.tar").read_bytes()


def test_other_programs_read_them(paths: RunPaths) -> None:
    names = {"l" * 90 + "/" + "m" * 150 + ".png": png(1), "grün.png": png(2), "\udcff.png": png(3)}
    put_loose(paths, "s.tar", names)
    pack(paths, "s.tar")
    out = paths.root / "out"
    out.mkdir()
    subprocess.run(["tar", "-C", out, "-xf", paths.root / "s.tar"], check=True)
    assert {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()} == BOTH | names
    listed = subprocess.run(["tar", "-tvf", paths.root / "s.tar"], check=True, capture_output=True, text=True).stdout
    assert all(line.startswith("-rw-r--r-- nst_batch/") and "1970" in line for line in listed.splitlines())


def test_files_of_a_sample_stand_together(tmp_path: Path) -> None:
    names = ["a.png", "a.cls", "a.b/c.png", "a b.png", "a-1.png", "a-1.json", "a/d.png", "a_1.png", "a_1.txt", "A.png"]
    paths = RunPaths(tmp_path)
    put_loose(paths, "s.tar", {name: png(1) if name.endswith(".png") else b"1" for name in names})
    assert pack(paths, "s.tar") == len(names)
    keys = [key_of(name) for name in tar_files.contents(tmp_path / "s.tar")]
    changes = sum(one != other for one, other in pairwise(keys))
    assert changes + 1 == len(set(keys)) == 7


def test_what_is_somebody_elses_is_left_where_it_is(paths: RunPaths) -> None:
    theirs = {
        "theirs.png": png(9, ours=False),
        "notes.txt": b"1",
        ".c.png.0123456789ab.nst-tmp": png(7),
        "torn.png": b"x",
    }
    put_loose(paths, "s.tar", theirs)
    (paths.loose("s.tar") / "link.png").symlink_to("c.png")
    assert pack(paths, "s.tar") == 4
    assert tar_files.contents(paths.root / "s.tar") == BOTH
    left = {path.name: path.read_bytes() for path in paths.loose("s.tar").iterdir() if not path.is_symlink()}
    assert left == theirs and (paths.loose("s.tar") / "link.png").is_symlink()


@pytest.mark.parametrize("kind", ["theirs", "added to", "cut off", "a folder", "text"])
def test_an_archive_that_is_not_ours_or_broken_is_not_replaced(paths: RunPaths, kind: str) -> None:
    target = paths.root / "s.tar"
    data = target.read_bytes()
    if kind == "theirs":
        tar_files.save(target, {"a.png": png(1)})
    elif kind == "added to":
        (paths.root / "x.txt").touch()
        subprocess.run(["tar", "-C", paths.root, "-rf", target, "x.txt"], check=True)
    elif kind == "a folder":
        target.unlink()
        target.mkdir()
    else:
        target.write_bytes(data[:-9500] if kind == "cut off" else b"text")
    before = everything(paths.root)
    with pytest.raises(OutputError, match=r"s\.tar: .*stays in s\.tar\.loose") as caught:
        pack(paths, "s.tar")
    assert "move the archive away" in caught.value.hint and everything(paths.root) == before


def test_without_room_all_stays_as_it_is(paths: RunPaths) -> None:
    before = everything(paths.root)
    with files_end_at(3000), pytest.raises(OSError, match="too large"):
        pack(paths, "s.tar")
    assert everything(paths.root) == before


def test_it_can_be_stopped_before_anything_has_changed(paths: RunPaths) -> None:
    before, asked = everything(paths.root), iter([False, False, False, True])
    with pytest.raises(Stopped):
        pack(paths, "s.tar", lambda: next(asked))
    assert everything(paths.root) == before
    descriptor = os.open(paths.packing("s.tar"), os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(Stopped):
        pack(paths, "s.tar", lambda: True)
    os.close(descriptor)
    assert pack(paths, "s.tar") == 4


# --- killed -----------------------------------------------------------------------------------------------------------

KILLED = """
import os, pathlib, shutil, signal, sys
from nst_batch.running import packing
from nst_batch.paths import RunPaths
from tests.running import test_packing
root = pathlib.Path(sys.argv[1])
os.fsync = lambda _: None  # for power cuts; slow
EVENTS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.scandir", "os.listdir")

def dying_at(step):
    # Before the n-th call of the system that changes or looks at something.
    left = [step]
    def count():
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
    fsync, pread = os.fsync, os.pread
    os.fsync = lambda *given: (count(), fsync(*given))[1]
    os.pread = lambda *given: (count(), pread(*given))[1]
    sys.addaudithook(lambda event, _: count() if event in EVENTS else None)

for step in range(1, 10_000):
    run = root / str(step)
    shutil.copytree(root / "start", run)
    child = os.fork()
    if not child:
        dying_at(step)
        packing.pack(RunPaths(run), "s.tar")
        os._exit(0)
    ended = os.waitpid(child, 0)[1]
    test_packing.judge(RunPaths(run))
    shutil.rmtree(run)
    if not ended:
        break
    assert ended == signal.SIGKILL
print(step)
"""


def judge(paths: RunPaths) -> None:
    """What a run finds that comes after: all is there, and packing goes on."""
    assert held(paths) == BOTH, paths.root.name
    remove_temporaries(paths.root)
    pack(paths, "s.tar")
    assert tar_files.contents(paths.root / "s.tar") == held(paths) == BOTH, paths.root.name
    assert sorted(path.name for path in paths.root.iterdir()) == ["s.tar", "state"], paths.root.name


def test_killed_at_any_step_nothing_is_lost_and_the_next_goes_on(paths: RunPaths) -> None:
    paths.root.rename(paths.root.parent / "start")
    command = [sys.executable, "-c", KILLED, str(paths.root.parent)]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 50


# --- several ----------------------------------------------------------------------------------------------------------

PACKER = """
import pathlib, sys
from nst_batch.running import packing
from nst_batch.paths import RunPaths
from nst_batch.atomic import write_atomic
from tests.tar_files import png
paths, mine = RunPaths(pathlib.Path(sys.argv[1])), int(sys.argv[2])
for n in range(8):
    write_atomic(paths.loose("s.tar") / f"{mine}-{n}.cls", b"%d" % n)
    write_atomic(paths.loose("s.tar") / f"{mine}-{n}.png", png(100 * mine + n))
    packing.pack(paths, "s.tar")
"""


def test_several_pack_one_archive_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PACKER, str(tmp_path)]
    packers = [subprocess.Popen([*command, str(n)], cwd=REPOSITORY) for n in range(3)]
    assert [packer.wait() for packer in packers] == [0, 0, 0]
    found = tar_files.contents(tmp_path / "s.tar")
    pictures = {f"{m}-{n}.png": png(100 * m + n) for m in range(3) for n in range(8)}
    assert {name: data for name, data in found.items() if name.endswith(".png")} == pictures and len(found) == 48
    assert not (tmp_path / "s.tar.loose").exists()


@pytest.fixture
def _no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)  # the border to file systems without locks


@pytest.mark.usefixtures("_no_locks")
@pytest.mark.parametrize("moment", range(1, 7))
def test_without_locks_an_archive_that_was_changed_meanwhile_is_not_replaced(paths: RunPaths, moment: int) -> None:
    calls = 0

    def meanwhile() -> bool:
        nonlocal calls
        calls += 1
        if calls == moment:
            put_loose(paths, "s.tar", {"e.png": png(6)})
            pack(paths, "s.tar")
        return False

    pack(paths, "s.tar", meanwhile)
    assert tar_files.contents(paths.root / "s.tar") == held(paths) == BOTH | {"e.png": png(6)}
    assert not paths.loose("s.tar").exists()


@pytest.mark.parametrize("moment", range(1, 7))
@pytest.mark.parametrize("same_size", [False, True])
def test_a_file_that_is_written_again_meanwhile_is_not_removed(paths: RunPaths, moment: int, same_size: bool) -> None:
    newer = bytes(reversed(LOOSE["c.cls"] * 2)) if not same_size else b"9"
    calls = 0

    def meanwhile() -> bool:
        nonlocal calls
        calls += 1
        if calls == moment:
            (paths.root / "new").write_bytes(newer)
            (paths.root / "new").replace(paths.loose("s.tar") / "c.cls")
        return False

    pack(paths, "s.tar", meanwhile)
    assert held(paths) == BOTH | {"c.cls": newer}
    pack(paths, "s.tar")
    assert tar_files.contents(paths.root / "s.tar") == BOTH | {"c.cls": newer} and not paths.loose("s.tar").exists()


@pytest.mark.usefixtures("_no_locks")
def test_who_is_always_disturbed_gives_up_in_words(paths: RunPaths) -> None:
    def meanwhile() -> bool:
        os.utime(paths.root / "s.tar")
        return False

    with pytest.raises(OutputError, match="another process goes on changing it"):
        pack(paths, "s.tar", meanwhile)
    assert held(paths) == BOTH


def test_file_systems_without_links(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    aside = paths.loose("s.tar") / ".nst-packed-0123456789ab"
    (aside / "n").mkdir(parents=True)
    (aside / "n" / "e.png").write_bytes(png(6))
    (aside / "c.png").write_bytes(png(7))  # older than what is there

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert pack(paths, "s.tar") == 5
    assert tar_files.contents(paths.root / "s.tar") == BOTH | {"n/e.png": png(6)}
    assert not paths.loose("s.tar").exists()


def test_the_index_that_is_kept_is_of_the_new_archive(paths: RunPaths) -> None:
    before = tars.index(str(paths.root / "s.tar"))
    packing.pack(paths, "s.tar")
    assert tars.index(str(paths.root / "s.tar")).members.keys() - before.members.keys() == {"c.png", "c.cls", "n/d.png"}
