"""What there is: ``nst-batch presets``, ``schema``, and ``inspect``, which is for pictures."""

from __future__ import annotations

import dataclasses
import json
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from nst_batch.cli.completion import preset_names
from nst_batch.cli.console import print_json, reports_errors
from nst_batch.cli.options import Json
from nst_batch.errors import ExitCode, UsageError


class PresetWeights(str, Enum):
    """Weights that presets have numbers for."""

    VGG19 = "vgg19"
    TORCHVISION = "torchvision"


_MADE_FOR = {
    None: "for any weights",
    "caffe": "made for the original weights (vgg19)",
    "torchvision": "made for torchvision's weights",
}


@reports_errors
def presets(
    name: Annotated[
        str | None,
        typer.Argument(help="Print this one as YAML, ready to paste.", metavar="[NAME]", autocompletion=preset_names),
    ] = None,
    weights: Annotated[
        PresetWeights, typer.Option("--weights", help="Print its numbers for these weights.")
    ] = PresetWeights.VGG19,
) -> int:
    """List the presets with the weights that they were made for, or print one."""
    import yaml

    from nst_batch.pipeline_file.presets import FORMATS, PRESETS, made_for, preset
    from nst_batch.settings import choices

    if name is None:
        width = max(map(len, PRESETS))
        for each in PRESETS:
            print(f"{each:{width}}  {_MADE_FOR[made_for(each)]}")
        return ExitCode.DONE
    if name not in PRESETS:
        raise UsageError(f"no preset {name!r}; {choices(name, PRESETS)}")
    settings = {key: _plain(value) for key, value in dataclasses.asdict(preset(name, FORMATS[weights])).items()}
    print(f"# {_MADE_FOR[made_for(name)]}; these numbers are for weights: {weights.value}")
    print(yaml.safe_dump({"transfer": {"preset": name, **settings}}, sort_keys=False, default_flow_style=None), end="")
    return ExitCode.DONE


@reports_errors
def inspect(
    file: Annotated[Path, typer.Argument(help="A picture that nst_batch made; in a tar file, too.", metavar="PICTURE")],
    as_json: Json = False,
) -> int:
    """Show what made a picture: its task, inputs, settings and loss, from the file itself."""
    import yaml

    from nst_batch.archives import tars
    from nst_batch.transfer.metadata import read_metadata

    if not file.is_file() and not tars.exists(str(file)):
        raise UsageError(f"no such file: {file}", hint="name a picture that a run has made")
    found = read_metadata(file)
    if found is None:
        raise UsageError(
            f"{file}: nothing of nst_batch's is stored in it",
            hint="programs that save a picture again drop it; look into the manifest of the run that made it",
        )
    if as_json:
        print_json(found)
    else:
        print(yaml.safe_dump(found, sort_keys=False, default_flow_style=None, allow_unicode=True), end="")
    return ExitCode.DONE


@reports_errors
def schema() -> int:
    """Print the JSON Schema of a pipeline file, for editors."""
    from nst_batch.pipeline_file.spec import PipelineSpec

    print(json.dumps(PipelineSpec.model_json_schema(), indent=2))
    return ExitCode.DONE


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
