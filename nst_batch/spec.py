"""``pipeline.yaml`` to ``PipelineSpec``: every mistake found at once, each with its line and the valid choices."""

from __future__ import annotations

import dataclasses
import itertools
import re
import string
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    create_model,
    field_validator,
)

from nst_batch.errors import SettingsError, SpecError
from nst_batch.inputs import find_pictures, located
from nst_batch.mistakes import Report, in_words, show
from nst_batch.presets import PRESETS
from nst_batch.records import SETTINGS, TransferSettings, choices, mistakes
from nst_batch.yaml_lines import Place, YamlSyntaxError, parse

OUTPUT_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
NAME_FIELDS = ("content", "style", "content_suffix", "style_suffix", "content_folder", "style_folder", "sweep", "task")
_TYPES = get_type_hints(TransferSettings)


# --- types of single values -------------------------------------------------------------------------------------------


def _limits(name: str, value: Any) -> Any:
    """A setting's limits, from its metadata in records.py."""
    if found := mistakes(name, value):
        raise ValueError("; ".join(found))
    return value


def _listed(value: Any) -> Any:
    """One item where a list is asked for is a list of one."""
    return value if isinstance(value, list | tuple) else (value,)


def _setting_schema(name: str) -> dict[str, Any]:
    """A setting's limits in JSON Schema's words, for editors."""
    limits, names = SETTINGS[name].metadata, {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum"}
    words = {names[key]: value for key, value in limits.items() if key in names}
    if "items" in limits:
        words["items"] = {"type": "string", "enum": list(limits["items"])}
    elif words and isinstance(SETTINGS[name].default, tuple):
        words = {"items": {"type": "number", **words}}
    return words


def _setting_type(name: str) -> Any:
    """The pydantic type of one setting: its annotation, its limits, and lists of one written without brackets."""
    schema = Field(json_schema_extra=_setting_schema(name))
    kind: Any = Annotated[_TYPES[name], AfterValidator(partial(_limits, name)), schema]
    if isinstance(SETTINGS[name].default, tuple):
        return Annotated[kind, BeforeValidator(_listed)]
    return Annotated[kind, BeforeValidator(_no_yes)] if _TYPES[name] in (int, float) else kind


def _no_yes(value: Any) -> Any:
    """pydantic takes true for 1; ``steps: yes`` is a slip."""
    if isinstance(value, bool):
        raise ValueError(f"should be a number, not {str(value).lower()}")  # noqa: TRY004 - pydantic collects these
    return value


def _base(info: ValidationInfo) -> Path:
    """The folder that relative paths start at."""
    return Path(info.context["base"] if info.context else ".")


@contextmanager
def _as_mistake() -> Iterator[None]:
    """What the file system refuses (a name too long, a folder that may not be read) is a mistake like others."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{error.filename}: {error.strerror}") from error


def _pictures(pattern: str, info: ValidationInfo) -> tuple[Path, ...]:
    """A pattern's files. Found while checking, so that a missing folder is one more mistake in the list."""
    with _as_mistake():
        return find_pictures(pattern, _base(info))


def _joined(groups: tuple[tuple[Path, ...], ...]) -> tuple[Path, ...]:
    """All files of all patterns, in the order written, each once."""
    return tuple(dict.fromkeys(itertools.chain.from_iterable(groups)))


if TYPE_CHECKING:
    Pictures = tuple[Path, ...]
else:  # patterns in the file, their files after checking
    Pictures = Annotated[
        tuple[Annotated[str, AfterValidator(_pictures)], ...],
        BeforeValidator(_listed),
        Field(min_length=1),
        AfterValidator(_joined),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
    ]


def _file(path: Path, info: ValidationInfo) -> Path:
    path = located(path, _base(info))
    with _as_mistake():
        if not path.is_file():
            raise ValueError(f"no such file: {path}")
    return path


def _folder(path: Path, info: ValidationInfo) -> Path:
    folder = located(path, _base(info))
    with _as_mistake():
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{folder} is a file, not a folder")
    return folder


def _device(name: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:\d+)?|mps", name):
        raise ValueError(f"unknown device {name!r}; valid: auto, or a list of cpu, cuda, cuda:N, mps")
    return "cuda:0" if name == "cuda" else name


def _devices(value: Any) -> Any:
    return () if value == "auto" else _listed(value)


def _name_template(template: str) -> str:
    """Placeholders must exist, and the ending must be a format that can be written."""
    try:
        used = [(field, spec, how) for _, field, spec, how in string.Formatter().parse(template) if field is not None]
    except ValueError as error:
        raise ValueError(f"{error}; write {{{{ or }}}} for a brace") from error
    for field, spec, how in used:
        if field not in NAME_FIELDS and field not in SETTINGS:
            raise ValueError(f"unknown placeholder {{{field}}}; {choices(field, [*NAME_FIELDS, *SETTINGS])}")
        if spec or how:
            raise ValueError(f"{{{field}}} is text as it is: ':' and '!' cannot follow its name")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in template):
        raise ValueError(f"control characters cannot be in a file name: {show(template)}")
    suffix = Path(template).suffix.lower()
    if suffix not in OUTPUT_SUFFIXES:
        raise ValueError(f"must end in one of {', '.join(OUTPUT_SUFFIXES)}, not {suffix or 'nothing'!r}")
    return template


# --- the sections -----------------------------------------------------------------------------------------------------


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_SETTING_FIELDS: dict[str, Any] = {
    name: (_setting_type(name), Field(default=item.default, description=item.metadata["doc"]))
    for name, item in SETTINGS.items()
}


class _Overrides(_Section):
    """Any field of TransferSettings; those not given keep the value from below."""

    def overrides(self) -> dict[str, Any]:
        """Only what was given."""
        return {name: getattr(self, name) for name in self.model_fields_set if name in SETTINGS}


class _TransferBase(_Overrides):
    preset: Literal[tuple(PRESETS)] = Field(default="default", description="settings to start from")  # type: ignore[valid-type]


class PairBase(_Overrides):
    """An explicit pair: its pictures, and settings for it alone."""

    content: Pictures
    style: Pictures


Transfer = create_model("Transfer", __base__=_TransferBase, **_SETTING_FIELDS)
Pair = create_model("Pair", __base__=PairBase, **_SETTING_FIELDS)
_SWEEP_FIELDS: dict[str, Any] = {
    name: (Annotated[tuple[kind, ...], Field(min_length=1)], Field(default=(), description=item.description))  # type: ignore[valid-type]
    for name, (kind, item) in _SETTING_FIELDS.items()
}
Sweep = create_model("Sweep", __base__=_Section, **_SWEEP_FIELDS)


class Sample(_Section):
    """Some styles for each content, chosen at random."""

    sample: int = Field(ge=1, description="styles for each content")
    seed: int = Field(default=0, description="the choice is the same for the same seed and names")


class WeightsFile(_Section):
    """VGG-19 weights of one's own."""

    path: Annotated[Path, AfterValidator(_file)] = Field(description="state dict in torchvision's format")


class Output(_Section):
    """Where pictures go."""

    dir: Annotated[Path, AfterValidator(_folder)] | None = Field(default=None, description="default: outputs/NAME")
    name: Annotated[str, AfterValidator(_name_template)] = Field(
        default="{content}__{style}{sweep}.png", description="file name, relative to dir; its ending is the format"
    )


class Run(_Section):
    """How tasks are run; nothing here changes a picture's id."""

    devices: Annotated[
        tuple[Annotated[str, AfterValidator(_device)], ...],
        BeforeValidator(_devices),
        WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "array", "items": {"type": "string"}}]}),
    ] = Field(default=(), description="auto, or one worker for each: [cuda:0, cuda:1], [cpu, cpu]")
    retries: int = Field(default=2, ge=0, le=100, description="further tries after a crash or a passing error")
    threads: int | None = Field(default=None, ge=1, le=1024, description="per CPU worker; default: cores / workers")


def _kind_of(value: Any) -> str:
    """Which branch of a union a value means, by its shape alone: so errors speak of that branch only."""
    if isinstance(value, dict | Sample):
        return "<map>"
    return "<list>" if isinstance(value, list | tuple) else "<word>"


if TYPE_CHECKING:
    Pairs = Literal["product", "zip"] | Sample | tuple[PairBase, ...]
else:
    Pairs = Annotated[
        Annotated[Literal["product", "zip"], Tag("<word>")]
        | Annotated[Sample, Tag("<map>")]
        | Annotated[tuple[Pair, ...], Field(min_length=1), Tag("<list>")],
        Discriminator(_kind_of),
    ]
WeightsChoice = Annotated[
    Annotated[Literal["auto", "imagenet", "random"], Tag("<word>")] | Annotated[WeightsFile, Tag("<map>")],
    Discriminator(lambda value: "<map>" if isinstance(value, dict | WeightsFile) else "<word>"),
]


class PipelineSpec(_Section):
    """A whole pipeline file, checked, with its picture files found."""

    version: Literal[1] = Field(default=1, description="of this file's format")
    name: str = Field(pattern=r"^[\w][\w.-]*$", description="of the run; names its output folder")
    content: Pictures = Field(default=(), description="folder, glob, file, or a list of them; relative to this file")
    style: Pictures = Field(default=(), description="likewise")
    pairs: Pairs = Field(default="product", description="which content meets which style")
    transfer: Transfer = Field(default_factory=Transfer, description="preset, and what differs from it")  # type: ignore[valid-type]
    sweep: Sweep = Field(default_factory=Sweep, description="lists of values; every combination is rendered")  # type: ignore[valid-type]
    weights: WeightsChoice = Field(default="auto", description="VGG-19: auto, imagenet, random, or {path: FILE}")
    output: Output = Field(default_factory=Output)
    run: Run = Field(default_factory=Run)

    @field_validator("transfer", "sweep", "output", "run", mode="before")
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

    @property
    def output_dir(self) -> Path:
        """The run's folder."""
        if self.output.dir is None:
            raise AssertionError("load_spec fills it in")
        return self.output.dir

    def settings(self) -> TransferSettings:
        """The preset with the file's own values."""
        return _base_settings(self.transfer)


def sweep_points(sweep: BaseModel) -> list[dict[str, Any]]:
    """Every combination of the swept values, in the order written; one empty one when nothing is swept."""
    names = [name for name in type(sweep).model_fields if name in sweep.model_fields_set]
    values = [getattr(sweep, name) for name in names]
    return [dict(zip(names, point, strict=True)) for point in itertools.product(*values)]


def _base_settings(transfer: Any) -> TransferSettings:
    return dataclasses.replace(PRESETS[transfer.preset], **transfer.overrides())


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
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SpecError([f"{path}: cannot be read: {reason}"]) from error
    try:
        document = parse(text)
    except YamlSyntaxError as error:
        raise SpecError([f"{path}:{error.line}: not YAML: {error}"]) from error
    if not isinstance(document.data, dict):
        raise SpecError([f"{path}:1: expected keys and values such as `content: photos`, not {show(document.data)}"])
    report = Report(path, document)
    for place, line in document.repeated:
        report.add(place, "given twice", line)
    for key, value in (overrides or {}).items():
        report.override(key, value)
    return _validate(document.data, path.parent, report)


def _validate(data: dict[str, Any], base: Path, report: Report) -> PipelineSpec:
    valid: dict[str, Any] = {}
    spec = None
    try:
        spec = PipelineSpec.model_validate(data, context={"base": base, "valid": valid})
    except ValidationError as error:
        for item in error.errors(include_url=False):
            if item["type"] == "too_short" and item["input"]:
                continue  # pydantic counts items that are right alone; those that are wrong are in the report
            report.add(item["loc"], in_words(item, _fields_at))
    for place, message in _across(data, valid):
        report.add(place, message)
    if spec is None or report.mistakes:
        raise SpecError(report.mistakes)
    if spec.output.dir is None:
        output = spec.output.model_copy(update={"dir": base / "outputs" / spec.name})
        spec = spec.model_copy(update={"output": output})
    return spec


def _across(data: Mapping[str, Any], valid: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """What is wrong between parts; looks only at parts that are right alone."""
    pairs = valid.get("pairs", "product" if "pairs" not in data else None)
    for kind in ("content", "style"):
        if kind not in data and not isinstance(pairs, tuple) and pairs is not None:
            yield (kind,), "missing: a folder, glob or file of pictures"
    counts = {kind: len(valid[kind]) for kind in ("content", "style") if valid.get(kind)}
    if pairs == "zip" and len(counts) == 2 and counts["content"] != counts["style"]:
        yield ("pairs",), f"zip needs as many styles as contents, not {counts['content']} and {counts['style']}"
    if isinstance(pairs, Sample) and pairs.sample > counts.get("style", pairs.sample):
        yield ("pairs", "sample"), f"{pairs.sample} styles for each content, but there are only {counts['style']}"
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
        try:
            dataclasses.replace(settings, **values)
        except SettingsError as error:
            yield place, str(error)


def _fields_at(place: Place) -> list[str]:
    """The fields that the section at ``place`` may have."""
    sections: dict[str, Any] = {
        "transfer": Transfer, "sweep": Sweep, "output": Output, "run": Run, "weights": WeightsFile
    }  # fmt: skip
    if not place:
        return list(PipelineSpec.model_fields)
    if place[0] == "pairs":
        return list(Pair.model_fields if "<list>" in place else Sample.model_fields)
    return list(sections[str(place[0])].model_fields)
