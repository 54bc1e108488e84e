"""The tree drawn in errors.py is the tree that is there."""

from __future__ import annotations

import inspect
import re

from nst_batch import errors
from nst_batch.errors import ExitCode, NstError


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn: dict[str, tuple[str, int]] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^(    [│ ├└─]*)(\w+)(?: +(\d+))?(?: .*)?$", line)
        if match and hasattr(errors, match[2]):
            depth = (len(match[1]) - 4) // 4
            above[depth:] = [match[2]]
            inherited = drawn[above[depth - 1]][1] if depth else ExitCode.BAD_INPUT
            drawn[match[2]] = (above[depth - 1] if depth else "Exception", int(match[3] or inherited))
    real = {
        name: (kind.__bases__[0].__name__, int(kind.exit_code))
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, NstError)
    }
    assert drawn == real


def test_a_hint_travels_with_the_message() -> None:
    error = errors.ImageError("broken", hint="replace it")
    assert (str(error), error.hint) == ("broken", "replace it")


def test_exit_codes_are_what_schedulers_rely_on() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "DONE": 0, "SOME_FAILED": 1, "BAD_INPUT": 2, "RESUBMIT": 75, "ABORTED": 130,
    }  # fmt: skip


def test_what_the_system_refuses_is_said_with_its_file() -> None:
    assert errors.in_words(OSError(28, "No space left on device", "a.png")) == "a.png: No space left on device"
    assert errors.in_words(OSError(28, "No space left on device")) == "No space left on device"
    assert errors.in_words(OSError("odd")) == "odd" and errors.in_words(OSError()) == "OSError"
