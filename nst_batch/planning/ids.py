"""Ids of tasks: digests of all that changes pixels, and of nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from nst_batch.columns import NONE, Bytes, Ints, numbers
from nst_batch.planning.source_table import DIGEST_BYTES, SourceTable
from nst_batch.planning.task_table import ID_BYTES, Share, Variant
from nst_batch.records import ALGORITHM_VERSION, OutputFormat, Source, Style, Weights
from nst_batch.settings import TransferSettings

LOSSY_SUFFIXES = (".jpg", ".jpeg", ".webp")
_KEPT = 4096  # beginnings of ids: of one content there may be as many as there are points of a sweep


def task_id(
    content: Source,
    styles: Sequence[Style],
    settings: TransferSettings,
    weights: Weights,
    format: OutputFormat = OutputFormat(),  # noqa: B008 - frozen
    start: Source | None = None,
) -> str:
    """blake2b of the canonical JSON of all that changes pixels: not paths, devices or worker counts."""
    before, middle, after = _common(Variant(settings, weights, format))
    text = (
        before + _content_text(content) + middle + _json(start and start.digest) + _STYLE + _style_text(styles) + after
    )
    return hashlib.blake2b(text.encode(), digest_size=ID_BYTES).hexdigest()


def ids_of(
    sources: SourceTable,
    groups: Sequence[tuple[Share, ...]],
    variants: Sequence[Variant],
    columns: tuple[Ints, Ints, Ints, Ints],
) -> Bytes:
    """The same for many tasks: what begins alike is digested once."""
    common = [(before, middle, after.encode()) for before, middle, after in map(_common, variants)]
    contents, masked = _Contents(sources), [each.settings.masks for each in variants]
    texts: dict[tuple[int, bool], bytes] = {}  # of groups of styles
    begun: dict[tuple[int, int], Any] = {}
    found, last = bytearray(), NONE
    for content, group, variant, start in zip(*map(numbers, columns), strict=True):
        if content != last or len(begun) >= _KEPT:
            begun.clear()
            last = content
        before, middle, after = common[variant]
        digest = begun.get((variant, start))
        if digest is None:
            begins = "null" if start == NONE else _json(sources.digest(start))
            text = before + contents.text(content, masked=masked[variant]) + middle + begins + _STYLE
            digest = begun[variant, start] = hashlib.blake2b(text.encode(), digest_size=ID_BYTES)
        together = texts.get((group, masked[variant]))
        if together is None:
            styles = _styles(sources, groups[group], masked=masked[variant])
            together = texts[group, masked[variant]] = _style_text(styles).encode()
        digest = digest.copy()
        digest.update(together)
        digest.update(after)
        found += digest.digest()
    return np.frombuffer(found, np.uint8).reshape(-1, ID_BYTES)


def _styles(sources: SourceTable, group: tuple[Share, ...], *, masked: bool) -> list[Style]:
    return [Style(sources.source(row, masked=masked), share, where) for row, share, where in group]


class _Contents:
    """As ``_content_text``, without making a Source of each."""

    def __init__(self, sources: SourceTable) -> None:
        self._digests, self._masks = sources.digests.tobytes(), sources.masks

    def text(self, row: int, *, masked: bool) -> str:
        """Of one row."""
        mask = int(self._masks[row]) if masked else NONE
        return f'["{self._digest(row)}",null]' if mask == NONE else f'["{self._digest(row)}","{self._digest(mask)}"]'

    def _digest(self, row: int) -> str:
        return self._digests[row * DIGEST_BYTES : (row + 1) * DIGEST_BYTES].hex()


_STYLE = ',"style":'


def _common(variant: Variant) -> tuple[str, str, str]:
    """The canonical JSON of a task: before its content, between content and start, and behind its styles."""
    form = variant.format
    quality = form.quality if form.suffix in LOSSY_SUFFIXES else None
    return (
        f'{{"algorithm":{ALGORITHM_VERSION},"content":',
        f',"format":{_json([form.suffix, form.bits, quality])},"settings":{_json(variant.settings.for_ids())},"start":',
        f',"weights":{_json([variant.weights.digest, variant.weights.format])}}}',
    )


def _content_text(source: Source) -> str:
    return _json([source.digest, source.mask.digest if source.mask else None])


def _style_text(styles: Sequence[Style]) -> str:
    return _json([
        [each.source.digest, each.source.mask.digest if each.source.mask else None, each.weight, each.region]
        for each in styles
    ])  # fmt: skip


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
