"""The container image, as far as it can be looked at without building it."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.runs import REPOSITORY

KNOWN = {"FROM", "RUN", "CMD", "ENV", "ARG", "COPY", "ENTRYPOINT", "USER", "WORKDIR"}
PYPROJECT = (REPOSITORY / "pyproject.toml").read_text()


@dataclass(frozen=True)
class Instruction:
    """A Dockerfile's, with its continued lines joined."""

    name: str
    arguments: str


def instructions() -> list[Instruction]:
    lines = [line for line in (REPOSITORY / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def of(name: str) -> list[str]:
    return [each.arguments for each in instructions() if each.name == name]


def is_ignored(path: str) -> bool:
    """By .dockerignore: the last rule that fits a file or a folder it is in."""
    ignored = False
    for line in (REPOSITORY / ".dockerignore").read_text().splitlines():
        rule = line.strip().removeprefix("!")
        if not rule or rule.startswith("#"):
            continue
        parents = [str(each) for each in (Path(path), *Path(path).parents) if str(each) != "."]
        anywhere = rule.removeprefix("**/")
        if any(fnmatch.fnmatch(each, rule) or (anywhere != rule and Path(each).name == anywhere) for each in parents):
            ignored = not line.startswith("!")
    return ignored


def test_instructions_are_docker_s_own() -> None:
    assert {each.name for each in instructions()} == KNOWN
    assert instructions()[0] == Instruction("FROM", "python:3.12-slim"), "by its name alone, wherever it is kept"


def test_what_is_copied_is_there_and_not_ignored() -> None:
    sources = [source for line in of("COPY") for source in shlex.split(line)[:-1]]
    assert {"pyproject.toml", "nst_batch", "README.md"} == set(sources)
    for source in sources:
        assert (REPOSITORY / source).exists() and not is_ignored(source), source
    for module in (REPOSITORY / "nst_batch").rglob("*"):
        name = str(module.relative_to(REPOSITORY))
        assert is_ignored(name) == ("__pycache__" in name), name


@pytest.mark.parametrize("name", [".git", ".venv/bin/python", "outputs/demo/a.png", "data/content/a.jpg", "tests/x.py"])
def test_all_else_stays_outside(name: str) -> None:
    assert is_ignored(name)


def test_what_is_needed_is_installed_before_the_source_is_copied() -> None:
    """So that a change of the source does not install gigabytes again."""
    order = [each for each in instructions() if each.name == "COPY" or "pip install" in each.arguments]
    assert order[0] == Instruction("COPY", "pyproject.toml ./")
    assert "requirements.txt" in order[1].arguments and order[-1].arguments.endswith("--no-deps .")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the image's Python reads TOML; this one does not")
def test_requirements_are_those_of_the_project(tmp_path: Path) -> None:
    """The very line, by a real shell; pip only says what it was given."""
    (line,) = [each for each in of("RUN") if "requirements.txt" in each]
    for name, text in {"pip": 'echo "$@"; cat requirements.txt', "python": f'exec {sys.executable} "$@"'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    extras = shlex.split(of("ARG")[0].partition("=")[2])[0]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "EXTRAS": extras}
    said = subprocess.run(["sh", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    options, *needed = said.stdout.splitlines()
    assert options.split() == ["install", "--no-cache-dir", "--requirement", "requirements.txt"]
    declared = re.findall(r'"([^"]+)"', PYPROJECT.split("\ndependencies = [")[1].partition("]")[0])
    assert needed[: len(declared)] == declared
    for extra in extras.split():
        (packages,) = re.findall(rf"^{extra} = \[(.*)\]$", PYPROJECT, flags=re.MULTILINE)
        assert json.loads(f"[{packages}]")[0] in needed


def test_it_begins_with_the_command() -> None:
    (entry,) = of("ENTRYPOINT")
    (scripts,) = re.findall(r"\[project.scripts\]\n(.*)\n", PYPROJECT)
    assert json.loads(entry) == [scripts.partition(" =")[0]] == ["nst-batch"]
    assert json.loads(of("CMD")[0]) == ["--help"]


def test_any_user_can_run_it() -> None:
    """Whatever is written goes to folders that all may write into; and nobody is root by chance."""
    (user,) = of("USER")
    assert not user.startswith(("0", "root"))
    values = dict(pair.split("=", 1) for line in of("ENV") for pair in shlex.split(line))
    (made,) = [each for each in of("RUN") if "chmod 1777" in each]
    writable = made.rpartition("chmod 1777")[2].split()
    for name in ("HOME", "XDG_CACHE_HOME", "TORCH_HOME"):
        assert any(values[name].startswith(folder) for folder in writable), name
    assert of("WORKDIR")[-1] in writable


def test_the_documentation_builds_this() -> None:
    text = (REPOSITORY / "docs" / "cluster.md").read_text()
    assert "docker build -t nst_batch ." in text and "/cache" in text and "--gpus all" in text
