"""Small pictures, made once and kept in the run's folder."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from nst_batch.archives import tars
from nst_batch.atomic import write_atomic
from nst_batch.errors import ImageError
from nst_batch.paths import RunPaths
from nst_batch.planning.measured import cores
from nst_batch.transfer.images import FULL, Decoded, load_picture

SIDE = 320  # pixels of the longer side: sharp on screens with two pixels to a point, 10 to 20 kB each
_QUALITY = 78  # of WebP
_YOUNG_SECONDS = 3600


@dataclass(frozen=True)
class Thumbnail:
    """A small picture's file (WebP), and its bytes."""

    path: Path
    data: bytes


def thumbnails(paths: RunPaths, pictures: Iterable[Path]) -> dict[Path, Thumbnail | None]:
    """A small picture of each file, or member of a tar file; None for what is gone, broken, or no picture.

    Those that were made before are read; a file that has changed since (by size and time) has a new one.
    """
    with ThreadPoolExecutor(cores()) as pool:
        wanted = list(dict.fromkeys(pictures))
        return dict(zip(wanted, pool.map(lambda picture: _thumbnail(paths, picture), wanted), strict=True))


def forget_others(paths: RunPaths, used: Iterable[Thumbnail | None]) -> None:
    """Remove small pictures of what has changed since; not young ones, which another process may be about to use."""
    names = {each.path.name for each in used if each is not None}
    with contextlib.suppress(OSError), os.scandir(paths.thumbnails) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.name not in names and entry.stat().st_mtime < time.time() - _YOUNG_SECONDS:
                    Path(entry.path).unlink()


def _thumbnail(paths: RunPaths, picture: Path) -> Thumbnail | None:
    try:
        state = _state(picture)
    except (OSError, ValueError):
        return None
    name = f"{os.path.abspath(picture)}\0{state}\0{SIDE}"
    kept = paths.thumbnail(hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=12).hexdigest())
    try:
        return Thumbnail(kept, kept.read_bytes())
    except OSError:
        pass
    try:
        data = _webp(load_picture(picture))
    except ImageError:
        return None
    with contextlib.suppress(OSError):  # a full disk, or a folder that may only be read: it is made again next time
        write_atomic(kept, data, durable=False)
    return Thumbnail(kept, data)


def _state(picture: Path) -> str:
    """What is another when the file, or the member of a tar file, is."""
    if tars.split(str(picture)) is not None:
        member = tars.stat(str(picture))
        return f"{member.size}\0{member.archive_size}\0{member.mtime_ns}"
    status = picture.stat()
    return f"{status.st_size}\0{status.st_mtime_ns}"


def _webp(picture: Decoded) -> bytes:
    bands = [picture.pixels] if picture.alpha is None else [picture.pixels, picture.alpha[..., None]]
    values = np.concatenate(bands, -1)
    image = Image.fromarray((values // (1 + FULL[values.dtype] // 256)).astype(np.uint8))
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=_QUALITY, method=2)
    return out.getvalue()
