"""``nst-batch init``."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from tests import runs
from tests.runs import here


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two contents and three styles."""
    runs.make_pictures(tmp_path, contents=2, styles=3)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_it_writes_can_be_planned(folder: Path) -> None:
    made = here("init")
    assert made.code == 0 and made.out.splitlines()[0] == "pipeline.yaml: 2 contents x 3 styles = 6 tasks"
    commands = [shlex.split(line.strip())[:3] for line in made.out.splitlines()[1:]]
    assert commands == [["nst-batch", "plan", "pipeline.yaml"], ["nst-batch", "run", "pipeline.yaml"]]
    assert here("plan", "pipeline.yaml", "--json").json["tasks"] == 6


def test_other_folders_and_names(folder: Path) -> None:
    (folder / "style").rename(folder / "old masters")
    made = here("init", "new/of it.yaml", "--style", "old masters", "--content", "content/c1.png")
    assert made.code == 0 and "1 content x 3 styles = 3 tasks" in made.out
    assert "nst-batch plan 'new/of it.yaml'" in made.out
    assert here("plan", "new/of it.yaml", "--json").json["tasks"] == 3


def test_a_file_that_is_there_stays(folder: Path) -> None:
    (folder / "pipeline.yaml").write_text("mine")
    refused = here("init")
    assert refused.code == 2 and "is there already" in refused.err and "--force" in refused.err
    assert (folder / "pipeline.yaml").read_text() == "mine"
    assert here("init", "--force").code == 0
    assert here("init", "content", "--force").code == 2, "a folder is not written over"


def test_no_folder_no_file(folder: Path) -> None:
    (folder / "style").rename(folder / "elsewhere")
    refused = here("init")
    assert refused.code == 2 and "--style FOLDER" in refused.err
    assert not (folder / "pipeline.yaml").exists()


def test_names_that_are_no_text_are_found_again(folder: Path) -> None:
    odd = os.fsdecode(b"latin\xe9")
    (folder / "style").rename(folder / odd)
    assert here("init", "--style", odd).code == 0
    assert here("plan", "pipeline.yaml", "--json").json["tasks"] == 6


def test_a_place_that_cannot_be_written(folder: Path) -> None:
    refused = here("init", "content/c0.png/p.yaml")
    assert refused.code == 2 and "cannot be written" in refused.err
