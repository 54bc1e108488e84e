"""What shells offer at the tab key: asked of real shells."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nst_batch.cli.completion import SCRIPTS, assignments, preset_names
from nst_batch.pipeline_file.presets import PRESETS
from nst_batch.pipeline_file.spec import PipelineSpec, load_spec
from nst_batch.settings import SETTINGS
from tests import runs
from tests.runs import REPOSITORY, here

needs = {
    shell: pytest.mark.skipif(shutil.which(shell) is None, reason=f"no {shell}") for shell in ("bash", "zsh", "fish")
}


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``nst-batch`` in PATH, a pipeline file and a folder beside it, and the scripts."""
    command = tmp_path / "bin" / "nst-batch"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} -m nst_batch "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    for shell in SCRIPTS:
        (tmp_path / f"script.{shell}").write_text(here("completion", shell).out)
    (tmp_path / "holiday.yaml").write_text("name: x\n")
    monkeypatch.chdir(tmp_path)
    return command


def bash_words(line: str) -> list[str]:
    """A line's words as bash divides them: at blanks, and at ``=``."""
    return line.replace("=", " = ").replace("  ", " ").split(" ")


def in_bash(line: str) -> list[str]:
    """What the function offers for a line, asked as readline asks it."""
    words = bash_words(line)
    asked = (
        'source script.bash; COMP_LINE="$1"; COMP_POINT=${#COMP_LINE}; shift; COMP_WORDS=("$@"); '
        'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _nst_batch "$1"; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", asked, "bash", line, *words], capture_output=True, text=True, check=True)
    return done.stdout.split()


@needs["bash"]
def test_bash_completes_commands_options_presets_and_settings(program: Path) -> None:
    assert in_bash("nst-batch pre") == ["presets"]
    assert in_bash("nst-batch weights f") == ["fetch"]
    assert in_bash("nst-batch presets gat") == ["gatys", "gatys-2017", "gatys-clamped", "gatys-2017-clamped"]
    assert in_bash("nst-batch run --sh") == ["--shard"]
    assert in_bash("nst-batch run --engine r") == ["ray"]
    assert in_bash("nst-batch plan --set transfer.style_w") == ["transfer.style_weight="]
    assert in_bash("nst-batch plan --set transfer.preset=spst") == ["spst", "spst-clamped"], "bash has the rest already"
    assert in_bash("nst-batch plan --set transfer.pooling=") == ["max", "avg"]
    assert in_bash("nst-batch plan holi") == [], "names of files are bash's own matter"


@needs["bash"]
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("nst-batch plan holi", "nst-batch plan holiday.yaml "),
        ("nst-batch plan --set transfer.metric=sm", "nst-batch plan --set transfer.metric=smooth "),
        ("nst-batch plan --set transfer.pooling_", "nst-batch plan --set transfer.pooling_scale=1"),
    ],
)
def test_a_person_at_bash(program: Path, typed: str, completed: str) -> None:
    """On a terminal: a key is pressed, and a line is there. The last one: no blank after half a word, so 1 follows."""
    Path("rc").write_text("source script.bash; PS1='ready> '\n")
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(
        ["bash", "--noprofile", "--rcfile", "rc", "-i"], stdin=theirs, stdout=theirs, stderr=theirs,
        env={**os.environ, "TERM": "dumb", "INPUTRC": "/dev/null"}, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    try:
        _read_until(ours, b"ready> ")
        os.write(ours, f"{typed}\t".encode())
        seen = b""
        if completed.endswith("=1"):
            seen = _read_until(ours, completed.removesuffix("1").encode())
            os.write(ours, b"1")
        _read_until(ours, completed.encode(), seen)
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


def _read_until(terminal: int, wanted: bytes, seen: bytes = b"") -> bytes:
    """All that is shown up to that; fails when it never is."""
    deadline = time.monotonic() + 30
    while wanted not in seen:
        assert time.monotonic() < deadline, seen
        if select.select([terminal], [], [], 0.1)[0]:
            seen += os.read(terminal, 4096)
    return seen


@needs["fish"]
def test_fish(program: Path) -> None:
    def offered(line: str) -> list[str]:
        asked = ["fish", "--no-config", "-c", f"source script.fish; complete -C '{line}'"]
        told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        return [each.partition("\t")[0] for each in told.splitlines()]

    assert offered("nst-batch pre") == ["presets"]
    assert offered("nst-batch presets gat") == ["gatys", "gatys-2017", "gatys-clamped", "gatys-2017-clamped"]
    assert offered("nst-batch plan --set transfer.tv=") == ["transfer.tv=l1", "transfer.tv=l2"]
    assert offered("nst-batch plan holi") == ["holiday.yaml"]


@needs["zsh"]
def test_zsh_reads_its_script(program: Path) -> None:
    loaded = "autoload -Uz compinit; compinit -u; source script.zsh; print $_comps[nst-batch]"
    done = subprocess.run(["zsh", "-f", "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "_nst_batch", done.stderr


def test_an_unknown_shell_is_refused() -> None:
    assert here("completion", "tcsh").code == 2


def test_help_is_not_cluttered() -> None:
    assert "completion" in here("--help").out and "--show-completion" not in here("--help").out


def test_presets() -> None:
    assert preset_names("") == list(PRESETS) and preset_names("x") == []


def test_every_key_that_can_be_set_is_offered() -> None:
    sections = assignments("")
    assert {each.rstrip(".=") for each in sections} == set(PipelineSpec.model_fields)
    keys = {section: assignments(section) for section in sections if section.endswith(".")}
    assert {f"transfer.{name}=" for name in SETTINGS} <= set(keys["transfer."])
    assert "transfer.preset=" in keys["transfer."] and "run.devices=" in keys["run."]
    assert all(len(found) > 1 and all(each.endswith("=") for each in found) for found in keys.values())
    assert assignments("nonsense.") == assignments("transfer.steps=") == assignments("name=") == []


def test_every_word_that_is_offered_is_taken(tmp_path: Path) -> None:
    runs.make_pictures(tmp_path, contents=1, styles=1)
    file = runs.write_pipeline(tmp_path, tmp_path / "content" / "c0.png")
    offered = [each for name in (*SETTINGS, "preset") for each in assignments(f"transfer.{name}=")]
    assert {"transfer.guard=false", "transfer.preset=gatys", "transfer.scales=auto"} <= set(offered)
    for each in offered:
        key, _, value = each.partition("=")
        load_spec(file, {key: value})
