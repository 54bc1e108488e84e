"""Write the tables of docs/formats.md anew: what five readers make of files of every kind, by reading them.

pip install opencv-python-headless==5.0.0.93 pyvips==3.2.0 pyvips-binary==8.18.7
python -m benchmarks.formats
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import numpy.typing as npt
import pyvips
import tifffile
from PIL import Image, PngImagePlugin

from nst_batch.errors import ImageError
from nst_batch.transfer.images import _formats, load_picture
from tests.kinds import KINDS, Kind

PAGE = Path(__file__).parents[1] / "docs" / "formats.md"
Values = npt.NDArray[Any]
NEAR = 3  # of 255: what lossy formats do


def ours(path: Path) -> Values:
    """As a task reads it."""
    PngImagePlugin.MAX_TEXT_CHUNK = 1 << 26
    return load_picture(path).pixels


def pillow(path: Path) -> Values:
    """As scripts do it: opened and converted, with its plugins, and with its own limit for texts."""
    PngImagePlugin.MAX_TEXT_CHUNK = 1 << 20
    with Image.open(path) as file:
        return np.asarray(file.convert("RGB"))


def codecs(path: Path) -> Values:
    """tifffile for TIFF, and imagecodecs for all else."""
    if path.suffix == ".tif":
        return np.asarray(tifffile.imread(path, key=0))
    return np.asarray(imagecodecs.imread(path))


def opencv(path: Path) -> Values:
    """As it is stored, but for the order of channels."""
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if found is None:
        raise ValueError("not read")
    return np.asarray(found if found.ndim == 2 or found.shape[2] < 3 else found[..., [2, 1, 0]])


def vips(path: Path) -> Values:
    """As it opens a file."""
    return np.asarray(pyvips.Image.new_from_file(str(path)).numpy())


READERS = {"nst_batch": ours, "Pillow": pillow, "tifffile, imagecodecs": codecs, "OpenCV": opencv, "pyvips": vips}


def seen(read: Callable[[Path], Values], path: Path, kind: Kind) -> str:
    """What a reader makes of a file, in a word."""
    try:
        values = read(path)
    except (ImageError, OSError, ValueError, RuntimeError, TypeError, KeyError, pyvips.Error):
        return "not read"
    values = values[..., None].repeat(3, -1) if values.ndim == 2 else values
    values = values[..., :1].repeat(3, -1) if values.shape[2] < 3 else values[..., :3]
    scale = 255.0 if values.dtype.kind == "f" else 255.0 / np.iinfo(values.dtype).max
    if values.shape[:2] != (32, 48):
        return "turned" if values.shape[:2] == (48, 32) else f"{values.shape[1]} x {values.shape[0]}"
    left, right = (values[20, at].astype(np.float64) * scale for at in (12, 36))
    apart = max(np.abs(left - kind.shows[0]).max(), np.abs(right - kind.shows[1]).max())
    return "right" if apart <= NEAR else " ".join(f"{each:.0f}" for each in np.nan_to_num(left))


def table() -> str:
    """What every reader makes of every kind."""
    _formats(more=True)
    lines = ["| file | shows | " + " | ".join(READERS) + " |", "| --- | --- |" + " --- |" * len(READERS)]
    with tempfile.TemporaryDirectory() as folder:
        for number, kind in enumerate(KINDS):
            path = Path(folder, f"{number}.{kind.ending}")
            kind.write(path)
            cells = [seen(read, path, kind) for read in READERS.values()]
            shows = " ".join(map(str, kind.shows[0]))
            lines.append(f"| {kind.what} | {shows} | {' | '.join(cells)} |")
    return "\n".join(lines)


def versions() -> str:
    """Of those that read."""
    names = (
        *("pillow", "pillow-heif", "pillow-jxl-plugin", "tifffile", "imagecodecs"),
        *("opencv-python-headless", "pyvips", "pyvips-binary"),
    )
    return ", ".join(f"{name} {version(name)}" for name in names)


def main() -> None:
    """Put both into the page."""
    text = PAGE.read_text()
    for name, made in {"table": table(), "versions": versions()}.items():
        text = re.sub(
            rf"(<!-- measured: {name} -->\n\n).*?(\n\n<!-- end -->)",
            lambda found, made=made: f"{found[1]}{made}{found[2]}",  # type: ignore[misc]
            text, flags=re.DOTALL,
        )  # fmt: skip
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
