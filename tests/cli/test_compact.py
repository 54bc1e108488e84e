"""``nst-batch compact``."""

from __future__ import annotations

import glob
import io
import json
import re
import signal
import time
from pathlib import Path

import pandas as pd
import pytest

from nst_batch.cli import compact
from nst_batch.cli.compact import Ticks, in_words
from nst_batch.cli.screen import Screen
from nst_batch.errors import Interrupted
from nst_batch.paths import RunPaths
from nst_batch.recorded.compaction import Compacted, Sizes
from nst_batch.running.signals import StopSignals
from tests import runs
from tests.histories import known, moment, parts, small
from tests.lines import done, task, write
from tests.runs import REPOSITORY, end_of, here, start, temporaries, wait_for


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    found = RunPaths(tmp_path / "demo")
    small(found)
    return found


def test_it_says_what_it_did_and_that_nothing_is_left_to_do(paths: RunPaths) -> None:
    before = known(paths)
    would = here("compact", paths.root, "--dry-run")
    assert re.fullmatch(
        r"demo: 5 parts, 9 lines, [\d.]+ kB would become 1 part, 8 lines, [\d.]+ kB; "
        r"would drop 1 superseded line, 1 broken\n", would.out,
    )  # fmt: skip
    did = here("compact", paths.root)
    assert did.out == would.out.replace("would become", "->").replace("would drop", "dropped") and did.code == 0
    assert known(paths) == before and len(parts(paths)) == 1
    assert here("compact", paths.root).out.endswith("dropped 1 superseded line\n"), "on which others rested"
    assert here("compact", paths.root).out.startswith("demo: nothing to compact: 1 part, 7 lines, ")


def test_for_programs(paths: RunPaths) -> None:
    told = here("compact", paths.root, "--json").json
    assert (told["name"], told["before"]["parts"], told["after"]["parts"]) == ("demo", 5, 1)
    assert (told["superseded"], told["broken"], told["alive"], told["changes"], told["dry_run"]) == (
        1,
        1,
        0,
        True,
        False,
    )
    assert told["after"]["bytes"] == sum(map(len, parts(paths).values()))


def test_all_that_can_be_said() -> None:
    small, large = Sizes(1204, 1_000_000, 9_100_000_000), Sizes(1, 998_000, 9_049_999_999)
    assert in_words(Compacted(small, large, 2000, 3, 0), dry_run=False) == (
        "1,204 parts, 1,000,000 lines, 9.1 GB -> 1 part, 998,000 lines, 9.0 GB; "
        "dropped 2,000 superseded lines, 3 broken"
    )
    words = in_words(Compacted(small, small, 0, 0, 2), dry_run=False)
    assert words.startswith("nothing to compact: 1,204 parts") and words.endswith(
        "; 2 parts left to writers that are at work"
    )
    assert "drop" not in in_words(Compacted(small, large, 0, 0, 0), dry_run=False)


def test_a_folder_without_a_run_and_one_that_is_busy(paths: RunPaths, tmp_path: Path) -> None:
    ended = here("compact", tmp_path)
    assert ended.code == 2 and "nothing was recorded here" in ended.err and not ended.out


def test_a_rendered_run_by_its_pipeline_file(tmp_path: Path) -> None:
    """Run, change, run, compact: nothing is rendered again, and pandas reads it as docs/manifest.md says."""
    runs.make_pictures(tmp_path, contents=2, styles=1)
    file = runs.write_pipeline(tmp_path, runs.save_weights(tmp_path / "vgg.pth"))
    for steps in (3, 4):
        assert here("run", file, "--set", f"transfer.steps={steps}").code == 0
    status = here("status", file, "--set", "transfer.steps=4").out
    table = here("export", file, tmp_path / "before.csv", "--set", "transfer.steps=4")
    assert here("compact", file).out.startswith("out: 2 parts, 4 lines, ")
    again = here("run", file, "--set", "transfer.steps=4", "--json")
    assert again.json["rendered"] == 0 and here("status", file, "--set", "transfer.steps=4").out[:30] == status[:30]
    assert here("export", file, tmp_path / "after.csv", "--set", "transfer.steps=4").code == table.code == 0
    assert (tmp_path / "after.csv").read_bytes() == (tmp_path / "before.csv").read_bytes()
    (example,) = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs" / "manifest.md").read_text(), flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(example.replace("outputs/demo", str(tmp_path / "out")), names)
    found = names["runs"]
    assert isinstance(found, pd.DataFrame) and list(found.status) == ["done"] * 2 and found.total.notna().all()
    assert len(glob.glob(str(tmp_path / "out" / "manifest" / "*.jsonl"))) == 1


def test_a_signal_ends_it_and_the_same_command_goes_on(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "demo")
    each = task("a.png")
    part = write(paths, (each, done(each, finished=moment(1))))
    lines = part.read_bytes() * 60_000  # more than is read in a moment
    part.write_bytes(lines)
    before = part.stat().st_size
    process = start("compact", paths.root)
    wait_for(lambda: paths.compaction.exists() or process.poll() is not None, "the command to begin")
    process.send_signal(signal.SIGINT)
    ended = end_of(process)
    assert (ended.code, ended.out) == (75, "") and "compacting was stopped; no line is lost" in ended.err
    assert part.stat().st_size == before and list(parts(paths)) == [part.name] and not temporaries(paths.root)
    assert here("compact", paths.root, "--json").json["superseded"] == 59_999


def test_progress_is_shown_and_a_signal_heeded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("nst_batch.cli.compact.time.monotonic", lambda: now[0])
    stop = StopSignals()
    tick = Ticks(stop)
    tick(1, 100)
    now[0] = 20.0
    tick(40, 100)
    tick(41, 100)
    assert re.fullmatch(r"compacting: 40%, about 0:30 left, done at \d\d:\d\d\n", capsys.readouterr().err)
    stop.stop("SIGTERM")
    with pytest.raises(Interrupted):
        tick(50, 100)


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    out = io.StringIO()
    monkeypatch.setattr(compact, "FRAME_SECONDS", 0.0)
    with Screen(Console(file=out, force_terminal=True, width=70)) as screen:
        tick = Ticks(StopSignals(), screen)
        time.sleep(0.001)
        tick(3, 10)
        tick(0, 0)
    assert "━" in out.getvalue() and " 30%" in out.getvalue()
    assert json.dumps(out.getvalue())[-5:-1].endswith("h"), "the cursor is there again"
