"""``nst-batch weights``: the ImageNet VGG-19."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nst_batch.cli.console import reports_errors, say
from nst_batch.errors import ExitCode, UsageError

weights_app = typer.Typer(no_args_is_help=True, help="The ImageNet VGG-19: fetch it, find it, check it.")


@weights_app.command("path")
@reports_errors
def weights_path() -> int:
    """Print where the ImageNet VGG-19 is, or would be."""
    from nst_batch.transfer.weights import imagenet_path

    path = imagenet_path()
    print(path)
    if not path.is_file():
        say("not there yet: `nst-batch weights fetch` downloads it")
        return ExitCode.SOME_FAILED
    return ExitCode.DONE


@weights_app.command("verify")
@reports_errors
def weights_verify(
    file: Annotated[Path | None, typer.Argument(help="A weights file of your own, in torchvision's format.")] = None,
) -> int:
    """Check the ImageNet VGG-19's checksum, or that a file holds a VGG-19."""
    from nst_batch.pipeline_file.inputs import sha256_of
    from nst_batch.transfer import weights as vgg

    if file is not None:
        found = vgg.file_weights(file, sha256_of)
        vgg.load_state(found)
        print(f"{file}: a VGG-19, SHA-256 {found.digest}")
        return ExitCode.DONE
    weights = vgg.imagenet_weights(sha256_of)
    if weights is None:
        raise UsageError(f"no ImageNet VGG-19 at {vgg.imagenet_path()}", hint=vgg.remedies())
    print(f"{weights.path}: the ImageNet VGG-19, SHA-256 {weights.digest}")
    return ExitCode.DONE


@weights_app.command("fetch")
@reports_errors
def weights_fetch() -> int:
    """Download the ImageNet VGG-19 (548 MB) into torch's cache, checksum verified."""
    from nst_batch.transfer.weights import fetch_imagenet

    print(fetch_imagenet())
    return ExitCode.DONE
