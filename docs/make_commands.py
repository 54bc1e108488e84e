"""Writes docs/commands.md from the command line itself: ``python docs/make_commands.py`` (``make docs``)."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from nst_batch.cli.app import app

PAGE = Path(__file__).with_name("commands.md")

_HEAD = """\
# Commands

Every command and every option, as `nst-batch COMMAND --help` has them. This page is made by `make docs`.

Results go to standard output, all else to standard error; `--json` prints one object on one line, for scripts. Exit
status: 0 done, 1 something failed, 2 bad input, 75 interrupted with work left (run it again), 130 ended by a second
Ctrl-C.

At the tab key, bash, zsh and fish complete commands, options, names of presets, keys of `--set` and files:

```sh
source <(nst-batch completion bash)     # in ~/.bashrc; zsh likewise, in ~/.zshrc
nst-batch completion fish > ~/.config/fish/completions/nst-batch.fish
```
"""


def page() -> str:
    """The whole text."""
    return _HEAD + "".join(_section(name, command) for name, command in commands())


def commands() -> Iterator[tuple[str, Any]]:
    """Each command by its whole name, those of groups as ``weights fetch``."""
    for name, command in sorted(_members(typer.main.get_command(app)).items()):
        inner = _members(command)
        if not inner:
            yield name, command
        for each, below in inner.items():
            yield f"{name} {each}", below


def _members(command: Any) -> dict[str, Any]:
    found: dict[str, Any] = getattr(command, "commands", {})
    return found


def _section(name: str, command: Any) -> str:
    rows = list(_rows(command))
    arguments = "".join(f" {label}" for label, _, is_argument in rows if is_argument)
    table = "".join(f"| `{_cell(label)}` | {_cell(text)} |\n" for label, text, _ in rows)
    head = f"\n## `nst-batch {name}{arguments}`\n\n{_paragraphs(command.help)}\n"
    return f"{head}\n| | |\n| --- | --- |\n{table}" if rows else head


def _paragraphs(text: str) -> str:
    """Paragraphs that are broken where a page is wide, each on one line here."""
    return "\n\n".join(part.strip() for part in text.strip().split("\n\n"))


def _rows(command: Any) -> Iterator[tuple[str, str, bool]]:
    """What is written, what it does, and whether it is an argument."""
    function = inspect.unwrap(command.callback)
    kinds = typing.get_type_hints(function, include_extras=False)
    defaults = {name: each.default for name, each in inspect.signature(function).parameters.items()}
    for each in command.params:
        if each.name not in kinds:
            continue  # --help
        word = each.metavar or _word(kinds[each.name])
        if each.param_type_name == "argument":
            needed = defaults[each.name] is inspect.Parameter.empty or word.startswith("[")
            yield word if needed else f"[{word}]", _told(each.help, defaults[each.name]), True
        else:
            yield f"{each.opts[0]} {word}".strip(), _told(each.help, defaults[each.name]), False


def _told(text: str, default: Any) -> str:
    shown = default not in (None, False, inspect.Parameter.empty)
    return f"{text} Default: `{default}`" if shown else text


def _word(kind: Any) -> str:
    """What stands for a value of this kind; nothing for a flag."""
    if typing.get_origin(kind) is typing.Literal:
        return "|".join(typing.get_args(kind))
    parts = [each for each in (kind, *typing.get_args(kind)) if each in _WORDS]
    return _WORDS[parts[0]] if parts else "TEXT"


_WORDS = {bool: "", int: "N", str: "TEXT", Path: "FILE"}


def _cell(text: str) -> str:
    """In a table, a stroke ends a cell."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
