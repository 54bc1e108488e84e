"""The README's own commands, as a new user types them: on small pictures, since this is no benchmark."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests import runs

README = (runs.REPOSITORY / "README.md").read_text()


def blocks(kind: str) -> list[str]:
    """Of code of one kind, in their order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
    return [text for its_kind, text in found if its_kind == kind]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with photographs and paintings, the README's pipeline file, and ``nst-batch`` to be called."""
    runs.make_pictures(tmp_path / "made")
    for kind, name in (("content", "photos"), ("style", "paintings")):
        (tmp_path / "made" / kind).rename(tmp_path / name)
    program = tmp_path / "bin" / "nst-batch"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m nst_batch "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(runs.REPOSITORY))
    (tmp_path / "holiday.yaml").write_text(blocks("yaml")[0])
    return tmp_path


def typed(command: str, home: Path) -> str:
    """What a command says, on either output; it has to succeed."""
    done = subprocess.run(["bash", "-c", command], cwd=home, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout + done.stderr


def test_from_nothing_to_a_report_then_another_weight_and_a_lost_picture(home: Path) -> None:
    """Each command of the first screen, in its order, on the file of the first screen."""
    file = home / "holiday.yaml"
    assert file.read_text().count("\n") <= 8
    small = file.read_text().replace("size: 512", "size: 24").replace("preset: default", "steps: 3")
    file.write_text(small + "weights: random\n")
    plan, run, status, report = (line.partition("#")[0].strip() for line in blocks("sh")[1].splitlines())
    assert "4 new" in typed(plan, home)
    assert "holiday: 4 rendered" in typed(run, home)
    assert "holiday: 4 tasks: 4 done" in typed(status, home)
    page = home / "outputs" / "holiday" / "report.html"
    assert str(page) in typed(report, home) and "c0__s0.png" in page.read_text()
    assert "nothing to render" in typed(run, home)

    file.write_text(file.read_text().replace("strength: 0.6", "strength: 0.4"))
    assert "settings changed: strength: 0.6 -> 0.4" in typed(plan, home)
    typed(run, home)
    (home / "outputs" / "holiday" / "images" / "c1__s0.png").unlink()
    assert "1 output missing" in typed(plan, home)
    assert "1 rendered, 3 done before" in typed(run, home)


def test_init_as_it_is_typed_beside_the_shipped_file(home: Path, tmp_path: Path) -> None:
    """Where ``make run`` was typed: there is a ``pipeline.yaml`` already, and the pictures are in ``data``."""
    for name in ("data", "pipeline.yaml"):
        (tmp_path / "cloned" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "cloned" / name).symlink_to(runs.REPOSITORY / name)
    command = blocks("sh")[0].splitlines()[-1].partition("#")[0]
    assert "holiday.yaml: 2 contents x 3 styles = 6 tasks" in typed(command, tmp_path / "cloned")
    (home / "holiday.yaml").unlink()
    assert "2 contents x 2 styles = 4 tasks" in typed(command, home)
    assert "4 new" in typed("nst-batch plan holiday.yaml --set transfer.size=24", home)


def test_the_other_pipeline_lines_are_valid(home: Path) -> None:
    """``What you can ask for``, with what every file must have."""
    from nst_batch.pipeline_file.spec import load_spec

    for block in blocks("yaml")[1:]:
        (home / "other.yaml").write_text(f"name: other\ncontent: photos\nstyle: paintings\n{block}")
        load_spec(home / "other.yaml", {})


def test_every_command_that_is_listed_is_one_and_no_other() -> None:
    (listed,) = (block for block in blocks("") if block.startswith("nst-batch init"))
    ours = {line.split()[1] for line in listed.splitlines()}
    help_text = runs.here("--help").out
    theirs = set(re.findall(r"^  ([a-z]+) +\S", help_text, flags=re.MULTILINE)) - {"work", "cancel", "logs"}
    assert ours == theirs, "work is for jobs; cancel and logs are named with submit"
    assert "cancel and logs go with it" in README


def test_make_targets_that_are_named_are_there() -> None:
    makefile = (runs.REPOSITORY / "Makefile").read_text()
    for target in set(re.findall(r"(?:^|`)make ([a-z-]+)", README, flags=re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
