"""Types of single values in a pipeline file: settings with their limits, pictures that are there, names, devices."""

from __future__ import annotations

import glob
import os
import re
import string
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, ValidationInfo, WithJsonSchema

from nst_batch.pipeline_file.inputs import Found, find_pictures, joined, located
from nst_batch.pipeline_file.left_out import Exclusion, LeftOut
from nst_batch.pipeline_file.lists import found_in, in_archives, read_list
from nst_batch.pipeline_file.mistakes import show
from nst_batch.pipeline_file.tables import column as table_column
from nst_batch.pipeline_file.tables import is_table
from nst_batch.settings import INIT_WORDS, SETTINGS, TYPES, choices, is_list, mistakes, or_else, words_of

OUTPUT_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
NAME_FIELDS = (
    *("content", "style", "content_dir", "style_dir", "content_folder", "style_folder"),
    *("content_suffix", "style_suffix", "shard", "bucket", "sweep", "task"),
)


def _limits(name: str, value: Any) -> Any:
    """A setting's limits, from its metadata in records.py."""
    if found := mistakes(name, value):
        raise ValueError("; ".join(found))
    return value


def _listed(value: Any, words: bool = False) -> Any:
    """One item where a list is asked for is a list of one; but for a word, where ``words`` may stand instead."""
    return value if isinstance(value, list | tuple) or (words and isinstance(value, str)) else (value,)


def _word_or_else(kind: Any) -> Any:
    """A union of words and a number or a list, told apart by what is written, so that mistakes speak of that alone."""
    (words,) = (part for part in get_args(kind) if get_origin(part) is Literal)
    (other,) = (part for part in get_args(kind) if get_origin(part) is not Literal)
    tag = f"<word{or_else(kind)}>"
    return Annotated[
        Annotated[words, Tag(tag)] | Annotated[other, Tag("<other>")],
        Discriminator(lambda value: tag if isinstance(value, str) else "<other>"),
    ]


def _setting_schema(name: str) -> dict[str, Any]:
    """A setting's limits in JSON Schema's words, for editors."""
    limits, names = SETTINGS[name].metadata, {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum"}
    words = {names[key]: value for key, value in limits.items() if key in names}
    if "items" in limits:
        words["items"] = {"type": "string", "enum": list(limits["items"])}
    elif words and is_list(name):
        words = {"items": {"type": "number", **words}}
    return words


def setting_type(name: str) -> Any:
    """The pydantic type of one setting: its annotation, its limits, and lists of one written without brackets."""
    schema = Field(json_schema_extra=_setting_schema(name))
    if name == "init":
        return Annotated[str, AfterValidator(_start), schema]
    plain = _word_or_else(TYPES[name]) if or_else(TYPES[name]) else TYPES[name]
    kind: Any = Annotated[plain, AfterValidator(partial(_limits, name)), schema]
    if is_list(name):
        return Annotated[kind, BeforeValidator(partial(_listed, words=bool(words_of(name))))]
    return Annotated[kind, BeforeValidator(_no_yes)] if TYPES[name] in (int, float) else kind


def _start(value: str, info: ValidationInfo) -> str:
    """A word, or a file: there already, or with placeholders that each task fills in."""
    if value in INIT_WORDS:
        return value
    used = _fields(value)
    for field in used:
        if field not in ("content", "style"):
            raise ValueError(f"unknown placeholder {{{field}}}; {choices(field, ('content', 'style'))}")
    path = located(value, _base(info))
    with as_mistake():
        is_file = bool(used) or path.is_file()
    if not is_file:
        raise ValueError(f"neither a word ({', '.join(INIT_WORDS)}) nor a file: {path}")
    return str(path)


def _no_yes(value: Any) -> Any:
    """pydantic takes true for 1; ``steps: yes`` is a slip."""
    if isinstance(value, bool):
        raise ValueError(f"should be a number, not {str(value).lower()}")  # noqa: TRY004 - pydantic collects these
    return value


def _base(info: ValidationInfo) -> Path:
    """The folder that relative paths start at."""
    return Path(info.context["base"] if info.context else ".")


@contextmanager
def as_mistake() -> Iterator[None]:
    """What the file system refuses (a name too long, a folder that may not be read) is a mistake like others."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{error.filename}: cannot be used: {error.strerror}; choose another") from error


def _pictures(pattern: str, info: ValidationInfo) -> Found:
    """A pattern's files. Found while checking, so that a missing folder is one more mistake in the list."""
    exclude = info.context["exclude"] if info.context else Exclusion()
    with as_mistake():
        if pattern.startswith("@"):
            return _listed_pictures(pattern, info, exclude)
        return find_pictures(pattern, _base(info), exclude)


def _exclusion(patterns: tuple[str, ...], info: ValidationInfo) -> Exclusion:
    """What ``exclude`` leaves out: a name's pattern holds everywhere, a path's from the pipeline file's folder on."""
    names = tuple(pattern.rstrip("/") for pattern in patterns if "/" not in pattern.rstrip("/"))
    base = glob.escape(os.path.abspath(_base(info)))
    paths = (os.path.join(base, located(pattern, Path())) for pattern in patterns if "/" in pattern.rstrip("/"))
    return Exclusion(names, tuple(tuple(os.path.normpath(path).split("/")) for path in paths))


def _listed_pictures(name: str, info: ValidationInfo, exclude: Exclusion) -> Found:
    """What a list has, or that column of a table which is called as the key."""
    file, column = named_file(name, info), str(info.field_name)
    if is_table(file):
        paths = table_column(file, column, {"content", "style", *SETTINGS} - {column})
    else:
        paths = read_list(file)
    left_out = LeftOut()
    return found_in(file, in_archives(paths, left_out), exclude, left_out)


def named_file(name: str, info: ValidationInfo) -> Path:
    """The list or table that is written as ``@FILE``."""
    file = located(name[1:], _base(info))
    if not file.is_file():
        raise ValueError(
            f"no such list or table: {file}; relative paths start at the pipeline file's folder, "
            f"and a picture or folder that is called so is written ./{name}"
        )
    return file


_PATH_SCHEMA = {"type": "string", "format": "path"}

if TYPE_CHECKING:
    Pictures = Found
else:  # patterns in the file, their files after checking
    Pictures = Annotated[
        tuple[Annotated[str, AfterValidator(_pictures)], ...],
        BeforeValidator(_listed),
        Field(min_length=1),
        AfterValidator(joined),
        WithJsonSchema({"anyOf": [_PATH_SCHEMA, {"type": "array", "items": _PATH_SCHEMA, "minItems": 1}]}),
    ]


def _file(path: Path, info: ValidationInfo) -> Path:
    path = located(path, _base(info))
    with as_mistake():
        if not path.is_file():
            raise ValueError(f"no such file: {path}; relative paths start at the pipeline file's folder")
    return path


def _folder(path: Path, info: ValidationInfo) -> Path:
    folder = located(path, _base(info))
    with as_mistake():
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{folder} is a file, not a folder; name a folder, or one to be made")
    return folder


def _device(name: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:\d+)?|mps", name):
        raise ValueError(f"unknown device {name!r}; valid: auto, or a list of cpu, cuda, cuda:N, mps")
    return "cuda:0" if name == "cuda" else name


def _devices(value: Any) -> Any:
    return () if value == "auto" else _listed(value)


_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
LEAST_MEMORY = 10**8  # bytes; with less, not even torch can be loaded


def _bytes(value: Any) -> Any:
    """``3 GB``, ``512 MiB``, or a number of bytes."""
    if isinstance(value, str | bool):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?i?)B?\s*", str(value), re.IGNORECASE | re.ASCII)
        if not found:
            raise ValueError(f"a size is a number with a unit, as '3 GB' or '512 MiB', not {show(value)}")
        value = int(float(found[1]) * _UNITS[found[2].upper()])
    if isinstance(value, int) and value < LEAST_MEMORY:
        raise ValueError(f"must be at least 100 MB, not {value} bytes")
    return value


_SLURM_TIMES = (r"\d+(:\d\d){0,2}", r"\d+-\d+(:\d\d){0,2}")  # minutes[:seconds], hours:minutes:seconds; days-hours…
OURS = (
    "array",
    "signal",
    "requeue",
    "no-requeue",
    "open-mode",
    "output",
    "error",
    "chdir",
    "wrap",
    "test-only",
    "ntasks",
)
"""Options of sbatch that a submission sets itself, or cannot work with."""


def _slurm_time(value: Any) -> Any:
    """As sbatch reads it; a number is minutes."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not any(re.fullmatch(kind, text, re.ASCII) for kind in _SLURM_TIMES):
        raise ValueError(f"a time is minutes, 8:00:00 or 2-12:00:00 (days-hours), not {show(value)}")
    if not text.strip("0:-"):
        raise ValueError("must be more than no time at all")
    return text


def _slurm_memory(value: Any) -> Any:
    """As sbatch reads it; a number is megabytes."""
    if isinstance(value, bool) or not re.fullmatch(r"[1-9]\d*[KMGT]?", str(value), re.ASCII):
        raise ValueError(f"memory is megabytes, or a number with K, M, G or T, as '32G', not {show(value)}")
    return str(value)


def _word(value: str) -> str:
    if not value.strip() or any(unicodedata.category(c) in ("Cc", "Cs") for c in value):
        raise ValueError(f"should be text on one line, not {show(value)}")
    return value


def _as_text(value: Any) -> Any:
    """Names may be numbers."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _option(value: str) -> str:
    name = re.match(r"--([a-z][a-z0-9-]*)(=|$)", _word(value))
    if not name:
        raise ValueError(f"an option is written as sbatch has it, as --mail-type=END, not {show(value)}")
    if name[1] in OURS:
        raise ValueError(f"--{name[1]} is set by nst-batch itself; leave it out")
    return value


def _shell_lines(value: str) -> str:
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" for c in value):
        raise ValueError(f"control characters cannot be in a script; take them out of {show(value)}")
    return value.strip("\n")


def _fields(template: str) -> list[str]:
    """The placeholders in a name."""
    try:
        used = [(field, spec, how) for _, field, spec, how in string.Formatter().parse(template) if field is not None]
    except ValueError as error:
        raise ValueError(f"{error}; write {{{{ or }}}} for a brace") from error
    for field, spec, how in used:
        if spec or how:
            raise ValueError(
                f"{{{field}}} is text as it is: ':' and '!' cannot follow its name; write {{{field}}} alone"
            )
    return [field for field, _, _ in used]


def _region(color: str) -> str:
    if color and not re.fullmatch(r"#[0-9a-fA-F]{6}", color):
        raise ValueError(
            f"a region is a colour of the mask, as '#ff0000' (in quotes: # begins a comment), not {color!r}"
        )
    return color.lower()


def _name_template(template: str) -> str:
    """Placeholders must exist, and the ending must be a format that can be written."""
    for field in _fields(template):
        if field not in NAME_FIELDS and field not in SETTINGS:
            raise ValueError(f"unknown placeholder {{{field}}}; {choices(field, [*NAME_FIELDS, *SETTINGS])}")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in template):
        raise ValueError(f"control characters cannot be in a file name; take them out of {show(template)}")
    suffix = Path(template).suffix.lower()
    if suffix not in OUTPUT_SUFFIXES:
        raise ValueError(f"must end in one of {', '.join(OUTPUT_SUFFIXES)}, not {suffix or 'nothing'!r}")
    return template


if TYPE_CHECKING:
    ExistingFile = Path
    Folder = Path
    NameTemplate = str
    Bytes = int
    Devices = tuple[str, ...]
    Excluded = Exclusion
    Metadata = tuple[str, ...]
    RegionColor = str
    SlurmTime = str
    SlurmMemory = str
    Word = str
    Options = tuple[str, ...]
    ShellLines = str
else:
    SlurmTime = Annotated[str, BeforeValidator(_slurm_time)]
    SlurmMemory = Annotated[str, BeforeValidator(_slurm_memory)]
    Word = Annotated[str, BeforeValidator(_as_text), AfterValidator(_word)]
    Options = Annotated[tuple[Annotated[str, AfterValidator(_option)], ...], BeforeValidator(_listed)]
    ShellLines = Annotated[str, AfterValidator(_shell_lines)]
    ExistingFile = Annotated[Path, AfterValidator(_file)]
    Folder = Annotated[Path, AfterValidator(_folder)]
    NameTemplate = Annotated[str, AfterValidator(_name_template)]
    RegionColor = Annotated[str, AfterValidator(_region)]
    Bytes = Annotated[
        int,
        BeforeValidator(_bytes),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer", "minimum": LEAST_MEMORY}]}),
    ]
    Metadata = Annotated[tuple[Literal["content", "gps"], ...], BeforeValidator(_listed)]
    Excluded = Annotated[
        tuple[Annotated[str, BeforeValidator(_as_text)], ...],  # folders are called 2019
        BeforeValidator(_listed),
        AfterValidator(_exclusion),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
    ]
    Devices = Annotated[
        tuple[Annotated[str, AfterValidator(_device)], ...],
        BeforeValidator(_devices),
        WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "array", "items": {"type": "string"}}]}),
    ]


_FORMER_WEIGHTS = {
    "auto": "write vgg19 (the default: the original weights, which are installed), or torchvision",
    "imagenet": "write torchvision for the weights that were meant, or vgg19 for the original ones",
}


def no_former_weights(value: Any) -> Any:
    """Raises ValueError for a word that earlier versions knew; says what to write in its place."""
    if isinstance(value, str) and value in _FORMER_WEIGHTS:
        raise ValueError(f"there is no {value!r} any more; {_FORMER_WEIGHTS[value]}")
    return value
