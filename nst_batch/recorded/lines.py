"""A manifest's line as it is read: as much of it as deciding and counting needs, or all of it.

Lines have thousands of bytes, and there may be a million of them. Measured on lines of 4.8 kB: 9 us for what is needed
by msgspec, which skips the rest; 124 us for all of it by the standard library.
"""

from __future__ import annotations

import builtins
import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from nst_batch.recorded.manifest import SCHEMA_VERSION

_NOTHING = msgspec.Raw(b"")
_OPEN = 64  # parts that are kept open


class Place(NamedTuple):
    """Where a line stands: its part's name, and the byte at which it begins."""

    part: str
    offset: int


class File(msgspec.Struct, gc=False):
    """An input's path and digest, and those of the mask beside it."""

    digest: str
    mask: msgspec.Raw = _NOTHING


class Network(msgspec.Struct, gc=False):
    """The weights' digest and format."""

    digest: str
    format: str = "torchvision"


class Line(msgspec.Struct, gc=False):
    """What is needed of a line. ``settings``, ``error``, ``styles`` and ``start`` are JSON as it was written."""

    v: int
    task: str
    status: str
    output: str
    finished: str
    bytes: int
    sha256: str
    content: File
    style: File
    weights: Network
    settings: msgspec.Raw
    error: msgspec.Raw = _NOTHING
    styles: msgspec.Raw = _NOTHING
    start: msgspec.Raw = _NOTHING
    seconds: Any = 0
    width: Any = 0
    height: Any = 0
    peak_memory_bytes: Any = 0

    @property
    def failure(self) -> dict[str, Any]:
        """``error`` of a failed line."""
        found = json.loads(bytes(self.error) or b"null") or {}
        return found if isinstance(found, dict) else {}

    @property
    def made_of(self) -> builtins.bytes:
        """64 bits that tell the inputs of one picture from those of others; see ``inputs_digest``."""
        if self.is_plain:
            return _plain_digest(self.content.digest, self.style.digest)
        return inputs_digest(_all(self))

    @property
    def is_plain(self) -> bool:
        """Whether it is made of a content and a style, and of nothing else."""
        if not (self.content.mask or self.style.mask or self.styles or self.start):
            return True
        more = (self.content.mask, self.style.mask, self.styles, self.start)
        return all(bytes(each) in (b"", b"null") for each in more)


_LINE = msgspec.json.Decoder(Line)


def parse(raw: bytes) -> Line | None:
    """What is needed of a line, or None when it is torn or not ours."""
    line = None
    if raw.isascii():  # in what it passes over, the decoder does not look whether text is UTF-8
        with contextlib.suppress(msgspec.MsgspecError, RecursionError):
            line = _LINE.decode(raw)
    if line is None:
        line = _odd(raw)
    return line if line is not None and _is_whole(line) and _has_inputs(line) else None


def _has_inputs(line: Line) -> bool:
    """Whether its inputs can be told apart from others, unusual ones too."""
    if line.is_plain:
        return True
    try:
        return len(line.made_of) > 0
    except (ValueError, TypeError, LookupError, AttributeError):
        return False


def _is_whole(line: Line) -> bool:
    if line.v != SCHEMA_VERSION or line.status not in ("done", "failed") or not bytes(line.settings).startswith(b"{"):
        return False
    if bytes(line.error)[:1] not in (b"", b"{", b"n"):
        return False
    return 0 <= line.bytes < 1 << 62 and len(line.task) == 32 and line.task.isascii() and _is_hexadecimal(line.task)


def _is_hexadecimal(text: str) -> bool:
    try:
        return len(bytes.fromhex(text)) == 16
    except ValueError:
        return False


def _odd(raw: bytes) -> Line | None:
    """Of names that are no text, which Python writes as escapes that no other program reads."""
    try:
        record = json.loads(raw)
        plain = {key: record[key] for key in ("settings", "error", "styles", "start") if key in record}
        rest = {key: value for key, value in record.items() if key not in plain}
        made = {key: msgspec.Raw(json.dumps(value).encode()) for key, value in plain.items()}
        for key in ("content", "style"):
            mask = rest[key].get("mask")
            rest[key] = {**rest[key], "mask": msgspec.Raw(json.dumps(mask).encode()) if mask else _NOTHING}
        line = msgspec.convert({**rest, **made}, Line)
        for text in (line.output, line.finished, line.content.digest, line.style.digest, line.weights.digest):
            text.encode(errors="surrogateescape")  # halves of characters are in nobody's names
        line.weights.format.encode(errors="surrogateescape")
        return line
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, msgspec.MsgspecError):
        return None


def whole(raw: bytes) -> dict[str, Any]:
    """All of a line that ``parse`` has read.

    Raises:
        ValueError: it is none.
    """
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = json.loads(raw)
    if not isinstance(found, dict):
        raise ValueError("not a line of a manifest")  # noqa: TRY004 - what the file holds is no argument
    return found


def _all(line: Line) -> dict[str, Any]:
    """The inputs of a line that has unusual ones."""
    found: dict[str, Any] = {}
    for key, file in (("content", line.content), ("style", line.style)):
        mask = json.loads(bytes(file.mask) or b"null")
        found[key] = {"digest": file.digest, **({"mask": mask} if mask else {})}
    for key, raw in (("styles", line.styles), ("start", line.start)):
        if bytes(raw):
            found[key] = json.loads(bytes(raw))
    return found


# --- what a picture was made of ---------------------------------------------------------------------------------------


def digests(record: Mapping[str, Any]) -> dict[str, str]:
    """Every input file of a record (or of ``manifest.inputs_of`` a task), by its part in it."""
    styles = record.get("styles") or []
    more = {f"style {place}": style for place, style in enumerate(styles[1:], 2)}
    sources = {"content": record["content"], "style": record["style"], **more}
    if record.get("start"):
        sources["start"] = record["start"]
    masks = {f"mask of {part}": source["mask"] for part, source in sources.items() if source.get("mask")}
    shares = {f"share of style {n}": f"{s['weight']} {s['region']}" for n, s in enumerate(styles, 1)}
    return {**{part: source["digest"] for part, source in {**sources, **masks}.items()}, **shares}


def inputs_digest(record: Mapping[str, Any]) -> bytes:
    """64 bits of all inputs, the same for a record and for ``manifest.inputs_of`` its task."""
    found = digests(record)
    if found.keys() == {"content", "style"}:
        return _plain_digest(found["content"], found["style"])
    return _digest(found)


def _plain_digest(content: str, style: str) -> bytes:
    return hashlib.blake2b(f"{content}{style}".encode(errors="surrogateescape"), digest_size=8).digest()


def _digest(found: Mapping[str, str]) -> bytes:
    return hashlib.blake2b(json.dumps(found, sort_keys=True).encode(), digest_size=8).digest()


class WholeLines:
    """Lines by their places, read again when they are wanted.

    Args:
        folder: of the parts.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, BinaryIO] = {}

    def at(self, place: Place) -> dict[str, Any]:
        """The line that stands there.

        Raises:
            OSError: the part has gone.
            ValueError: it is another file now.
        """
        return whole(self.raw(place))

    def raw(self, place: Place) -> bytes:
        """Its bytes, newline included.

        Raises:
            OSError: the part has gone.
            ValueError: it is another file now.
        """
        if place.part not in self._open:
            if len(self._open) >= _OPEN:
                self.close()
            self._open[place.part] = (self._folder / place.part).open("rb")
        file = self._open[place.part]
        file.seek(place.offset)
        raw = file.readline()
        if parse(raw) is None:
            raise ValueError("not the line that was there")
        return raw

    def close(self) -> None:
        """Close every part."""
        for file in self._open.values():
            file.close()
        self._open.clear()

    def __del__(self) -> None:
        self.close()
