"""Tar files for tests, and pictures with our mark to put into them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from nst_batch.paths import RunPaths
from nst_batch.transfer.metadata import METADATA_KEY


def png(seed: int, size: int = 16, *, ours: bool = True) -> bytes:
    """A small picture's bytes; ``ours``: with the mark of what nst_batch has made."""
    values = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    chunks, out = PngImagePlugin.PngInfo(), io.BytesIO()
    if ours:
        chunks.add_text(METADATA_KEY, json.dumps({"task": f"{seed:032x}"}))
    Image.fromarray(values).save(out, "PNG", pnginfo=chunks)
    return out.getvalue()


def save(path: Path, members: Mapping[str, bytes], format: int = tarfile.PAX_FORMAT, mtime: float = 0) -> Path:
    """A tar file as Python's library writes it."""
    with tarfile.open(path, "w", format=format, errors="surrogateescape") as tar:
        for name, data in members.items():
            about = tarfile.TarInfo(name)
            about.size, about.mtime = len(data), mtime
            tar.addfile(about, io.BytesIO(data))
    return path


def contents(path: Path) -> dict[str, bytes]:
    """What the standard library finds in a tar file."""
    with tarfile.open(path, errors="surrogateescape") as tar:
        return {each.name: tar.extractfile(each).read() for each in tar if each.isfile()}  # type: ignore[union-attr]


def put_loose(paths: RunPaths, archive: str, files: Mapping[str, bytes]) -> None:
    """Files beside an archive, as a run leaves them."""
    for name, data in files.items():
        path = paths.loose(archive) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
