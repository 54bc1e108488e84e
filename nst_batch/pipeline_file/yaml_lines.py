"""YAML with line numbers: plain data, and the line of each of its places.

PyYAML's safe loader, refusing repeated keys (it would keep the last in silence).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

MOST_PLACES = 1_000_000
"""Values in a document. A few lines of aliases can stand for billions."""

LARGEST_NUMBER = 1 << 64

Place = tuple[str | int, ...]
"""Keys and list positions from the top of a document: ``("transfer", "style_layers", 2)``."""


@dataclass
class Document:
    """A YAML document's data, and where each place of it stands."""

    data: Any
    lines: dict[Place, int] = field(default_factory=dict)
    repeated: list[tuple[Place, int]] = field(default_factory=list)  # keys given twice, with the second's line

    def locate(self, place: Place) -> tuple[Place, int]:
        """The longest part of ``place`` that is in the document, and its line.

        Parts that are not there are passed over: pydantic puts names of its own between real keys.
        """
        known: Place = ()
        for part in place:
            if (*known, part) in self.lines:
                known = (*known, part)
        return known, self.lines.get(known, 1)


class YamlSyntaxError(ValueError):
    """The text is not YAML; ``line`` counts from 1."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line


_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
_RESERVED = re.compile(r"found character '([@`])' that cannot start any token")
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class _Loader(yaml.SafeLoader):
    """Says where a value stands that is not what it looks like, such as the date 2024-13-45."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
                raise ValueError(value)
        except (ValueError, KeyError, AttributeError) as error:
            kind = node.tag.rpartition(":")[2]
            text = str(node.value)
            problem = f"{text if len(text) < 40 else text[:37] + '...'!r} is not a valid {kind}; quote it if it is text"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error
        return value


def parse(text: str) -> Document:
    """Read one YAML document.

    Raises:
        YamlSyntaxError: with the line at which reading stopped.
    """
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlSyntaxError(line, f"the character U+{error.character:04X} cannot be in YAML") from error
    try:
        node = loader.get_single_node()
        document = Document(None)
        if node is not None:
            _walk(node, (), document)
            document.data = loader.construct_document(node)
        return document
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if reserved := _RESERVED.match(error.problem or ""):
            problem = f"a value that begins with {reserved[1]} must be in quotes, as '{reserved[1]}list.txt'"
            raise YamlSyntaxError(mark.line + 1 if mark else 1, problem) from error
        raise YamlSyntaxError(mark.line + 1 if mark else 1, error.problem or str(error)) from error
    except yaml.YAMLError as error:
        raise YamlSyntaxError(1, str(error)) from error
    except RecursionError as error:
        raise YamlSyntaxError(loader.line + 1, "nested too deeply") from error
    finally:
        loader.dispose()


def _walk(node: yaml.Node, place: Place, document: Document, above: tuple[yaml.Node, ...] = ()) -> None:
    """Note the line of every place below ``node``, which is inside ``above``."""
    if any(node is each for each in above):
        raise YamlSyntaxError(node.start_mark.line + 1, "an alias stands inside what it names")
    if len(document.lines) > MOST_PLACES:
        raise YamlSyntaxError(node.start_mark.line + 1, f"aliases make more than {MOST_PLACES:,} values of it")
    document.lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.ScalarNode) and node.tag in _NUMBERS and ":" in node.value:
        node.tag = _TEXT  # 8:00:00 is a time; YAML 1.1 would count it in sixties
    if isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            _walk(item, (*place, position), document, (*above, node))
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                key.tag = _TEXT  # `yes: 2` and `1: x` are keys too, found in no section
            below = (*place, str(key.value))
            if below in document.lines:
                document.repeated.append((below, key.start_mark.line + 1))
            document.lines[below] = key.start_mark.line + 1
            _walk(value, below, document, (*above, node))
