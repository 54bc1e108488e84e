"""Arguments and options that several commands have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nst_batch.cli.completion import assignments
from nst_batch.cli.console import overridden

if TYPE_CHECKING:
    from nst_batch.paths import RunPaths

PipelineFile = Annotated[Path, typer.Argument(help="The pipeline file.", metavar="[PIPELINE]")]
Place = Annotated[
    Path, typer.Argument(help="A pipeline file, or the output folder of a run.", metavar="[PIPELINE|RUN]")
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a value, as transfer.size=512.", autocompletion=assignments
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Verify = Annotated[bool, typer.Option("--verify", help="Compare the SHA-256 of pictures that are there.")]
Force = Annotated[bool, typer.Option("--force", help="Render everything again.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Try tasks again that were given up.")]


def run_of(place: Path, sets: list[str] | None) -> RunPaths:
    """The run's folder that a command is about."""
    from nst_batch.paths import RunPaths
    from nst_batch.pipeline_file.spec import load_spec

    folder = place if place.is_dir() else load_spec(place, overridden(sets)).output_dir
    return RunPaths(Path(os.path.abspath(folder)))
