"""``nst-batch weights``: where VGG-19 weights are, and whether they are whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nst_batch.cli.console import reports_errors, say
from nst_batch.errors import ExitCode, UsageError

weights_app = typer.Typer(no_args_is_help=True, help="VGG-19 weights: find them, check them, fetch torchvision's.")


@weights_app.command("path")
@reports_errors
def weights_path(
    name: Annotated[str, typer.Argument(help="vgg19 or torchvision.", show_default=True)] = "vgg19",
) -> int:
    """Print the file of the weights `vgg19`, or where that of `torchvision` is, or would be."""
    from nst_batch.settings import choices
    from nst_batch.transfer import weights as vgg

    if name == "vgg19":
        print(vgg.vgg19_path())
        return ExitCode.DONE
    if name != "torchvision":
        raise UsageError(f"no weights are called {name!r}", hint=choices(name, ("vgg19", "torchvision")))
    path = vgg.torchvision_path()
    print(path)
    if not path.is_file():
        say("not there yet: `nst-batch weights fetch` downloads it")
        return ExitCode.SOME_FAILED
    return ExitCode.DONE


@weights_app.command("verify")
@reports_errors
def weights_verify(
    which: Annotated[
        str, typer.Argument(metavar="[vgg19 | torchvision | FILE]", help="FILE: a weights file of your own.")
    ] = "vgg19",
) -> int:
    """Check the checksum of installed or downloaded weights, or that a file holds a VGG-19."""
    from nst_batch.pipeline_file.inputs import sha256_of
    from nst_batch.transfer import weights as vgg

    if which == "vgg19":
        print(f"{vgg.vgg19_path()}: vgg19, SHA-256 {vgg.checked_vgg19(sha256_of).digest}")
        return ExitCode.DONE
    if which != "torchvision":
        own = vgg.file_weights(Path(which), sha256_of)
        vgg.load_state(own)
        print(f"{which}: a VGG-19, SHA-256 {own.digest}")
        return ExitCode.DONE
    found = vgg.torchvision_weights(sha256_of)
    if found is None:
        raise UsageError(f"no VGG-19 of torchvision at {vgg.torchvision_path()}", hint=vgg.remedies())
    print(f"{found.path}: torchvision's VGG-19, SHA-256 {found.digest}")
    return ExitCode.DONE


@weights_app.command("fetch")
@reports_errors
def weights_fetch() -> int:
    """Download torchvision's weights (548 MB) into torch's cache, checksum verified."""
    from nst_batch.transfer.weights import fetch_torchvision

    print(fetch_torchvision())
    return ExitCode.DONE
