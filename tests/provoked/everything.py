"""All provocations, done, and what was said in each."""

from __future__ import annotations

import contextlib
import functools
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
import typer

from nst_batch.errors import NstError
from nst_batch.running.messages import Broken
from tests.provoked import clusters, files, folders, machines
from tests.provoked.sites import ERRORS, PACKAGE
from tests.provoked.world import PROVOCATIONS, World

TABLES = (files, machines, folders, clusters)  # importing them enters what they hold


@dataclass(frozen=True)
class Made:
    """An error as it was made: what it says, and where that was (a module of the package, and a line)."""

    kind: str
    message: str
    hint: str
    module: str
    line: int


@functools.cache
def everything() -> dict[str, list[Made]]:
    """What was made by each provocation, by its name, in the order in which it was made."""
    found: dict[str, list[Made]] = {}
    for each in PROVOCATIONS:
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            noted = found.setdefault(each.name, [])
            _note_what_is_made(patch, noted)
            with contextlib.suppress(NstError, typer.Exit):
                each.do(World(Path(folder), patch))
    return found


def all_made() -> list[Made]:
    """What was made by all of them."""
    return [made for each in everything().values() for made in each]


def _note_what_is_made(patch: pytest.MonkeyPatch, noted: list[Made]) -> None:
    for kind in (NstError, Broken):
        patch.setattr(kind, "__init__", _noting(kind.__init__, noted))


def _noting(real: Callable[..., None], noted: list[Made]) -> Callable[..., None]:
    def made(self: Any, *arguments: Any, **more: Any) -> None:
        real(self, *arguments, **more)
        frame = sys._getframe(1)
        while frame.f_code.co_name == "__init__" and type(frame.f_locals.get("self")).__name__ in ERRORS:
            frame = cast(Any, frame.f_back)
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(PACKAGE):
            message = self.message if isinstance(self, Broken) else str(self)
            module = str(path.relative_to(PACKAGE))
            noted.append(Made(type(self).__name__, message, self.hint, module, frame.f_lineno))

    return made
