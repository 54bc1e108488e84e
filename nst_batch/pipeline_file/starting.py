"""A first pipeline file for folders of pictures: short, with what people change, each key explained."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from nst_batch.errors import UsageError
from nst_batch.pipeline_file.inputs import NothingFound, find_pictures
from nst_batch.settings import SETTINGS

FOLDERS = {
    "content": ("content", "contents", "photos", "photo", "photographs", "pictures", "images", "inputs", "input"),
    "style": ("style", "styles", "paintings", "painting", "artworks", "art"),
}
"""What folders of contents and of styles are called, the likeliest first."""
_INSIDE = ("", "data")
_COLUMN = 26  # where comments begin, if there is room

_FILE = """\
# Every content is rendered in every style: `nst-batch run`. What is there
# already is not rendered again. All keys are in docs/pipeline.md.
version: 1
name: {name}
content: {content}  # a folder, a glob, a file, or a list of these
style: {style}  # likewise
pairs: product  # each with each; zip: first with first

transfer:
  preset: default  # `nst-batch presets` lists the others
  size: {size}  # pixels of the longer side
  steps: {steps}  # more take longer, and come closer to the style
  strength: {strength}  # from content alone (0) to style alone (1)
  style_scale: {style_scale}  # 0.5: finer strokes
  color: {color}  # content: keep the photograph's colours

weights: vgg19  # the original ones; or torchvision
output:
  dir: {output}
  name: "images/{{content}}__{{style}}{{sweep}}.png"  # or .jpg, .webp, .tif
run:
  devices: auto  # every GPU, or the CPU
"""


def pipeline_text(name: str, content: str, style: str) -> str:
    """The file's text. ``content`` and ``style`` are as they are to be read: relative to the file, or absolute."""
    values = {key: SETTINGS[key].default for key in ("size", "steps", "strength", "style_scale", "color")}
    text = _FILE.format(
        name=scalar(name), content=scalar(content), style=scalar(style), output=scalar(f"outputs/{name}"), **values
    )
    return "".join(_aligned(line) + "\n" for line in text.splitlines())


def _aligned(line: str) -> str:
    """With its comment in a column of its own."""
    key, sign, comment = line.rpartition("  # ")
    return f"{key:{_COLUMN}}  # {comment}" if sign else line


def scalar(text: str) -> str:
    """Text as YAML reads it back, on one line; quoted where it has to be."""
    import yaml

    plain, quoted = (
        yaml.safe_dump(text, default_style=style, allow_unicode=True, width=sys.maxsize).removesuffix("...\n").strip()
        for style in (None, '"')
    )
    return str(quoted if len(plain.splitlines()) > 1 else plain)


def run_name(file: Path) -> str:
    """What a run is called: as its file, or, where that has no name of its own, as the folder."""
    file = Path(os.path.abspath(file))
    for text in (file.stem if file.stem != "pipeline" else "", file.parent.name):
        found = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")
        if found:
            return found
    return "pictures"


def guessed(kind: str, folder: Path) -> Path:
    """The folder of contents or of styles in ``folder``, by what such are called.

    Raises:
        UsageError: there is none with pictures in it.
    """
    for above in _INSIDE:
        names = {entry.name.lower(): entry for entry in _folders(folder / above)}
        for name in FOLDERS[kind]:
            if name in names and _pattern(names[name]):
                return names[name]
    first, second, third, *_ = FOLDERS[kind]
    raise UsageError(
        f"no folder of {kind} pictures here, such as {first}, {second} or {third}",
        hint=f"name it: nst-batch init --{kind} FOLDER",
    )


def _folders(folder: Path) -> Sequence[Path]:
    try:
        return sorted((entry for entry in folder.iterdir() if entry.is_dir()), reverse=True)
    except OSError:
        return ()


def _pattern(folder: Path) -> str:
    """What finds a folder's pictures: the folder, or, where they are in its subfolders alone, a glob; or nothing."""
    folder = Path(os.path.abspath(folder))
    for pattern in (str(folder), f"{glob.escape(str(folder))}/**/*"):
        try:
            find_pictures(pattern, Path())
        except (NothingFound, OSError):
            continue
        return pattern
    return ""


def as_written(place: str | Path, file: Path) -> str:
    """A folder, file or glob of pictures as the pipeline file at ``file`` names it: relative to the file's folder.

    Raises:
        UsageError: no picture is there.
    """
    place = Path(place)
    pattern = os.path.abspath(place if os.path.lexists(place) else place.expanduser())
    if Path(pattern).is_dir():
        pattern = _pattern(Path(pattern)) or pattern
    try:
        find_pictures(pattern, Path())
    except (NothingFound, OSError) as error:
        raise UsageError(str(error), hint="name a folder, a glob or a file of pictures, seen from here") from error
    relative = _relative(pattern, os.path.abspath(file.parent))
    if relative.startswith("@"):  # which would be taken for a list's
        return f"./{relative}"
    return _not_a_home(relative, Path(pattern)) if relative.startswith("~") else relative


def _not_a_home(relative: str, place: Path) -> str:
    """A name that begins with a tilde, which would be taken for somebody's home folder, as a glob."""
    rest = glob.escape(relative[1:]) if place.exists() else relative[1:]
    return f"[~]{rest}" + ("/*" if place.is_dir() else "")


def _relative(path: str, folder: str) -> str:
    """From a folder to what may lie beside it: there, ``..`` leads out of where the folder really is."""
    relative = os.path.relpath(path, folder)
    if not relative.startswith(".."):
        return relative
    above, name = os.path.split(path)
    return os.path.relpath(Path(os.path.realpath(above), name), os.path.realpath(folder))
