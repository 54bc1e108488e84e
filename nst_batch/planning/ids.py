"""Ids of tasks: digests of all that changes pixels, and of nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from nst_batch.columns import NONE, Bytes, Ints, numbers
from nst_batch.planning.source_table import DIGEST_BYTES, SourceTable
from nst_batch.planning.task_table import ID_BYTES, Share
from nst_batch.planning.variants import Variant, Variants
from nst_batch.records import ALGORITHM_VERSION, OutputFormat, Source, Style, Weights
from nst_batch.settings import SETTINGS, TransferSettings, is_in_ids, plain

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
    before, middle, after = _Common(Variants([Variant(settings, weights, format)])).of(0)
    text = before + _content_text(content) + middle + _json(start and start.digest) + _STYLE + _style_text(styles)
    return hashlib.blake2b(text.encode() + after, digest_size=ID_BYTES).hexdigest()


def ids_of(
    sources: SourceTable,
    groups: Sequence[tuple[Share, ...]],
    variants: Variants,
    columns: tuple[Ints, Ints, Ints, Ints],
) -> Bytes:
    """The same for many tasks: what begins alike is digested once."""
    masks, own = variants.setting("masks")
    common, contents, masked = _Common(variants).of, _Contents(sources), np.array(masks, np.bool_)[own].tolist()
    texts: dict[tuple[int, bool], bytes] = {}  # of groups of styles
    begun: dict[tuple[int, int], Any] = {}
    found, last = bytearray(), NONE
    for content, group, variant, start in zip(*map(numbers, columns), strict=True):
        if content != last or len(begun) >= _KEPT:
            begun.clear()
            last = content
        before, middle, after = common(variant)
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


class _Common:
    """The canonical JSON of tasks: before their content, between content and start, and behind their styles."""

    def __init__(self, variants: Variants) -> None:
        self._variants = variants
        self._codes = {name: codes for name, codes in sorted(variants.codes.items())}
        self._values = {name: [_setting_text(name, each) for each in variants.values[name]] for name in self._codes}
        self._bases = [self._of_base(each) for each in variants.bases]
        self.of = lru_cache(_KEPT)(self._of)

    def _of(self, place: int) -> tuple[str, str, bytes]:
        """Of one variant."""
        before, settings, own, after = self._bases[self._variants.base_of[place]]
        pieces = list[str]()
        for text, (name, codes) in zip(settings, self._codes.items(), strict=False):
            code = codes[place]
            pieces += [text, own[name] if code == NONE else self._values[name][code]]
        pieces.append(settings[-1])
        return before[0], f'{before[1]}{{{",".join(filter(None, pieces))}}},"start":', after

    def _of_base(self, base: Variant) -> tuple[tuple[str, str], list[str], dict[str, str], bytes]:
        """What is before the settings; the texts of those settings that come between those in which variants differ;
        the texts of the latter; what is behind the styles."""
        form = base.format
        quality = form.quality if form.suffix in LOSSY_SUFFIXES else None
        before = (
            f'{{"algorithm":{ALGORITHM_VERSION},"content":',
            (f',"format":{_json([form.suffix, form.bits, quality])},"settings":'),
        )
        texts = {name: _setting_text(name, getattr(base.settings, name)) for name in sorted(SETTINGS)}
        between: list[list[str]] = [[]]
        for name, text in texts.items():
            if name in self._codes:
                between.append([])
            else:
                between[-1].append(text)
        after = f',"weights":{_json([base.weights.digest, base.weights.format])}}}'.encode()
        return before, [",".join(filter(None, some)) for some in between], {n: texts[n] for n in self._codes}, after


def _setting_text(name: str, value: Any) -> str:
    """A setting in the canonical JSON; empty where ids do not tell it."""
    if not is_in_ids(name, value):
        return ""
    return f"{_json(name)}:{_json(plain(value))}"


def _content_text(source: Source) -> str:
    return _json([source.digest, source.mask.digest if source.mask else None])


def _style_text(styles: Sequence[Style]) -> str:
    return _json([
        [each.source.digest, each.source.mask.digest if each.source.mask else None, each.weight, each.region]
        for each in styles
    ])  # fmt: skip


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
