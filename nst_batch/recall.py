"""What was read of a large manifest, remembered: the next reader goes on behind it.

It holds only as long as parts are what they were: none has gone, none is shorter, and what stands before the place up
to which each was read is still the same. Else everything is read again.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nst_batch import columns
from nst_batch.highlights import Highlights
from nst_batch.paths import RunPaths
from nst_batch.rendered import RenderedTable

WORTH_BYTES = 32 << 20  # that were read anew: less is read again as fast
_FORMAT = 1
_TAIL = 4096  # bytes before the place up to which a part was read

Failure = tuple[str, str, dict[str, Any], tuple[str, int]]
"""When, which task, its error, and where the line stands."""


@dataclass(frozen=True)
class Recall:
    """Bytes that were read of each part, and what they came to."""

    read: Mapping[str, int]
    rendered: RenderedTable
    failed: list[Failure]
    lines: int
    skipped: int
    highlights: Highlights


def save(paths: RunPaths, known: Recall) -> None:
    """Remember it, where that can be written."""
    read = {name: [size, _tail(paths.manifest / name, size)] for name, size in known.read.items()}
    header = {
        "format": _FORMAT, "read": read, "failed": known.failed, "lines": known.lines, "skipped": known.skipped,
        "rendered": known.rendered.header(), "highlights": known.highlights.values(),
    }  # fmt: skip
    if paths.state.is_dir():
        with contextlib.suppress(OSError):
            columns.save(paths.recall, header, known.rendered.columns(), durable=False)


def load(paths: RunPaths) -> Recall | None:
    """What was remembered, if it still holds."""
    try:
        header, arrays = columns.load(paths.recall)
        if header["format"] != _FORMAT:
            return None
        read = {str(name): int(size) for name, (size, _) in header["read"].items()}
        if any(_tail(paths.manifest / name, read[name]) != tail for name, (_, tail) in header["read"].items()):
            return None
        rendered = RenderedTable.read(header["rendered"], arrays)
        highlights = Highlights.of(header["highlights"])
        return Recall(read, rendered, header["failed"], int(header["lines"]), int(header["skipped"]), highlights)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _tail(part: Path, size: int) -> list[int] | None:
    """A checksum of the bytes before ``size``, and of those that begin the part; None: it is shorter, or has gone."""
    try:
        with part.open("rb") as file:
            begins = file.read(min(size, _TAIL))
            file.seek(max(0, size - _TAIL))
            ends = file.read(min(size, _TAIL))
    except OSError:
        return None
    return [zlib.crc32(begins), zlib.crc32(ends)] if len(ends) == min(size, _TAIL) else None
