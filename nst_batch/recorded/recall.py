"""What was read of a large manifest, remembered: the next reader goes on behind it.

It holds only as long as parts are what they were: none has gone, none is shorter, none was written to but at its end,
and no merged part has come, which repeats lines. Else everything is read again. (Of a part that has become longer, only
the beginning and what stands before the place up to which it was read are looked at: nobody writes into its middle.)
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nst_batch import columns
from nst_batch.paths import RunPaths
from nst_batch.recorded.highlights import Highlights
from nst_batch.recorded.parts import is_merged, names_in
from nst_batch.recorded.rendered import RenderedTable

WORTH_BYTES = 32 << 20  # that were read anew: less is read again as fast
_FORMAT = 2
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
    read = {name: [size, _state(paths.manifest / name, size)] for name, size in known.read.items()}
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
        if any(is_merged(name) and name not in read for name in names_in(paths.manifest)):
            return None  # it repeats lines that were read where they stood before
        if not all(_is_as_it_was(paths.manifest / name, size, was) for name, (size, was) in header["read"].items()):
            return None
        failed = [
            (str(when), str(task), dict(error), (str(part), int(offset)))
            for when, task, error, (part, offset) in header["failed"]
        ]
        rendered, highlights = RenderedTable.read(header["rendered"], arrays), Highlights.of(header["highlights"])
        return Recall(read, rendered, failed, int(header["lines"]), int(header["skipped"]), highlights)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _is_as_it_was(part: Path, read: int, was: list[int] | None) -> bool:
    """Whether what was read of a part is the same still: it may have become longer; what has not is not written to."""
    now = _state(part, read)
    if now is None or was is None:
        return now == was
    return now[:2] == was[:2] and (now[2] > was[2] or now[2:] == was[2:])


def _state(part: Path, read: int) -> list[int] | None:
    """Checksums of the bytes that begin a part, and of those before the place up to which it was read; its size, and
    when it was written to. None: it is shorter, or has gone."""
    try:
        with part.open("rb") as file:
            status = os.fstat(file.fileno())
            begins = file.read(min(read, _TAIL))
            file.seek(max(0, read - _TAIL))
            ends = file.read(min(read, _TAIL))
    except OSError:
        return None
    if len(ends) < min(read, _TAIL):
        return None
    return [zlib.crc32(begins), zlib.crc32(ends), status.st_size, status.st_mtime_ns]
