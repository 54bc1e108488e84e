"""Python, packages and the terminal's encoding."""

from __future__ import annotations

import re
from importlib import metadata

import pytest

from nst_batch.doctor import software
from nst_batch.doctor.software import Requirement, older, requirements
from tests.runs import REPOSITORY

NEEDED = requirements(
    ["torch>=2.8", "torchvision>=0.23", "pillow>=10.3", "typing_extensions", 'pyarrow>=14; extra == "parquet"',
     "ray>=2.40; extra == 'ray'", 'ruff==0.17.6; extra == "dev"']
)  # fmt: skip
THERE = {"torch": "2.10.0+cu128", "torchvision": "0.25", "pillow": "12.0", "typing_extensions": "4.15"}


def test_requirements_are_read() -> None:
    assert NEEDED[0] == Requirement("torch", "2.8") and NEEDED[3] == Requirement("typing_extensions", "0")
    assert NEEDED[4] == Requirement("pyarrow", "14", "parquet") and NEEDED[5] == Requirement("ray", "2.40", "ray")


def test_they_are_those_of_this_project() -> None:
    names = {each.package for each in requirements()}
    assert {"torch", "torchvision", "pydantic", "pyyaml"} <= names


def test_every_extra_is_looked_at() -> None:
    section = (REPOSITORY / "pyproject.toml").read_text().split("[project.optional-dependencies]\n")[1]
    declared = re.findall(r"^(\w+) = ", section.partition("\n[")[0], flags=re.MULTILINE)
    assert set(software.EXTRAS) == set(declared) - {"dev", "browser"}, "those two are for tests"


@pytest.mark.parametrize(
    ("version", "least", "expected"),
    [
        ("2.10.0+cu128", "2.8", False),
        ("2.8", "2.8", False),
        ("2.8.0a0+git12", "2.8", False),
        ("2.7.1", "2.8", True),
        ("1", "1.0.1", True),
        ("9.5.0", "10.3", True),
        ("nightly", "2.8", True),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, least: str, expected: bool) -> None:
    assert older(version, least) is expected


def test_python() -> None:
    assert software.python().level == "ok"
    found = software.python((3, 9, 18))
    assert found.level == "problem" and "3.9.18" in found.text and "3.10" in found.remedy


def test_packages_that_are_as_needed_are_told_in_three_lines() -> None:
    found = list(software.packages(NEEDED, THERE.get))
    assert [(each.name, each.level) for each in found] == [("nst_batch", "ok"), ("torch", "ok"), ("torchvision", "ok")]
    assert found[1].text == "2.10.0+cu128"


def test_packages_that_are_missing_or_old_are_problems_with_the_command() -> None:
    found = {each.name: each for each in software.packages(NEEDED, {**THERE, "torch": "2.7.1", "pillow": None}.get)}
    assert found["torch"].text == "2.7.1, but 2.8 or newer is needed" and found["torch"].level == "problem"
    assert found["pillow"].level == "problem" and found["pillow"].remedy == "pip install 'pillow>=10.3'"


def test_extras_can_be_done_without() -> None:
    found = {each.name: each for each in software.extras(NEEDED, {"pyarrow": "3.0"}.get)}
    assert found["ray"].level == "ok" and "pip install 'nst_batch[ray]'" in found["ray"].text
    assert found["parquet"].level == "warning" and found["parquet"].remedy == "pip install 'nst_batch[parquet]'"
    assert "tensorboard" not in found, "what this nst_batch does not ask for"


def test_installed_is_what_the_metadata_says() -> None:
    assert software.installed("pyyaml") == metadata.version("pyyaml")
    assert software.installed("no-such-package-of-anybody") is None


@pytest.mark.parametrize(
    ("terminal", "files", "text"),
    [
        ("utf-8", "UTF8", "UTF-8"),
        ("ANSI_X3.4-1968", "utf-8", "terminal: ANSI_X3.4-1968, not UTF-8; names are shown escaped"),
        ("utf_8", "iso-8859-1", "file names: iso-8859-1, not UTF-8; names are shown escaped"),
        ("ascii", "ascii", "terminal and file names: ascii, not UTF-8; names are shown escaped"),
    ],
)
def test_encodings(terminal: str, files: str, text: str) -> None:
    found = software.encoding(terminal, files)
    assert found.text == text and (found.level == "ok") == (not found.remedy) == (text == "UTF-8")
