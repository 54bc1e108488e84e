"""All of it, in order."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nst_batch.doctor import computing
from nst_batch.doctor.computing import Probed
from nst_batch.doctor.examination import examine
from nst_batch.doctor.findings import Finding, first_line, prevents
from tests import runs

QUICK = Probed(
    {
        "torch": {"cuda": None, "hip": None, "seconds": 0.1},
        "torchvision": {},
        "kernels": {"why_not": ""},
        "gpus": {"devices": [], "mps": False},
    }
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch is asked for real in test_computing and tests/cli/test_doctor.py."""
    monkeypatch.setattr(computing, "probed", lambda: QUICK)


def names(*arguments: Path | None) -> list[str]:
    return [each.name for each in examine(arguments[0], {})]


def test_the_machine_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = names(None)
    assert found[:6] == ["python", "nst_batch", "torch", "torchvision", "gpu", "kernels"]
    assert {"cores", "memory", "limits", "weights", "cache", "output", "file system", "disk", "slurm"} <= set(found)
    assert len(found) == len(set(found)) and not list(tmp_path.iterdir())


def test_a_pipeline_adds_what_it_needs(tmp_path: Path) -> None:
    runs.make_pictures(tmp_path)
    file = runs.write_pipeline(tmp_path, tmp_path / "content" / "c0.png")
    found = {each.name: each for each in examine(file, {"transfer.size": "64"})}
    assert {"pipeline", "devices", "tasks", "forecast"} <= set(found)
    assert found["output"].text.startswith(str(tmp_path)) and "take about" in found["disk"].text


def test_a_pipeline_with_mistakes_is_looked_at_as_far_as_it_goes(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("name: x\n")
    found = names(tmp_path / "p.yaml")
    assert "pipeline" in found and "output" in found and "tasks" not in found


def test_packages_that_are_missing_do_not_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.startswith("nst_batch.doctor.prospects")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("nst_batch.doctor.__path__", [])  # as if what it imports could not be imported
    found = {each.name: each for each in examine(tmp_path / "p.yaml", {})}
    assert found["pipeline"].level == "problem" and "disk" in found


def test_warnings_prevent_nothing() -> None:
    good, bad = Finding("a", "warning", "slow"), Finding("b", "problem", "gone", "bring it back")
    assert not prevents([good]) and prevents([good, bad])


def test_messages_are_cut_to_their_first_line() -> None:
    assert first_line(RuntimeError("\n one \ntwo")) == "one" and first_line(RuntimeError()) == "RuntimeError"
