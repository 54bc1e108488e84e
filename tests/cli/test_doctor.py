"""``nst-batch doctor``: what it prints, and how it ends."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from nst_batch.cli.doctor import last_word, lines
from nst_batch.doctor import computing
from nst_batch.doctor.findings import Finding
from tests import runs
from tests.doctor.test_examination import QUICK
from tests.runs import here, nst_batch

LONG = Finding("weights", "warning", "no " + "very " * 30 + "long", "do this\nor " + "that " * 30)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("doctor")
    runs.make_pictures(root)
    return runs.write_pipeline(root, runs.save_weights(root / "vgg.pth"))


def test_a_pipeline_that_can_be_rendered(pipeline: Path) -> None:
    """As users run it, torch and all."""
    told = nst_batch("doctor", pipeline)
    assert told.code == 0, told.out + told.err
    assert "4 tasks, 0 done" in told.out and told.out.splitlines()[-1].startswith("nothing prevents rendering")
    heads = [line for line in told.out.splitlines()[:-1] if not line.startswith(" ")]
    assert all(re.match(r"(ok|warning|problem) +\S", line) for line in heads)
    assert told.err == ""


def test_a_machine_without_room_for_torch(pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What prevents rendering is told, in whatever letters a terminal has, and is the exit status."""
    monkeypatch.setitem(os.environ, "PYTHONIOENCODING", "ascii")
    with runs.address_space_ends_at(700 * 10**6):
        told = nst_batch("doctor", pipeline)
    assert told.code == 1 and "rendering" in told.out.splitlines()[-1]
    assert re.search(r"^problem +torch +.* cannot be imported", told.out, flags=re.MULTILINE)
    assert "\\u2192 ulimit -v unlimited" in told.out
    assert "terminal: ascii" in told.out and "LC_ALL" in told.out


def test_json_has_the_same_facts(pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computing, "probed", lambda: QUICK)
    monkeypatch.setenv("TORCH_HOME", str(pipeline.parent / "nothing"))
    told = here("doctor", pipeline, "--set", "weights=torchvision", "--json")
    assert told.code == 1 and told.out.count("\n") == 1 and told.json["renders"] is False
    checks = {each["name"]: each for each in told.json["checks"]}
    assert checks["weights"]["level"] == "problem" and str(pipeline.parent) in checks["weights"]["remedy"]
    assert checks["tasks"]["level"] == "ok", "told once"
    counts = [told.json[key] for key in ("ok", "warnings", "problems")]
    assert sum(counts) == len(told.json["checks"]) and counts[2] == 1


def test_a_finding_is_a_line_and_what_to_do_is_below() -> None:
    found = list(lines(Finding("disk", "problem", "full", "make room\nor wait"), None))
    assert found == ["problem  disk          full", " " * 23 + "→ make room", " " * 23 + "→ or wait"]


def test_terminals_get_lines_that_fit() -> None:
    found = list(lines(LONG, 80))
    assert max(map(len, found)) <= 80 and all(line.startswith(" " * 23) for line in found[1:])
    assert " ".join(" ".join(found).split()).count("very") == 30
    assert len(list(lines(LONG, None))) == 3, "what is piped is not broken"


def test_the_last_word() -> None:
    good, slow, bad = (Finding("x", level, "") for level in ("ok", "warning", "problem"))
    assert last_word([good]) == "nothing prevents rendering"
    assert last_word([good, slow]) == "nothing prevents rendering; 1 warning"
    assert last_word([bad, slow, slow]) == "1 problem prevents rendering, 2 warnings"
    assert last_word([bad, bad]) == "2 problems prevent rendering, 0 warnings"
