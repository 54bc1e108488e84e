"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PipelineFile = Annotated[Path, typer.Argument(help="The pipeline file.", metavar="[PIPELINE]")]
Place = Annotated[
    Path, typer.Argument(help="A pipeline file, or the output folder of a run.", metavar="[PIPELINE|RUN]")
]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a value, as transfer.size=512.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Verify = Annotated[bool, typer.Option("--verify", help="Compare the SHA-256 of pictures that are there.")]
Force = Annotated[bool, typer.Option("--force", help="Render everything again.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Try tasks again that were given up.")]
