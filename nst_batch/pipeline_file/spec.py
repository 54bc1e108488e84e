"""``pipeline.yaml`` to ``PipelineSpec``: every mistake found at once, each with its line and the valid choices."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    create_model,
    field_validator,
)

from nst_batch.archives import tars
from nst_batch.errors import SettingsError, SpecError
from nst_batch.paths import RunPaths
from nst_batch.pipeline_file.inputs import Found
from nst_batch.pipeline_file.left_out import Exclusion, LeftOut, together
from nst_batch.pipeline_file.mistakes import Report, in_words, show
from nst_batch.pipeline_file.pair_table import PairTable, pairs_of
from nst_batch.pipeline_file.presets import FORMATS, PRESETS, Format, preset
from nst_batch.pipeline_file.spec_run import Cluster, InputLimits, Run, Section
from nst_batch.pipeline_file.spec_values import (
    Excluded,
    ExistingFile,
    Folder,
    Metadata,
    NameTemplate,
    Pictures,
    RegionColor,
    no_former_weights,
    setting_type,
)
from nst_batch.pipeline_file.tables import Mistakes, TableMistakes
from nst_batch.pipeline_file.yaml_lines import Place, YamlSyntaxError, parse
from nst_batch.settings import SETTINGS, TOGETHER, Stop, TransferSettings

MOST_BYTES = 16 << 20  # of a pipeline file: a hundred thousand pairs fit


_SETTING_FIELDS: dict[str, Any] = {
    name: (setting_type(name), Field(default=item.default, description=item.metadata["doc"]))
    for name, item in SETTINGS.items()
}


class _Overrides(Section):
    """Any field of TransferSettings; those not given keep the value from below."""

    def overrides(self) -> dict[str, Any]:
        """Only what was given."""
        return {name: getattr(self, name) for name in self.model_fields_set if name in SETTINGS}


class _TransferBase(_Overrides):
    preset: Literal[tuple(PRESETS)] = Field(default="default", description="settings to start from")  # type: ignore[valid-type]


class StyleShare(Section):
    """One of several styles of a picture."""

    path: ExistingFile = Field(description="its picture")
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False, description="its share, against the others'")
    region: RegionColor = Field(
        default="", description="`#rrggbb` of the content's mask that it is for; default: all of the picture"
    )


class PairBase(_Overrides):
    """An explicit pair: its pictures, and settings for it alone."""

    content: Pictures = Field(description="as `content` above")
    style: Pictures = Field(
        default_factory=Found, description="each gives a picture of its own; default: either this or `styles`"
    )
    styles: tuple[StyleShare, ...] = Field(
        default=(), description="several styles in one picture; default: either these or `style`"
    )


Transfer = create_model("Transfer", __base__=_TransferBase, **_SETTING_FIELDS)
Pair = create_model("Pair", __base__=PairBase, **_SETTING_FIELDS)
_SWEEP_FIELDS: dict[str, Any] = {
    name: (Annotated[tuple[kind, ...], Field(min_length=1)], Field(default=(), description=item.description))  # type: ignore[valid-type]
    for name, (kind, item) in _SETTING_FIELDS.items()
}
Sweep = create_model("Sweep", __base__=Section, **_SWEEP_FIELDS)


class Sample(Section):
    """Some styles for each content, chosen at random."""

    sample: int = Field(ge=1, description="so many styles for each content, chosen at random")
    seed: int = Field(default=0, description="the choice is the same for the same seed and names")
    balanced: bool = Field(
        default=False,
        description="each style as often as another (± 1), rather than each content by itself; contents that come to "
        "lie before others change what these draw",
    )


class WeightsFile(Section):
    """VGG-19 weights of one's own."""

    path: ExistingFile = Field(description="state dict, with torchvision's names (`features.0`) or Gatys' (`conv1_1`)")
    format: Literal["torchvision", "caffe"] = Field(
        default="torchvision",
        description="trained on RGB in [0, 1], normalised; or on BGR from 0 to 255, minus the mean, as Gatys' "
        "`vgg_conv.pth` and neural-style's",
    )


FORMER_NAME = "{content}__{style}{sweep}.png"
"""The default of ``output.name`` before pictures had a folder of their own; runs that were begun so go on so."""


class Output(Section):
    """Where pictures go."""

    dir: Folder | None = Field(default=None, description="the run's folder; default: `outputs/NAME`")
    name: NameTemplate = Field(
        default=f"images/{FORMER_NAME}",
        description="file name in it; its ending is the format: png, jpg, webp, tif",
    )
    bits: Literal[8, 16] = Field(default=8, description="a channel; 16 for PNG and TIFF")
    quality: int = Field(default=95, ge=1, le=100, description="of JPEG and WebP (100: lossless WebP)")
    metadata: Metadata = Field(
        default=(),
        description="what goes along of a content's own: `content` (EXIF's date, camera, author and copyright, and the "
        "resolution), `gps` (where it was taken), or a list of both; default: nothing",
    )


_OR_PAIRS, _OR_FILE = "<word, or {sample: N}, or a list of pairs, or '@TABLE'>", "<word, or {path: FILE}>"


def _kind_of(value: Any) -> str:
    """Which branch of a union a value means, by its shape alone: so errors speak of that branch only."""
    if isinstance(value, dict | Sample):
        return "<map>"
    if isinstance(value, PairTable) or (isinstance(value, str) and value.startswith("@")):
        return "<table>"
    return "<list>" if isinstance(value, list | tuple) else _OR_PAIRS


if TYPE_CHECKING:
    Pairs = Literal["product", "zip"] | Sample | tuple[PairBase, ...] | PairTable
else:
    Pairs = Annotated[
        Annotated[Literal["product", "zip"], Tag(_OR_PAIRS)]
        | Annotated[Sample, Tag("<map>")]
        | Annotated[tuple[Pair, ...], Field(min_length=1), Tag("<list>")]
        | Annotated[str, AfterValidator(pairs_of), WithJsonSchema({"type": "string", "pattern": "^@"}), Tag("<table>")],
        Discriminator(_kind_of),
    ]
WeightsChoice = Annotated[
    Annotated[Literal["vgg19", "torchvision", "random"], BeforeValidator(no_former_weights), Tag(_OR_FILE)]
    | Annotated[WeightsFile, Tag("<map>")],
    Discriminator(lambda value: "<map>" if isinstance(value, dict | WeightsFile) else _OR_FILE),
]


class PipelineSpec(Section):
    """A whole pipeline file, checked, with its picture files found."""

    version: Literal[1] = Field(default=1, description="of this format")
    name: str = Field(pattern=r"^[\w][\w.-]*$", description="of the run; letters, digits, `_`, `-`, `.`")
    content: Pictures = Field(
        default_factory=Found,
        description="pictures to render: a folder (without its subfolders), a glob (`photos/**/*.jpg` with them), a "
        "file, `'@LIST'` (the paths in a text file or a table), or a list of these; "
        "default: required, unless `pairs` names them",
    )
    style: Pictures = Field(
        default_factory=Found,
        description="pictures whose style is used, likewise; default: required, unless `pairs` names them",
    )
    exclude: Excluded = Field(
        default_factory=Exclusion,
        description="what is left out of `content` and `style`: names of files and folders (`drafts`, `*_small.*`), or "
        "paths (`photos/2019/**/*.png`), as one or as a list; default: nothing",
    )
    pairs: Pairs = Field(default="product", description="which content meets which style; `'@TABLE'`: a row for each")
    transfer: Transfer = Field(  # type: ignore[valid-type]
        default_factory=Transfer,
        description="a preset, and any setting that differs from it; default: `{preset: default}`",
    )
    sweep: Sweep = Field(  # type: ignore[valid-type]
        default_factory=Sweep,
        description="lists of values for transfer settings; every combination is rendered; default: nothing",
    )
    weights: WeightsChoice = Field(
        default="vgg19",
        description="of VGG-19: the original ones, trained on ImageNet, which are installed (`vgg19`); torchvision's "
        "`IMAGENET1K_V1`, from torch's cache or downloaded (`torchvision`); untrained ones (`random`); or your own "
        "(`{path: FILE}`)",
    )
    output: Output = Field(default_factory=Output, description="where pictures go, and as what")
    run: Run = Field(default_factory=Run, description="how tasks are run; changes no picture")
    limits: InputLimits = Field(default_factory=InputLimits, description="what an input picture may be")
    cluster: Cluster = Field(
        default_factory=Cluster, description="what `nst-batch submit` asks of Slurm; default: nothing"
    )

    @field_validator("transfer", "sweep", "output", "run", "limits", "cluster", mode="before")
    @classmethod
    def _empty_is_default(cls, value: Any) -> Any:
        """A section whose lines are all commented out is null in YAML."""
        return {} if value is None else value

    @field_validator("*", mode="after")
    @classmethod
    def _remember(cls, value: Any, info: ValidationInfo) -> Any:
        """Keep each part that is right, so that what spans parts is checked even beside other mistakes."""
        if info.context is not None:
            info.context["valid"][info.field_name] = value
        return value

    _goes_on: bool = PrivateAttr(default=False)

    @property
    def goes_on(self) -> bool:
        """Whether its run was begun under ``FORMER_NAME``, which no name in the file replaces."""
        return self._goes_on

    @property
    def output_dir(self) -> Path:
        """The run's folder."""
        if self.output.dir is None:
            raise AssertionError("load_spec fills it in")
        return self.output.dir

    def left_out(self) -> dict[str, LeftOut]:
        """What folders and globs of contents and of styles pass over, by ``content`` and ``style``."""
        pairs = self.pairs if isinstance(self.pairs, tuple) else ()
        contents, styles = (
            [self.content, *(pair.content for pair in pairs)],
            [self.style, *(pair.style for pair in pairs)],
        )
        both = {"content": contents, "style": styles}
        return {
            kind: together((each.left_out for each in some), set(itertools.chain.from_iterable(some)))
            for kind, some in both.items()
        }

    def settings(self) -> TransferSettings:
        """The preset with the file's own values."""
        weights = self.weights
        return _base_settings(self.transfer, FORMATS.get(weights) if isinstance(weights, str) else weights.format)


def sweep_points(sweep: BaseModel) -> list[dict[str, Any]]:
    """Every combination of the swept values, in the order written; one empty one when nothing is swept."""
    names = [name for name in type(sweep).model_fields if name in sweep.model_fields_set]
    values = [getattr(sweep, name) for name in names]
    return [dict(zip(names, point, strict=True)) for point in itertools.product(*values)]


def _base_settings(transfer: Any, weights: Format | None = None) -> TransferSettings:
    values = transfer.overrides()
    for kind in ("content", "style"):
        if f"{kind}_layers" in values:  # the preset's weights were for its own layers
            values.setdefault(f"{kind}_layer_weights", ())
    return dataclasses.replace(preset(transfer.preset, weights), **values)


# --- reading a file ---------------------------------------------------------------------------------------------------


def load_spec(path: Path, overrides: Mapping[str, str] | None = None) -> PipelineSpec:
    """Read and check a pipeline file.

    Args:
        path: the file; relative paths in it start at its folder.
        overrides: ``{"transfer.size": "512"}``, values in YAML, as from ``--set``; they win over the file.

    Raises:
        SpecError: with every mistake, in the file's order.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SpecError(
            [f"{path}: cannot be read: {reason}"], hint="name a pipeline file, as `nst-batch run FILE`"
        ) from error
    if len(data) > MOST_BYTES:
        raise SpecError([f"{path}: more than {MOST_BYTES >> 20} MiB; name a pipeline file, or make several of it"])
    try:
        document = parse(text)
    except YamlSyntaxError as error:
        raise SpecError(
            [f"{path}:{error.line}: not YAML: {error}"],
            hint="look at this line and the one before: an open bracket or quote, a tab, no space after a colon",
        ) from error
    if not isinstance(document.data, dict):
        raise SpecError([f"{path}:1: expected keys and values such as `content: photos`, not {show(document.data)}"])
    report = Report(path, document)
    for place, line in document.repeated:
        report.add(place, "given twice; keep one", line)
    for key, value in (overrides or {}).items():
        report.override(key, value)
    return _validate(document.data, path.parent, report)


def _validate(data: dict[str, Any], base: Path, report: Report) -> PipelineSpec:
    valid: dict[str, Any] = {}
    spec = None
    try:
        with tars.remembering() as memory:
            if folder := _folder(data, base):
                memory.read(RunPaths(Path(os.path.abspath(folder))).archives)
            context = {"base": base, "valid": valid, "exclude": _exclusion(data, base)}
            spec = PipelineSpec.model_validate(data, context=context)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            if item["type"] == "too_short" and item["input"]:
                continue  # pydantic counts items that are right alone; those that are wrong are in the report
            if item["type"] == "value_error" and isinstance(item["ctx"]["error"], TableMistakes):
                report.add_from(item["loc"], item["ctx"]["error"].mistakes)
            else:
                report.add(item["loc"], in_words(item, _fields_at))
    for place, message in _across(data, valid):
        report.add(place, message)
    report.add_from(("pairs",), _rows_disagree(data, valid))
    if spec is None or report.mistakes:
        raise SpecError(report.mistakes)
    update: dict[str, Any] = {"dir": spec.output.dir or base / "outputs" / spec.name}
    goes_on = "name" not in spec.output.model_fields_set and _was_begun_before(update["dir"])
    if goes_on:
        update["name"] = FORMER_NAME
    spec = spec.model_copy(update={"output": spec.output.model_copy(update=update)})
    spec._goes_on = goes_on
    return spec


def _was_begun_before(folder: Path) -> bool:
    """Whether a run has put pictures beside its manifest, as the default name of before had it."""
    return RunPaths(folder).manifest.is_dir() and not (folder / "images").exists()


def _folder(data: Mapping[str, Any], base: Path) -> Path | None:
    """The run's folder, before anything else is looked at; None where that cannot be told."""
    with contextlib.suppress(ValidationError):
        output = Output.model_validate(data.get("output") or {}, context={"base": base, "valid": {}})
        return output.dir or base / "outputs" / str(data.get("name"))
    return None


def _exclusion(data: Mapping[str, Any], base: Path) -> Exclusion:
    """What is left out, before pictures are looked for; what is wrong in it is told with all other mistakes."""
    with contextlib.suppress(ValidationError):
        return TypeAdapter(Excluded).validate_python(data.get("exclude", ()), context={"base": base})
    return Exclusion()


def _across(data: Mapping[str, Any], valid: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """What is wrong between parts; looks only at parts that are right alone."""
    pairs = valid.get("pairs", "product" if "pairs" not in data else None)
    for kind in ("content", "style"):
        if kind not in data and not isinstance(pairs, tuple | PairTable) and pairs is not None:
            yield (kind,), "missing: a folder, glob or file of pictures"
    counts = {kind: len(valid[kind]) for kind in ("content", "style") if valid.get(kind)}
    if pairs == "zip" and len(counts) == 2 and counts["content"] != counts["style"]:
        yield ("pairs",), f"zip needs as many styles as contents, not {counts['content']} and {counts['style']}"
    if isinstance(pairs, Sample) and pairs.sample > counts.get("style", pairs.sample):
        yield (
            ("pairs", "sample"),
            f"{pairs.sample} styles for each content, but there are only {counts['style']}; use no more than these",
        )
    if isinstance(pairs, tuple):
        for place, pair in enumerate(pairs):
            if bool(pair.style) == bool(pair.styles):
                yield (
                    ("pairs", place),
                    "needs either style (a picture for each) or styles (several in one picture)",
                )
    output = valid.get("output", Output())
    if output.bits == 16 and not output.name.lower().endswith((".png", ".tif", ".tiff")):
        yield ("output", "bits"), "16 bits are for PNG and TIFF; end output.name in .png or .tif"
    if "gps" in output.metadata and output.name.lower().endswith((".tif", ".tiff")):
        yield ("output", "metadata"), "gps is for PNG, JPEG and WebP; end output.name in one of these"
    yield from _settings_disagree(data, valid, pairs)


def _settings_disagree(data: Mapping[str, Any], valid: Mapping[str, Any], pairs: Any) -> Iterator[tuple[Place, str]]:
    """Settings that are right alone and not together, in each place that sets some."""
    transfer = valid.get("transfer", Transfer() if "transfer" not in data else None)
    if transfer is None:
        return
    sweep = valid.get("sweep", Sweep())
    layers: list[tuple[Place, dict[str, Any]]] = [(("transfer",), {})]
    layers += [(("sweep",), point) for point in sweep_points(sweep) if point]
    if isinstance(pairs, tuple):
        layers += [(("pairs", position), pair.overrides()) for position, pair in enumerate(pairs)]
    try:
        settings = _base_settings(transfer)
    except SettingsError as error:
        yield ("transfer",), str(error)
        return
    for place, values in layers:
        if text := _disagreement(settings, values):
            yield place, text


def _rows_disagree(data: Mapping[str, Any], valid: Mapping[str, Any]) -> list[str]:
    """The same for the rows of a table, each with its place there. Few differ in what could disagree."""
    table, transfer = valid.get("pairs"), valid.get("transfer", None if "transfer" in data else Transfer())
    if not isinstance(table, PairTable) or transfer is None:
        return []
    try:
        settings = _base_settings(transfer)
    except SettingsError:
        return []  # which is told already
    mistakes = Mistakes(table.file)
    for row, values in table.combinations(TOGETHER):
        if text := _disagreement(settings, values):
            mistakes.add(table.lines[row], text)
    return mistakes.told()


def _disagreement(settings: TransferSettings, values: Mapping[str, Any]) -> str:
    return "; ".join(settings.but(values).disagreements())


def _fields_at(place: Place) -> list[str]:
    """The fields that the section at ``place`` may have."""
    sections: dict[str, Any] = {
        "transfer": Transfer, "sweep": Sweep, "output": Output, "run": Run, "limits": InputLimits,
        "weights": WeightsFile, "cluster": Cluster,
    }  # fmt: skip
    if not place:
        return list(PipelineSpec.model_fields)
    if "stop" in place:
        return [item.name for item in dataclasses.fields(Stop)]
    if "styles" in place:
        return list(StyleShare.model_fields)
    if place[0] == "pairs":
        return list(Pair.model_fields if "<list>" in place else Sample.model_fields)
    return list(sections[str(place[0])].model_fields)


def fields_of(section: str) -> list[str]:
    """The fields that a section of the file may have, by its key: ``transfer``, ``run``, …"""
    return _fields_at((section,))
