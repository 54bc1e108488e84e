"""YAML with the line of each of its places."""

from __future__ import annotations

import pytest

from nst_batch.pipeline_file.yaml_lines import Place, YamlSyntaxError, parse

TEXT = """\
# a comment
name: night
transfer:

  size: 512
  style_layers:
    - relu1_1
    - relu2_1
pairs: [{content: a}, {content: b,
  style: c}]
"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("name",), 2),
        (("transfer",), 3),
        (("transfer", "size"), 5),
        (("transfer", "style_layers"), 6),
        (("transfer", "style_layers", 1), 8),
        (("pairs", 0), 9),
        (("pairs", 1, "content"), 9),
        (("pairs", 1, "style"), 10),
    ],
)
@pytest.mark.parametrize("disguise", [str, lambda text: "\ufeff" + text.replace("\n", "\r\n")], ids=["unix", "windows"])
def test_every_place_has_its_line(place: Place, line: int, disguise: type[str]) -> None:
    document = parse(disguise(TEXT))
    assert document.locate(place) == (place, line)


@pytest.mark.parametrize(
    ("place", "known", "line"),
    [
        (("transfer", "sizes"), ("transfer",), 3),
        (("pairs", "<list>", 1, "Pair", "style"), ("pairs", 1, "style"), 10),
        (("pairs", 7), ("pairs",), 9),
        (("nothing",), (), 2),
    ],
)
def test_parts_that_are_not_there_are_passed_over(place: Place, known: Place, line: int) -> None:
    assert parse(TEXT).locate(place) == (known, line)


def test_all_repeated_keys_are_noted_where_they_are_repeated() -> None:
    document = parse("a: 1\nb: {c: 1, c: 2}\na: 3\nd:\n  - e: 1\n    f: 2\n    e: 3\na: 4\n")
    assert document.repeated == [(("b", "c"), 2), (("a",), 3), (("d", 0, "e"), 7), (("a",), 8)]


def test_keys_are_text_whatever_they_look_like() -> None:
    document = parse("1: a\nyes: b\nnull: c\n2024-01-01: d\n1.5: e\n")
    assert document.data == {"1": "a", "yes": "b", "null": "c", "2024-01-01": "d", "1.5": "e"}
    assert document.locate(("yes",)) == (("yes",), 2)


def test_anchors_and_merges_work() -> None:
    document = parse("one: &base {size: 1, steps: 2}\ntwo:\n  <<: *base\n  size: 3\nthree: *base\n")
    assert document.data["two"] == {"size": 3, "steps": 2} and document.data["three"] == {"size": 1, "steps": 2}
    assert document.repeated == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", 3),
        ("a: 1\n\tb: 2\n", 2),
        ("a: 1\nb: 'open\n", 3),
        ("a: 1\nb: *nowhere\n", 2),
        ("a: 1\n---\nb: 2\n", 2),
        ("a: 1\nb: !!python/object/apply:os.system [echo]\n", 2),
        ("a: 1\nb: 2024-13-45\n", 2),
        ("a: 1\nb:\n  - !!int one\n", 3),
        ("a: 1\nb: !!bool perhaps\n", 2),
        ("a: 1\nb: &b\n  c: [*b]\n", 2),
        ("a: 1\n? [b]\n: 2\n", 2),
        ("a: 1\nb: \0\n", 2),
    ],
)
def test_what_is_not_yaml_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(YamlSyntaxError) as caught:
        parse(text)
    assert caught.value.line == line and str(caught.value)


def test_an_empty_document_is_none() -> None:
    assert parse("# nothing\n").data is None
