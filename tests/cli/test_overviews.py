"""What ``status`` shows of an overview, and what ``--watch`` makes of it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from nst_batch.cli import watch
from nst_batch.cli.figures import plain
from nst_batch.cli.overviews import facts, lines, one_line
from nst_batch.planning.disk import Room
from nst_batch.recorded.alike import Group
from nst_batch.recorded.highlights import Took
from nst_batch.running.live import Live
from nst_batch.running.overview import Device, Overview
from nst_batch.running.run_state import RunState, WorkerState
from tests import runs
from tests.runs import here

LONG = "a_photograph_with_a_rather_long_name__a_painting.png"


def overview(workers: int = 2, hosts: int = 1, **changes: object) -> Overview:
    """A run in the middle."""
    writers, devices = [], []
    for host in range(hosts):
        at_work = tuple(
            WorkerState(slot, f"cuda:{slot}", (LONG,), 120, 300, 12.3456, 8.5, 0.4, 45.0, 21.0)
            for slot in range(workers)
        )
        state = RunState(12, 5, 5, elapsed=50.0, seconds_left=90.0, pictures_per_hour=96.0, workers=at_work)
        writers.append(Live(f"w{host}", f"node{host}", 7, "2026-01-01", "2026-01-01", state=state))
        devices += [Device(f"node{host}", each.device, 0.9) for each in at_work]
    took = Took(LONG, 52.0, 512, 384, "2026-01-01T00:00:00+00:00")
    found = Overview(
        "night", 12, 5, 1, 6, {"x.png": "broken"}, {"x.png": "mend it"}, [Group(1, "broken", "mend it", ("x.png",))],
        0.42, 90.0, 96.0, 17.0, devices, [took], took, 812_000_000, Room(15_000_000, 10**9), writers=writers,
    )  # fmt: skip
    return dataclasses.replace(found, **changes)  # type: ignore[arg-type]


def shown(seen: Overview, width: int | None = None) -> list[str]:
    return [plain(line) for line in lines(seen, [], width)]


def test_all_that_is_known_is_told() -> None:
    text = "\n".join(shown(overview()))
    for expected in (
        "night: 12 tasks: 5 done, 6 to do, 1 failed", " 42%  about 1:30 left, done at ",
        "96 pictures/h, 17.0 evaluations/s, 1 writer", "disk: 15 MB still needed, 1.0 GB free, memory: 812 MB at most",
        f"node0  cuda:1  90% busy  {LONG[:-4]}  120/300  loss 12.35  8.5 ev/s  0:21",
        f"slowest:\n  0:52  512x384  {LONG[:-4]}", f"last: {LONG[:-4]}, 2026-01-01 00:00 UTC",
        "  failed: x.png: broken (mend it)",
    ):  # fmt: skip
        assert expected in text, text


@pytest.mark.parametrize("width", [159, 79, 59])
@pytest.mark.parametrize(("workers", "hosts"), [(1, 1), (8, 2), (8, 4)])
def test_no_line_is_wider_than_the_terminal(workers: int, hosts: int, width: int) -> None:
    groups = [Group(40, f"a {'very ' * 30}long message", "a hint", (LONG, LONG, LONG)), Group(1, "x", "", (LONG,))]
    found = shown(overview(workers, hosts, groups=groups), width)
    assert max(map(cell_len, found)) <= width
    assert "a hint" in " ".join(" ".join(found).split()) and ", …" in " ".join(found)


def test_many_devices_are_told_by_machine() -> None:
    text = "\n".join(shown(overview(8, 4)))
    assert "node3  8 of 8 workers at work  90% busy  68.0 ev/s" in text and "cuda:7" not in text
    assert "4 writers on 4 machines" in text


def test_a_run_that_is_over_says_what_to_do_about_failures() -> None:
    over = overview(writers=[], devices=[], seconds_left=None)
    text = "\n".join(shown(over))
    assert "left" not in text and "--retry-failed" in text and "--retry-failed" not in "\n".join(shown(overview()))
    many = [Group(1, f"kind {n}", "", (f"{n}.png",)) for n in range(30)]
    assert "… and 10 more kinds of failures" in "\n".join(shown(dataclasses.replace(over, groups=many)))


def test_a_disk_that_is_too_small_is_told_first() -> None:
    assert "NOT ENOUGH ROOM, disk: 2.0 GB still needed, 1.0 GB free" in "\n".join(
        shown(overview(disk=Room(2 * 10**9, 10**9)))
    )


def test_a_run_in_one_line_and_as_an_object() -> None:
    assert one_line(overview(2, 2)).startswith("5 of 12 tasks done, 1 failed | 42% | about 1:30 left, done at")
    assert one_line(overview(2, 2)).endswith("| 2 writers, 4 working, 17.0 evaluations/s, 96 pictures/h")
    found = json.loads(json.dumps(facts(overview(), [], 0.0)))
    assert {key: found[key] for key in ("tasks", "done", "failed", "todo", "rendered", "skipped", "running")} == {
        "tasks": 12, "done": 5, "failed": 1, "todo": 6, "rendered": 0, "skipped": 5, "running": True,
    }  # fmt: skip
    assert found["writers"][0]["state"]["workers"][1]["device"] == "cuda:1" and found["disk"]["free"] == 10**9


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that is over."""
    runs.make_pictures(tmp_path, contents=1)
    (tmp_path / "content" / "letter.jpg").write_text("Dear diary")
    file = runs.write_pipeline(tmp_path, runs.save_weights(tmp_path / "vgg.pth"))
    assert here("run", file).code == 1
    return tmp_path / "out"


def test_watching_ends_with_the_run_and_its_last_word(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.01)
    ended = here("status", run, "--watch")
    assert ended.code == 0 and ended.out.startswith("out: 4 tasks: 2 done, 0 to do, 2 failed\n")
    assert here("status", run, "--watch", "--json").json["done"] == 2
    (run / "c0__s0.png").unlink()
    assert "nobody is at work here" in here("status", run.parent / "pipeline.yaml", "--watch").err
    assert here("status", run.parent / "content", "--watch").code == 2


def test_watching_needs_no_torch(run: Path) -> None:
    program = (
        "import sys; from nst_batch.cli import watch; watch.LOOK_SECONDS = 0.01\n"
        "from typer.testing import CliRunner; from nst_batch.cli.app import app\n"
        f"print(CliRunner().invoke(app, ['status', {str(run)!r}, '--watch']).exit_code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=runs.REPOSITORY)
    assert done.stdout.split() == ["0", "False"], done.stderr
