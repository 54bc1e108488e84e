"""What made a picture, stored in its file: as a PNG text chunk, or as EXIF's ImageDescription. Free of torch."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from PIL import Image

from nst_batch.archives import tars

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


def made_by_us(path: Path) -> bool:
    """Whether a file carries the metadata that ``encode`` puts in."""
    return read_metadata(path) is not None
