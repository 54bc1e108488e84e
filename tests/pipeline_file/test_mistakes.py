"""Mistakes in words, where they stand, and ``--set``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nst_batch.pipeline_file.mistakes import Report, show
from nst_batch.pipeline_file.yaml_lines import Document, Place, parse

TEXT = "name: n\npairs:\n  - {content: a}\n  - content: b\n    style: c\ntransfer:\n  size: 512\n"


@pytest.fixture
def document() -> Document:
    return parse(TEXT)


@pytest.fixture
def report(document: Document) -> Report:
    return Report(Path("p.yaml"), document)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (("name",), "p.yaml:1: name: wrong"),
        (("pairs", 1, "style"), "p.yaml:5: pairs[1].style: wrong"),
        (("pairs", "<list>", 1, "style"), "p.yaml:5: pairs[1].style: wrong"),
        (("pairs", 0, "style"), "p.yaml:3: pairs[0].style: wrong"),
        ((), "p.yaml:1: wrong"),
    ],
)
def test_a_mistake_names_file_line_and_key(report: Report, place: Place, expected: str) -> None:
    report.add(place, "wrong")
    assert report.mistakes == [expected]


def test_mistakes_come_in_the_files_order_and_once(report: Report) -> None:
    for place in (("transfer", "size"), ("name",), ("pairs", 1), ("name",)):
        report.add(place, "wrong")
    report.add(("name",), "given twice", line=7)
    assert [line.split(": ", 1)[0] for line in report.mistakes] == ["p.yaml:1", "p.yaml:4", "p.yaml:7", "p.yaml:7"]


@pytest.mark.parametrize(
    ("key", "text", "place"),
    [
        ("name", "other", ("name",)),
        ("transfer.size", "64", ("transfer", "size")),
        ("transfer.steps", "3", ("transfer", "steps")),
        ("sweep.size", "[1, 2]", ("sweep", "size")),
        ("pairs.1.style", "d", ("pairs", 1, "style")),
        ("pairs.0", "{content: z}", ("pairs", 0)),
        ("transfer", "{}", ("transfer",)),
    ],
)
def test_set_puts_its_yaml_value_in_place(
    report: Report, document: Document, key: str, text: str, place: Place
) -> None:
    report.override(key, text)
    found: Any = document.data
    for part in place:
        found = found[part]
    assert found == parse(text).data and report.mistakes == []
    report.add(place, "wrong")
    assert report.mistakes[0].startswith("--set: ")


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("name.first", "x", "there is no such key to set"),
        ("pairs.7.style", "x", "there is no such key to set"),
        ("pairs.7", "x", "there is no such key to set"),
        ("pairs.one", "x", "there is no such key to set"),
        ("pairs.²", "x", "there is no such key to set"),
        ("transfer.size.of", "x", "there is no such key to set"),
    ],
)
def test_what_cannot_be_set_is_a_mistake_and_changes_nothing(
    report: Report, document: Document, key: str, text: str, message: str
) -> None:
    report.override(key, text)
    (found,) = report.mistakes
    assert found.startswith(f"--set: {key}: ") and message in found
    assert document.data == parse(TEXT).data


@pytest.mark.parametrize("text", ["{content}.jpg", "[1", "2024-13-45", "a: b: c", "*x", "@x"])
def test_what_is_not_yaml_is_set_as_the_text_it_is(report: Report, document: Document, text: str) -> None:
    report.override("name", text)
    assert report.mistakes == [] and document.data["name"] == text


def test_a_mistake_beside_an_override_keeps_its_line(report: Report) -> None:
    report.override("transfer.size", "64")
    report.add(("transfer",), "wrong")
    assert report.mistakes == ["p.yaml:6: transfer: wrong"]


def test_a_section_that_only_set_gives_has_no_line(report: Report) -> None:
    report.override("sweep.size", "[64]")
    report.add(("sweep",), "wrong")
    assert report.mistakes == ["--set: sweep: wrong"]


def test_long_values_are_cut() -> None:
    assert show("x" * 500) == "'" + "x" * 56 + "..." and show([1, 2]) == "[1, 2]"
