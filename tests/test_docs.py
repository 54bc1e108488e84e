"""The documentation says what the code says."""

from __future__ import annotations

import dataclasses
import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import BaseModel

from nst_batch.pipeline_file.presets import PRESETS
from nst_batch.pipeline_file.spec import Output, PipelineSpec, Sample, StyleShare, WeightsFile
from nst_batch.pipeline_file.spec_run import Cluster, InputLimits, Run
from nst_batch.recorded.manifest import line
from nst_batch.records import Balance
from nst_batch.settings import SETTINGS
from tests import lines
from tests.runs import REPOSITORY

PAGES = [REPOSITORY / "README.md", REPOSITORY / "nst_batch" / "ARCHITECTURE.md", *(REPOSITORY / "docs").glob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


GENERATE: dict[str, Any] = runpy.run_path(str(REPOSITORY / "docs" / "generate.py"))


def test_tables_say_what_the_code_says() -> None:
    pages = GENERATE["pages"]()
    assert {page.name for page in pages} == {"pipeline.md", "cluster.md", "presets.md"}
    for page, text in pages.items():
        assert page.read_text() == text, f"docs/{page.name} does not say what the code says: run make docs"


def test_every_key_has_a_line_that_explains_it() -> None:
    """In the tables as they are made: so that no key of the model is left out, or without a word."""
    pipeline, cluster = ((REPOSITORY / "docs" / name).read_text() for name in ("pipeline.md", "cluster.md"))
    sections: dict[str, type[BaseModel]] = {"output": Output, "run": Run, "limits": InputLimits}
    keys = [*(PipelineSpec.model_fields.keys() - sections.keys()), "preset", *SETTINGS]
    keys += [f"{name}.{key}" for name, section in sections.items() for key in section.model_fields]
    keys += [f"weights.{key}" for key in WeightsFile.model_fields] + [f"pairs.{key}" for key in Sample.model_fields]
    keys += [f"pairs[].styles[].{key}" for key in StyleShare.model_fields]
    places = [(key, pipeline) for key in keys] + [(f"cluster.{key}", cluster) for key in Cluster.model_fields]
    for key, page in places:
        assert re.search(rf"^\| `{re.escape(key)}` \| .+ \| .+ \| .{{3,}} \|$", page, re.MULTILINE), key


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 5}, "a whole number from 1 to 5"),
        ({"type": "number", "exclusiveMinimum": 0}, "a number above 0"),
        ({"type": "number", "minimum": 0.5}, "a number from 0.5"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "a whole number"),
        ({"oneOf": [{"const": "auto"}, {"type": "integer"}], "minimum": 2}, "`auto`, or a whole number from 2"),
        ({"type": "array", "items": {"type": "string", "format": "path"}}, "a list of paths"),
        (
            {"oneOf": [{"const": "a"}, {"type": "array", "items": {"type": "integer"}}], "items": {"minimum": 3}},
            "`a`, or a list of whole numbers from 3",
        ),
        ({"$ref": "#/$defs/Kind"}, "`{x, y}`"),
        ({"enum": [8, 16]}, "`8`, `16`"),
        ({"type": "boolean"}, "`true`, `false`"),
    ],
)
def test_what_is_valid_in_words(schema: dict[str, Any], words: str) -> None:
    kinds = {"Kind": {"type": "object", "properties": {"x": {}, "y": {}}}}
    assert GENERATE["values"](schema, kinds) == words


def explained() -> dict[str, str]:
    """Fields of a manifest line, as docs/manifest.md has them, with what it says of them."""
    text = (REPOSITORY / "docs" / "manifest.md").read_text()
    lines = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (.*) \|$", text, flags=re.MULTILINE)
    return {name: meaning for names, meaning in lines for name in re.findall(r"\w+", names)}


def test_every_field_of_the_manifest_is_explained_and_no_other() -> None:
    task = lines.task(styles=lines.TWO, start=lines.START, content=dataclasses.replace(lines.CONTENT, mask=lines.MASK))
    balance = Balance(1.0, 0.5)
    done = json.loads(line(task, dataclasses.replace(lines.done(task), balance=balance)))
    failed = json.loads(line(task, lines.failed(task)))
    found, said = failed | done, explained()
    assert said.keys() == found.keys(), "docs/manifest.md has a line for each field of a line, and for no other"
    inside = {"content": found["content"], "styles": found["styles"][0], "start": found["start"]}
    inside |= {name: found[name] for name in ("weights", "balance", "error", "losses")}
    for name, values in inside.items():
        assert [key for key in values if not re.search(rf"`{key}`", said[name])] == [], f"docs/manifest.md: {name}"
    assert re.findall(r"\b(?:in `failed` lines only)\b", said["error"]) and "error" not in done


def test_every_preset_and_every_module_is_explained() -> None:
    presets = (REPOSITORY / "docs" / "presets.md").read_text()
    assert all(f"`{name}`" in presets for name in PRESETS)
    architecture = (REPOSITORY / "nst_batch" / "ARCHITECTURE.md").read_text()
    package = REPOSITORY / "nst_batch"
    for folder in (package, *(path for path in package.iterdir() if path.is_dir())):
        for module in folder.glob("*.py"):
            assert module.name.startswith("__") or f"`{module.name}`" in architecture, module


def test_every_make_target_has_its_help() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    for target in phony.split():
        assert re.search(rf"^{target}:.*## \w", makefile, flags=re.MULTILINE), target


def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs" / "python.md").read_text(), flags=re.DOTALL)
    (tmp_path / "data").symlink_to(REPOSITORY / "data")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(example, "docs/python.md", "exec"), names)
    with Image.open(tmp_path / "result.png") as result:
        assert result.size == (96, 64)
        mixed = names["mixed"]
        assert isinstance(mixed, Image.Image) and mixed.tobytes() != result.tobytes()
    assert re.fullmatch(r"[\d.]+ = [\d.]+ content \+ [\d.]+ style \+ [\d.]+ variation\n", capsys.readouterr().out)


def test_every_setting_is_in_the_comparison() -> None:
    """Which peers have it, or that none has: a new setting is put beside theirs."""
    text = (REPOSITORY / "docs" / "features.md").read_text()
    own = {"upscale", "steps", "masks", "metric", "precision", "warmup"}  # nothing to compare, or ours alone
    assert [name for name in SETTINGS if name not in own and not re.search(rf"`[^`]*\b{name}\b[^`]*`", text)] == []


def test_every_command_and_every_option_is_in_its_page_and_explained() -> None:
    made = runpy.run_path(str(REPOSITORY / "docs" / "make_commands.py"))
    for name, command in made["commands"]():
        assert command.help and all(each.help for each in command.params), name
    text = (REPOSITORY / "docs" / "commands.md").read_text()
    assert text == made["page"](), "`make docs` writes docs/commands.md again"
    for name in ("run", "doctor", "weights fetch"):
        assert f"## `nst-batch {name}" in text
