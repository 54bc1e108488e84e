"""The documentation says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nst_batch.presets import PRESETS
from nst_batch.settings import SETTINGS
from tests.runs import REPOSITORY

PAGES = [REPOSITORY / "README.md", REPOSITORY / "nst_batch" / "ARCHITECTURE.md", *(REPOSITORY / "docs").glob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_setting_is_explained_with_its_default() -> None:
    text = (REPOSITORY / "docs" / "pipeline.md").read_text()
    for name, item in SETTINGS.items():
        value = item.default
        shown = {
            bool: lambda v: str(v).lower(),
            tuple: lambda v: f"[{', '.join(map(str, v))}]",
            float: lambda v: f"{v:g}",
            type(None): lambda _: "null",
        }.get(type(value), str)(value)
        assert re.search(rf"\| `{name}` \| `{re.escape(shown)}` \|.*{re.escape(item.metadata['doc'])}", text), name


def test_every_preset_and_every_module_is_explained() -> None:
    presets = (REPOSITORY / "docs" / "presets.md").read_text()
    assert all(f"`{name}`" in presets for name in PRESETS)
    architecture = (REPOSITORY / "nst_batch" / "ARCHITECTURE.md").read_text()
    package = REPOSITORY / "nst_batch"
    for module in [*package.glob("*.py"), *(package / "transfer").glob("*.py")]:
        if not module.name.startswith("__"):
            assert f"`{module.name}`" in architecture, module


def test_every_make_target_has_its_help() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    for target in phony.split():
        assert re.search(rf"^{target}:.*## \w", makefile, flags=re.MULTILINE), target
