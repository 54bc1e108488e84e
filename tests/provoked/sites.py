"""Every place in nst_batch that makes an error or names a mistake, read from its source.

A place's text has holes where its values go: ``run.devices: no … on this machine``.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nst_batch import errors
from tests.runs import REPOSITORY

PACKAGE = REPOSITORY / "nst_batch"
HOLE = "…"

ERRORS = {name for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.NstError)}
BROKEN = "Broken"  # what a worker says that cannot begin; the scheduler makes an error of it
MISTAKES = {"ValueError", "ListMistake", "NothingFound", "YamlSyntaxError", "ConstructorError"}
CHECKERS = (
    "pipeline_file/spec_values.py",
    "pipeline_file/inputs.py",
    "pipeline_file/lists.py",
    "pipeline_file/pair_table.py",
    "pipeline_file/yaml_lines.py",
)
"""Modules whose ``MISTAKES`` pydantic and ``load_spec`` turn into mistakes of a pipeline file."""

WRITERS = {
    "pipeline_file/lists.py": ("none_is_there",),
    "pipeline_file/mistakes.py": ("in_words", "override"),
    "pipeline_file/pair_table.py": ("read_pairs", "_refuse_columns"),
    "settings.py": ("disagreements", "mistakes", "_item_mistakes"),
    "pipeline_file/spec.py": ("_across", "load_spec"),
    "pipeline_file/tables.py": (
        *("batches", "_refuse_twice", "_delimited", "_some", "_json_lines", "_parquet"),
        *("_path", "seek", "column", "_refuse_others", "told"),
    ),
}
"""Functions that return, yield or add the text of a mistake of a pipeline file."""


@dataclass(frozen=True)
class Site:
    """A place: a module of the package, its lines, and the text as far as it is fixed (empty: it is another's)."""

    module: str
    first: int
    last: int
    text: str

    def __str__(self) -> str:
        return f"nst_batch/{self.module}:{self.first}: {self.text or 'passes on what another one said'}"

    def holds(self, module: str, line: int) -> bool:
        """Whether a line is one of it."""
        return module == self.module and self.first <= line <= self.last


def is_in(text: str, message: str) -> bool:
    """Whether the fixed parts of a text with holes are in a message, in their order. No regular expression: one with
    many holes takes for ever on a long message that it does not match."""
    place = 0
    for part in text.split(HOLE):
        place = message.find(part, place)
        if place < 0:
            return False
        place += len(part)
    return True


def is_end_of(text: str, message: str) -> bool:
    """Whether a text with holes is all of a message, or all that follows a colon in it."""
    first, last = text.split(HOLE)[0], text.split(HOLE)[-1]
    starts = [0, *(found.end() for found in re.finditer(": ", message))]
    return message.endswith(last) and any(
        message.startswith(first, start) and is_in(text, message[start:]) for start in starts
    )


def error_sites() -> list[Site]:
    """Where an ``NstError`` is made, or what a worker says in its place."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for call in _calls(ast.parse(path.read_text()), ERRORS | {BROKEN}):
            texts = _texts(call.args[0]) if call.args else []
            found.append(_site(path, call, texts[0] if texts else ""))
    return found


def mistake_sites() -> list[Site]:
    """Where a mistake of a pipeline file gets its text; those that have one of their own."""
    found = []
    for name in CHECKERS:
        tree = ast.parse((PACKAGE / name).read_text())
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef):
                for call in _calls(function, MISTAKES):
                    found += [
                        _site(PACKAGE / name, call, text) for item in call.args for text in _texts(item, function)
                    ]
    for name, functions in WRITERS.items():
        for function in ast.walk(ast.parse((PACKAGE / name).read_text())):
            if isinstance(function, ast.FunctionDef) and function.name in functions:
                found += [_site(PACKAGE / name, node, text) for node, item in _said(function) for text in _texts(item)]
    return [site for site in found if re.search(r"[a-z]{2}", site.text)]


def _site(path: Path, node: ast.expr, text: str) -> Site:
    return Site(str(path.relative_to(PACKAGE)), node.lineno, node.end_lineno or node.lineno, text)


def _calls(tree: ast.AST, names: set[str]) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if called in names:
                yield node


def _said(function: ast.FunctionDef) -> Iterator[tuple[ast.expr, ast.expr]]:
    """What a function returns, yields (of a pair, the second) or gives to ``add`` and ``append``."""
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None:
            yield node.value, node.value
        elif isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple):
            yield node.value, node.value.elts[1]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("add", "append") and node.args:
            value = node.args[-1] if isinstance(node.args[-1], ast.Tuple) else node.args[min(1, len(node.args) - 1)]
            yield node, value.elts[-1] if isinstance(value, ast.Tuple) else value


def _texts(item: ast.expr, function: ast.FunctionDef | None = None) -> list[str]:
    """The texts that an expression may be, with holes."""
    if isinstance(item, ast.Constant):
        return [item.value] if isinstance(item.value, str) else []
    if isinstance(item, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else HOLE for part in item.values]
        return ["".join(map(str, parts))]
    if isinstance(item, ast.IfExp):
        return [*_texts(item.body, function), *_texts(item.orelse, function)]
    if isinstance(item, ast.List):
        return [text for each in item.elts for text in _texts(each, function)]
    if isinstance(item, ast.Name) and function is not None:
        given = (node for node in ast.walk(function) if isinstance(node, ast.Assign))
        return [text for node in given if _is(node.targets[0], item.id) for text in _texts(node.value)]
    return []


def _is(target: ast.expr, name: str) -> bool:
    return isinstance(target, ast.Name) and target.id == name
