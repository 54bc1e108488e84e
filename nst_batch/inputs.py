"""Input files: find pictures, digest their bytes, read their headers; what is known of a file is remembered.

Pillow reads headers here, nothing decodes pixels, and nothing imports torch.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

from nst_batch.atomic import write_atomic
from nst_batch.records import Limits, Source

MASK_ENDING = ".mask.png"
"""``photo.mask.png`` beside ``photo.jpg`` says which regions of it are which, by colour. It is no picture to render."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")
_FRESH_SECONDS = 2.0  # a file changed this lately may change again within one tick of the file system's clock
_EXIF_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height


class NothingFound(ValueError):
    """A folder, glob or file of the spec yields no picture."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def located(path: str | Path, base: Path) -> Path:
    """``path`` with its ``~`` replaced; relative ones start at ``base``.

    Raises:
        NothingFound: there is no such user.
    """
    try:
        return base / Path(path).expanduser()
    except RuntimeError as error:
        raise NothingFound(f"no home folder is known for {path}; write the whole path") from error


def find_pictures(pattern: str, base: Path) -> tuple[Path, ...]:
    """The picture files that ``pattern`` names, sorted.

    Args:
        pattern: a folder (its pictures, not those of its subfolders), a glob (``**`` goes through subfolders),
            or one file, of whatever ending; relative ones start at ``base``.

    Raises:
        NothingFound: saying what was looked for, and where.
    """
    path = located(pattern, base)
    if path.is_file():
        return (path,)
    if path.is_dir():
        found = sorted(entry for entry in path.iterdir() if _is_picture(entry))
        if not found:
            raise NothingFound(f"no pictures in folder {path}; they should end in {_endings()}")
        return tuple(found)
    if glob.has_magic(pattern):
        matches = glob.glob(str(Path(pattern).expanduser()), root_dir=base, recursive=True)  # base is not a pattern
        found = sorted(entry for entry in map(base.joinpath, matches) if _is_picture(entry))
        if not found:
            raise NothingFound(f"no pictures match {path}; they should end in {_endings()}")
        return tuple(found)
    if path.exists():
        raise NothingFound(f"{path} is a pipe, a device or a socket, not a picture; name picture files")
    raise NothingFound(f"no such file or folder: {path}; relative paths start at the pipeline file's folder")


def _is_picture(path: Path) -> bool:
    """By name and kind only: hidden files (``._x.jpg`` of macOS), masks, and folders called x.jpg are not."""
    if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
        return False
    return not path.name.lower().endswith(MASK_ENDING) and _is_file(path)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False  # a name too long for the file system: there is no such file


def _endings() -> str:
    return " ".join(IMAGE_SUFFIXES)


@dataclass(frozen=True)
class _Known:
    """What the cache holds of one file, valid while size and time are unchanged."""

    size: int
    mtime_ns: int
    digest: str
    width: int
    height: int


class InputCache:
    """SHA-256 and header of input files, computed once for each (path, size, mtime_ns).

    Args:
        file: where ``save`` keeps them between runs; a missing or damaged one is an empty one.
        limits: files with more bytes are pictures of nobody's, and not read.
    """

    def __init__(self, file: Path, limits: Limits = Limits()) -> None:  # noqa: B008 - frozen
        self._file = file
        self._limits = limits
        self._known = _read(file)
        self._changed = False

    def source(self, path: Path) -> Source:
        """``path`` as a Source, with the mask beside it; width and height are 0 when the header cannot be read.

        A file whose bytes cannot be read, or are too many, gets a digest of its own, so that its tasks, and no others,
        fail; once it can be read, it counts as changed.
        """
        mask = path.with_name(path.stem + MASK_ENDING)
        mask_source = self._source(mask) if path.name != mask.name and _is_file(mask) else None
        return replace(self._source(path), mask=mask_source)

    def _source(self, path: Path) -> Source:
        try:
            size = path.stat().st_size
            if size > self._limits.bytes:
                too_large = f"too large {path} {size}".encode(errors="surrogateescape")
                return Source(str(path), hashlib.sha256(too_large).hexdigest(), size)
            known = self._look_up(path)
        except OSError:
            unreadable = f"unreadable {path}".encode(errors="surrogateescape")
            return Source(str(path), hashlib.sha256(unreadable).hexdigest(), 0)
        return Source(str(path), known.digest, known.size, known.width, known.height)

    def digest(self, path: Path) -> str:
        """SHA-256 of the file's bytes, 64 hex digits."""
        return self._look_up(path).digest

    def save(self) -> None:
        """Write the cache, if it has changed and its run folder exists (planning alone makes no folders)."""
        if self._changed and self._file.parent.is_dir():
            rows = {path: [k.size, k.mtime_ns, k.digest, k.width, k.height] for path, k in self._known.items()}
            with contextlib.suppress(OSError):  # a cache: planning works in a folder that cannot be written too
                write_atomic(self._file, json.dumps(rows).encode())
                self._changed = False

    def _look_up(self, path: Path) -> _Known:
        status = path.stat()
        known = self._known.get(str(path))
        if known is None or (known.size, known.mtime_ns) != (status.st_size, status.st_mtime_ns):
            known = _Known(status.st_size, status.st_mtime_ns, sha256_of(path), *_header_size(path))
            if time.time() - status.st_mtime > _FRESH_SECONDS:
                self._known[str(path)] = known
                self._changed = True
        return known


def _header_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels, upright, from the header alone; (0, 0) if Pillow does not know the file."""
    from PIL import Image

    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")  # of what its task will meet again
            width, height = image.size
            turned = image.getexif().get(_EXIF_ORIENTATION) in _TURNED
    except Exception:  # noqa: BLE001 - any decoder error, on a file that may hold anything: the task itself will say why
        return 0, 0
    return (height, width) if turned else (width, height)


def _read(file: Path) -> dict[str, _Known]:
    try:
        rows = json.loads(file.read_bytes())
        return {str(path): _Known(*row) for path, row in rows.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
