"""What input files hold: a digest of the bytes, and a picture's size by its header.

Headers are read here, nothing decodes pixels, and nothing imports torch.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from nst_batch.archives import tars

_AT_ONCE = 1 << 20  # bytes of a file that are read in one go


class Seen(NamedTuple):
    """What a file's bytes say; ``lasting``: they were read."""

    digest: bytes
    width: int
    height: int
    lasting: bool


def see(path: str, size: int, most: float) -> Seen:
    """What is in a file of ``size`` bytes; if these are more than ``most``, or cannot be read, a digest of its own."""
    if size > most:
        return Seen(_digest_of(f"too large {path} {size}"), 0, 0, False)
    try:
        if tars.split(path):
            data = tars.read(path)
            return Seen(hashlib.sha256(data).digest(), *_header_size(io.BytesIO(data)), True)
        with opened(path) as file:
            data = file.read(_AT_ONCE)
            digest = hashlib.sha256(data)
            if len(data) < _AT_ONCE:
                return Seen(digest.digest(), *_header_size(io.BytesIO(data)), True)
            while data := file.read(_AT_ONCE):
                digest.update(data)
            file.seek(0)
            return Seen(digest.digest(), *_header_size(file), True)
    except (OSError, ValueError):  # the latter for names that no file can have
        return Seen(unreadable(path), 0, 0, False)


@contextlib.contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """A file, and nothing that would be waited for: pipes and devices are refused."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a file", path)
        yield file


def unreadable(path: str) -> bytes:
    """A digest of its own."""
    return _digest_of(f"unreadable {path}")


def _digest_of(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()


def _header_size(file: BinaryIO) -> tuple[int, int]:
    """(width, height) in pixels, upright, from the header alone; (0, 0) where it says none."""
    from PIL import Image

    from nst_batch.transfer.images import size_of

    Image.MAX_IMAGE_PIXELS = None  # sizes are all that is read here, and ``limits`` are what they may be
    try:
        return size_of(file)
    except Exception:  # noqa: BLE001 - any decoder error, on a file that may hold anything: the task itself will say why
        return 0, 0
