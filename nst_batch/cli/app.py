"""Every command of ``nst-batch``, and where it begins."""

from __future__ import annotations

from typing import Annotated

import typer

from nst_batch import __version__
from nst_batch.cli.cluster import cancel, logs, submit, work
from nst_batch.cli.compact import compact
from nst_batch.cli.completion import completion, prepare_answer
from nst_batch.cli.doctor import doctor
from nst_batch.cli.explain import inspect, presets, schema
from nst_batch.cli.init import init
from nst_batch.cli.plan import plan
from nst_batch.cli.run import run
from nst_batch.cli.status import export, report, status
from nst_batch.cli.streams import make_safe
from nst_batch.cli.weights import weights_app

app = typer.Typer(
    name="nst-batch",
    help="Render every content x style pair of a pipeline file, on all GPUs, resumably.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: no rich import, and it pastes well
    pretty_exceptions_enable=False,
    add_completion=False,  # no options for it: ``completion`` is a command
)
for command in (
    init,
    run,
    plan,
    status,
    report,
    export,
    compact,
    submit,
    cancel,
    logs,
    presets,
    inspect,
    schema,
    doctor,
    completion,
    work,
):
    app.command()(command)
app.add_typer(weights_app, name="weights")


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def main() -> None:
    """The console script ``nst-batch``."""
    make_safe()
    prepare_answer()
    app(prog_name="nst-batch")
