"""The documentation says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from nst_batch.presets import PRESETS
from nst_batch.settings import SETTINGS
from tests.runs import REPOSITORY

PAGES = [REPOSITORY / "README.md", REPOSITORY / "nst_batch" / "ARCHITECTURE.md", *(REPOSITORY / "docs").glob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def as_yaml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_every_setting_is_explained_with_its_default() -> None:
    text = (REPOSITORY / "docs" / "pipeline.md").read_text()
    for name, item in SETTINGS.items():
        shown = as_yaml(item.default)
        assert re.search(rf"\| `{name}` \| `{re.escape(shown)}` \|.*{re.escape(item.metadata['doc'])}", text), name


def test_every_preset_and_every_module_is_explained() -> None:
    presets = (REPOSITORY / "docs" / "presets.md").read_text()
    assert all(f"`{name}`" in presets for name in PRESETS)
    architecture = (REPOSITORY / "nst_batch" / "ARCHITECTURE.md").read_text()
    package = REPOSITORY / "nst_batch"
    for module in [*package.glob("*.py"), *(package / "transfer").glob("*.py"), *(package / "cluster").glob("*.py")]:
        if not module.name.startswith("__"):
            assert f"`{module.name}`" in architecture, module


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
