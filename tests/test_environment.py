"""How OpenMP's threads wait, as the library itself says it when it is loaded."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nst_batch import environment
from tests import runs

SAYING = {"OMP_DISPLAY_ENV": "verbose"}


def waits(said: str) -> list[str]:
    """How often threads of each GNU OpenMP that was loaded go round before they sleep."""
    return re.findall(r"GOMP_SPINCOUNT = '(\w+)'", said)


def said_by(program: str, **variables: str) -> str:
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env={**os.environ, **SAYING, "PYTHONPATH": str(runs.REPOSITORY), **variables},
    )  # fmt: skip
    return told.stderr


@pytest.fixture(scope="module")
def _gnu() -> None:
    if not waits(said_by("import torch")):
        pytest.skip("torch comes with another OpenMP here")


@pytest.mark.usefixtures("_gnu")
@pytest.mark.slow
def test_a_stylizer_waits_a_short_while_and_leaves_the_environment_as_it_was() -> None:
    program = "import os; before = dict(os.environ); from nst_batch import Stylizer; assert os.environ == before"
    assert waits(said_by(program)) == [environment.OPENMP["GOMP_SPINCOUNT"]]
    assert waits(said_by(program, GOMP_SPINCOUNT="77")) == ["77"]
    assert waits(said_by(program, OMP_WAIT_POLICY="passive")) == ["0"]


@pytest.mark.usefixtures("_gnu")
@pytest.mark.slow
@pytest.mark.parametrize("way", [[], ["--inline"]])
def test_who_renders_waits_a_short_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: list[str]) -> None:
    monkeypatch.setenv("OMP_DISPLAY_ENV", "verbose")
    runs.make_pictures(tmp_path, contents=1, styles=1)
    pipeline = runs.write_pipeline(tmp_path, runs.save_weights(tmp_path / "vgg.pth"))
    ended = runs.nst_batch("run", pipeline, *way)
    assert ended.code == 0 and environment.OPENMP["GOMP_SPINCOUNT"] in waits(ended.err), ended.err
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    ended = runs.nst_batch("run", pipeline, "--force", *way)
    assert ended.code == 0 and set(waits(ended.err)) == {"0"}, ended.err


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "KMP_BLOCKTIME", "KMP_LIBRARY", "GOMP_SPINCOUNT"])
def test_what_the_user_has_set_stands(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for each in (*environment.OPENMP, *environment.ALLOCATOR):
        monkeypatch.delenv(each, raising=False)
    both = environment.OPENMP | environment.ALLOCATOR
    assert environment.wanted(both) == both
    monkeypatch.setenv(name, "active")
    assert environment.wanted(both) == environment.ALLOCATOR
    monkeypatch.setenv("MALLOC_TOP_PAD_", "1")
    assert set(environment.wanted(both)) == environment.ALLOCATOR.keys() - {"MALLOC_TOP_PAD_"}
