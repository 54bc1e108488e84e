"""``nst-batch init``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from nst_batch.cli.console import printable, reports_errors, tasks
from nst_batch.errors import ExitCode, UsageError


@reports_errors
def init(
    file: Annotated[Path, typer.Argument(help="The pipeline file to write.", metavar="[FILE]")] = Path("pipeline.yaml"),
    content: Annotated[
        str | None, typer.Option(metavar="DIR", help="Pictures to be painted: a folder, a glob or a file.")
    ] = None,
    style: Annotated[str | None, typer.Option(metavar="DIR", help="Pictures to paint like, likewise.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> int:
    """Write a pipeline file to begin with, for the folders that are here."""
    from nst_batch.atomic import write_atomic
    from nst_batch.pipeline_file.spec import load_spec
    from nst_batch.pipeline_file.starting import as_written, guessed, pipeline_text, run_name

    if file.exists() and not (force and file.is_file()):
        raise UsageError(f"{file}: is there already", hint="name another file, or write over it with --force")
    contents, styles = (
        as_written(given if given is not None else guessed(kind, Path()), file)
        for kind, given in (("content", content), ("style", style))
    )
    try:
        write_atomic(file, pipeline_text(run_name(file), contents, styles).encode())
    except OSError as error:
        raise UsageError(
            f"{file}: cannot be written: {error.strerror}", hint="name a file in a folder that may be written"
        ) from error
    spec = load_spec(file)
    count = len(spec.content) * len(spec.style)
    found = f"{_pictures(len(spec.content), 'content')} x {_pictures(len(spec.style), 'style')} = {tasks(count)}"
    print(printable(f"{file}: {found}"))
    for kind, what in spec.left_out().items():
        if told := what.told():
            print(printable(f"  left out of {kind}: {told}"))
    named = printable(shlex.quote(str(file)))
    print(f"  nst-batch plan {named}    what would be rendered, and how long it takes")
    print(f"  nst-batch run {named}     render it")
    return ExitCode.DONE


def _pictures(count: int, kind: str) -> str:
    return f"{count} {kind}{'s' * (count != 1)}"
