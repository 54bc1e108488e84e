"""Write those tables of the documentation that say what the code says: ``make docs``.

What stands in a page between ``<!-- generated: NAME -->`` and ``<!-- end -->`` is made from the model of the pipeline
file and from the presets; all around it is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from nst_batch.pipeline_file.presets import PRESETS
from nst_batch.pipeline_file.spec import Output, PairBase, PipelineSpec, Sample, StyleShare, Transfer, WeightsFile
from nst_batch.pipeline_file.spec_run import Cluster, InputLimits, Run
from nst_batch.settings import SETTINGS

DOCS = Path(__file__).parent
MARKED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
HEAD = "| key | default | values | meaning |\n| --- | --- | --- | --- |\n"
MANY = 12  # words of which a table shows no list

SEE = {
    "pairs": "[below](#pairs)",
    "transfer": "[below](#transfer)",
    "sweep": "[below](#sweep)",
    "output.name": "[below](#outputname)",
    "cluster": "[cluster.md](cluster.md)",
    "cluster.command": "[Containers](#containers)",
    "run.memory_limit": "[sizes.md](sizes.md)",
}
"""Where more is said of a key."""

Schema = dict[str, Any]


# --- what may stand at a key, from its JSON Schema --------------------------------------------------------------------


def values(schema: Schema, kinds: Schema) -> str:
    """The valid values in words: ``a whole number from 1 to 256, or `auto```.

    Args:
        schema: of one field.
        kinds: ``$defs`` of the whole.
    """
    if "$ref" in schema:
        return values(kinds[schema["$ref"].rpartition("/")[2]], kinds)
    if "enum" in schema or "const" in schema:
        return _words(schema.get("enum", [schema.get("const")]))
    parts = schema.get("anyOf", schema.get("oneOf"))
    if parts:
        limits = {
            key: value for key, value in schema.items() if key not in ("anyOf", "oneOf", "default", "description")
        }
        return ", or ".join(values(_within(part, limits), kinds) for part in parts if part.get("type") != "null")
    return _of_type(schema, kinds)


def _of_type(schema: Schema, kinds: Schema) -> str:
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return ("a whole number" if kind == "integer" else "a number") + _range(schema)
    if kind == "array":
        items = values(_within(schema["items"], schema.get("limits", {})), kinds)
        return "a list of " + re.sub(r"^a (.*?)(number|path)", r"\1\2s", items)
    if kind == "object":
        names = list(schema["properties"])
        return f"`{{{', '.join(names)}}}`" if len(names) <= 3 else "keys and values"
    if schema.get("pattern") == "^@":
        return "`'@TABLE'`"
    return {"boolean": "`true`, `false`", "string": "a path" if schema.get("format") == "path" else "text"}[str(kind)]


def _within(part: Schema, limits: Schema) -> Schema:
    """One of several kinds, with the limits that were set for all of them."""
    if part.get("type") in ("integer", "number"):
        return {**limits, **part}
    return {**part, "limits": limits.get("items", {})} if part.get("type") == "array" else part


def _words(words: list[Any]) -> str:
    return "names" if len(words) > MANY else ", ".join(f"`{word}`" for word in words)


def _range(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        return f" above {schema['exclusiveMinimum']:g}"
    if low is not None and high is not None:
        return f" from {_plain(low)} to {_plain(high)}"
    return "" if low is None else f" from {_plain(low)}"


def _plain(number: float) -> str:
    return f"{number:g}" if isinstance(number, float) else str(number)


# --- what stands there without being asked for ------------------------------------------------------------------------


def as_yaml(value: Any) -> str:
    """A value as one writes it."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_yaml, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def meaning_and_default(field: FieldInfo) -> tuple[str, str]:
    """A description may say in words what the default comes to: ``the run's folder; default: `outputs/NAME```."""
    meaning, _, words = (field.description or "").partition("; default: ")
    if words:
        return meaning, words
    return meaning, "*required*" if field.is_required() else f"`{as_yaml(field.default)}`".replace("``", "")


# --- tables -----------------------------------------------------------------------------------------------------------


def rows(model: type[BaseModel], before: str = "", among: frozenset[str] | None = None) -> Iterator[str]:
    """A line of a table for each field of a section, or for those ``among`` these."""
    schema = model.model_json_schema()
    for name, field in model.model_fields.items():
        if among is None or name in among:
            key = f"{before}{name}"
            meaning, default = meaning_and_default(field)
            more = f": see {SEE[key]}" if key in SEE else ""
            valid = values(schema["properties"][name], schema.get("$defs", {}))
            yield "| " + " | ".join(_cell(each) for each in (f"`{key}`", default, valid, meaning + more)) + " |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _keys() -> Iterator[str]:
    """Those of all sections but for ``transfer`` and ``cluster``, which have tables of their own."""
    inside: dict[str, type[BaseModel]] = {"output": Output, "run": Run, "limits": InputLimits}
    for name in PipelineSpec.model_fields:
        yield from rows(inside[name], f"{name}.") if name in inside else rows(PipelineSpec, among=frozenset([name]))
        if name == "weights":
            yield from rows(WeightsFile, "weights.")


def _pairs() -> Iterator[str]:
    yield from rows(Sample, "pairs.")
    yield from rows(PairBase, "pairs[].")
    yield from rows(StyleShare, "pairs[].styles[].")


def presets() -> str:
    """Each preset as it would be written without it: what differs from ``default``."""
    lines = []
    for name, settings in PRESETS.items():
        given = {key: getattr(settings, key) for key in SETTINGS}
        differing = [f"`{key}: {as_yaml(value)}`" for key, value in given.items() if value != SETTINGS[key].default]
        if differing:
            lines.append(f"- **`{name}`**: {', '.join(differing)}\n")
    return "".join(lines)


GENERATED: dict[str, Callable[[], str]] = {
    "keys": lambda: HEAD + "".join(_keys()),
    "pairs": lambda: HEAD + "".join(_pairs()),
    "transfer": lambda: HEAD + "".join(rows(Transfer)),
    "cluster": lambda: HEAD + "".join(rows(Cluster, "cluster.")),
    "presets": presets,
}


def pages() -> dict[Path, str]:
    """Every page that has something generated in it, as it should be."""
    found = {}
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        made = MARKED.sub(lambda mark: f"{mark[1]}\n{GENERATED[mark[2]]()}\n{mark[3]}", text)
        if MARKED.search(text):
            found[page] = made
    return found


def main() -> None:
    """Write what differs, and say so."""
    for page, text in pages().items():
        if page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")
            print(f"{page.name} written anew")


if __name__ == "__main__":
    main()
