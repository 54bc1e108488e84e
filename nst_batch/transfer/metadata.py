"""What made a picture, stored in its file: as a PNG text chunk, or as EXIF's ImageDescription; and what goes along of a
content's own. Free of torch.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from nst_batch.archives import tars

_RESOLUTION = (0x011A, 0x011B, 0x0128)  # XResolution, YResolution, ResolutionUnit
_COPIED = (0x010F, 0x0110, 0x0132, 0x013B, 0x8298, *_RESOLUTION)  # Make, Model, DateTime, Artist, Copyright
_EXIF, _GPS = 0x8769, 0x8825  # folders of tags
_COPIED_OF_EXIF = (0x9003, 0x9004, 0x9010, 0x9011, 0x9012, 0x9291, 0x9292, 0xA433, 0xA434)
"""DateTimeOriginal, DateTimeDigitized, their offsets and fractions, LensMake, LensModel: EXIF 2.32, 4.6.5. Not the
orientation, since pixels are upright, no thumbnail, and no maker's notes."""

METADATA_KEY = "nst_batch"
IMAGE_DESCRIPTION = 0x010E  # EXIF and TIFF tag, for formats that have no text chunks


def described(note: str) -> str:
    """A note as it stands in an ImageDescription, marked as ours."""
    return f"{METADATA_KEY} {note}"


def read_metadata(path: Path) -> dict[str, Any] | None:
    """What ``encode`` stored in the file, or the member of a tar file; None when there is nothing of ours in it."""
    try:
        file = path if tars.split(str(path)) is None else io.BytesIO(tars.read(str(path)))
        with Image.open(file) as image:
            note = image.info.get(METADATA_KEY)
            if note is None:
                text = str(image.getexif().get(IMAGE_DESCRIPTION, ""))
                note = text.removeprefix(METADATA_KEY) if text.startswith(METADATA_KEY) else None
        found = json.loads(note) if note is not None else None
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is not a picture of ours
        return None
    return found if isinstance(found, dict) else None


@dataclass(frozen=True)
class Theirs:
    """What goes along of a content's own; ``dpi``: pixels an inch, across and down."""

    exif: Image.Exif
    dpi: tuple[float, float] | None = None


def of_content(path: Path, wanted: Sequence[str]) -> Theirs | None:
    """What ``output.metadata`` asks for; None where it asks for nothing, or nothing can be read.

    Args:
        path: of the content.
        wanted: ``content``: date, camera, author, copyright, resolution. ``gps``: where it was taken.
    """
    if not wanted:
        return None
    from nst_batch.transfer.images import opened  # not for those who only look who made a picture

    found = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of broken EXIF
            image = opened(path)
            theirs, dpi = image.getexif(), image.info.get("dpi")
            if "content" in wanted:
                found.update({tag: _as_is(theirs[tag]) for tag in _COPIED if tag in theirs})
                of_exif = theirs.get_ifd(_EXIF)
                if copied := {tag: of_exif[tag] for tag in _COPIED_OF_EXIF if tag in of_exif}:
                    found[_EXIF] = copied
            if "gps" in wanted and (place := dict(theirs.get_ifd(_GPS))):
                found[_GPS] = place
            found.tobytes()
    except Exception:  # noqa: BLE001 - whatever is wrong with it, the picture is none the worse
        return None
    if "content" not in wanted or dpi is None or min(dpi) <= 0:
        return Theirs(found)
    return Theirs(found, (float(dpi[0]), float(dpi[1])))


def _as_is(value: Any) -> Any:
    """Text as its bytes, which Pillow reads as Latin-1, and writes as ASCII."""
    return value.encode("latin-1", "replace") if isinstance(value, str) else value


def made_by_us(path: Path) -> bool:
    """Whether a file carries the metadata that ``encode`` puts in."""
    return read_metadata(path) is not None
