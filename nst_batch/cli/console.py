"""How every command speaks: results on standard output, all else on standard error, and an exit code."""

from __future__ import annotations

import contextvars
import json
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec, TextIO

import typer

from nst_batch.cli.streams import abandon_stdout
from nst_batch.errors import ExitCode, NstError, SpecError, UsageError
from nst_batch.errors import in_words as error_in_words
from nst_batch.records import utc_now

P = ParamSpec("P")

SHOWN = 20  # lines of a list on a terminal; --json has them all


def reports_errors(command: Callable[P, int | None]) -> Callable[P, None]:
    """Turn what nst_batch raises into messages on standard error, and a command's return value into its exit code."""

    def code_of(*args: P.args, **kwargs: P.kwargs) -> int:
        code = None
        try:
            code = command(*args, **kwargs)
            sys.stdout.flush()
        except NstError as error:
            complain(error)
            code = error.exit_code
        except BrokenPipeError:  # as of ``| head``, which has seen enough
            abandon_stdout()
        except OSError as error:  # what a machine refuses: no room, too many files, no more memory
            hint = "the system refused it: see room, permissions and `ulimit -a`"
            complain(NstError(error_in_words(error), hint))
            code = ExitCode.SOME_FAILED
            _settle_stdout()
        except (ImportError, MemoryError) as error:  # limits that torch does not fit in
            what = "memory ran out" if isinstance(error, MemoryError) else "a library cannot be loaded"
            hint = "see the limits in `ulimit -a`; a library that is missing is installed again by pip"
            complain(NstError(f"{what}: {error}" if str(error) else what, hint))
            code = ExitCode.SOME_FAILED
        except KeyboardInterrupt:
            say("ended at once; run the same command again to go on")
            code = ExitCode.ABORTED
        return int(code or 0)

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        raise typer.Exit(contextvars.copy_context().run(code_of, *args, **kwargs))  # each speaks as it was told to

    return wrapped


def _settle_stdout() -> None:
    """What a full disk did not take is not to be tried, and complained about, again when the program ends."""
    try:
        sys.stdout.flush()
    except OSError:
        abandon_stdout()


_events = contextvars.ContextVar("_events", default=False)


def speak_in_events() -> None:
    """From now on, for as long as the command runs, standard error gets JSON objects: see docs/status.md."""
    _events.set(True)


def tell(event: str, **fields: Any) -> None:
    """An event, as JSON on standard error."""
    print(json.dumps({"event": event, "time": utc_now(), **fields}), file=sys.stderr, flush=True)


def complain(error: NstError) -> None:
    """What went wrong, and what to do."""
    if _events.get():
        mistakes = {"mistakes": error.mistakes} if isinstance(error, SpecError) else {}
        tell("error", message=str(error), hint=error.hint, **mistakes)
        return
    lines = error.mistakes if isinstance(error, SpecError) else [f"error: {error}"]
    for line in lines:
        say(line)
    if len(lines) > 1:
        say(f"{len(lines)} mistakes; nothing was rendered")
    if error.hint:
        say(f"hint: {error.hint}")


def say(text: str) -> None:
    """To standard error: standard output is for results."""
    if _events.get():
        tell("note", text=text)
        return
    print(folded(printable(text), columns_of(sys.stderr)), file=sys.stderr)


def folded(text: str, columns: int | None, indent: str | None = None) -> str:
    """Text whose lines end between words, for so many columns (None: as it is).

    Words that are longer, such as paths, are left to the terminal, so that they can be copied. ``indent`` is put before
    what is left of a line; None: two blanks more than the line itself has.
    """
    if columns is None:
        return text
    return "\n".join(
        textwrap.fill(
            line, max(20, columns - 1), break_long_words=False, break_on_hyphens=False,
            subsequent_indent=" " * (len(line) - len(line.lstrip()) + 2) if indent is None else indent,
        )
        for line in text.split("\n")
    )  # fmt: skip


def columns_of(stream: TextIO) -> int | None:
    """Of the terminal that a stream goes to, as it is now; None: it goes elsewhere. ``COLUMNS`` may be from before."""
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError, AttributeError):
        return None


def printable(text: str) -> str:
    """Text as it may go to a terminal: file names may hold what would colour, move or turn round what follows."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def print_json(value: dict[str, Any]) -> None:
    """A result for machines, on one line."""
    print(json.dumps(value), flush=True)


def print_json_with(value: dict[str, Any], key: str, items: Iterable[dict[str, Any]]) -> None:
    """Likewise, with a list behind it, however long, which is printed as it is made."""
    write = sys.stdout.write
    write(f"{json.dumps(value)[:-1]}, {json.dumps(key)}: [")
    for place, item in enumerate(items):
        write(f"{', ' * (place > 0)}{json.dumps(item)}")
    print("]}", flush=True)


def overridden(sets: Sequence[str] | None) -> dict[str, str]:
    """``--set KEY=VALUE`` of a command, by key.

    Raises:
        UsageError: one is not written so.
    """
    pairs = {}
    for text in sets or []:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise UsageError(f"--set {text}: write KEY=VALUE, as in --set transfer.size=512")
        pairs[key] = value
    return pairs


def with_hint(message: str, hint: str) -> str:
    """What happened, and what to do about it."""
    return f"{message} ({hint})" if hint else message


def tasks(count: int) -> str:
    """``1 task``, ``2 tasks``."""
    return f"{count} task" if count == 1 else f"{count} tasks"


def in_words(counts: Mapping[str, Any]) -> str:
    """How many tasks are in which state."""
    return f"{counts['done']} done, {counts['todo']} to do, {counts['failed']} failed"
