"""Which content meets which style: what a pipeline file asks for, as columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nst_batch.columns import Ints
from nst_batch.pipeline_file.pair_table import PairTable
from nst_batch.pipeline_file.spec import PipelineSpec, Sample


class StyleFile(NamedTuple):
    """A style's file, and its part in the picture."""

    path: str
    weight: float = 1.0
    region: str = ""


class Pairs(NamedTuple):
    """Contents, the styles they get in one picture, and settings of a pair alone: each once, and then for each pair
    where its own stand."""

    contents: Sequence[str]
    groups: Sequence[tuple[StyleFile, ...]]
    content_of: Ints
    group_of: Ints
    override_of: Ints
    overrides: Sequence[Mapping[str, Any]] = ({},)


def pairs_of(spec: PipelineSpec) -> Pairs:
    """In the file's order, or in the table's."""
    if isinstance(spec.pairs, PairTable):
        return _of_table(spec.pairs)
    if isinstance(spec.pairs, tuple):
        return _one_by_one(spec)
    groups = [(StyleFile(style),) for style in spec.style]
    contents, styles = np.arange(len(spec.content)), np.arange(len(groups))
    if spec.pairs == "zip":
        content_of, group_of = contents, styles
    elif isinstance(spec.pairs, Sample):
        content_of = contents.repeat(spec.pairs.sample)
        group_of = np.fromiter(_sampled(spec.content, len(groups), spec.pairs), np.int64, len(content_of))
    else:
        content_of, group_of = contents.repeat(len(groups)), np.tile(styles, len(contents))
    return Pairs(spec.content, groups, content_of, group_of, np.zeros(len(content_of), np.int64))


def _of_table(table: PairTable) -> Pairs:
    contents, styles = dict[str, int](), dict[str, int]()
    content_of = np.fromiter((contents.setdefault(path, len(contents)) for path in table.contents), np.int64)
    group_of = np.fromiter((styles.setdefault(path, len(styles)) for path in table.styles), np.int64)
    groups = [(StyleFile(path),) for path in styles]
    return Pairs(list(contents), groups, content_of, group_of, table.variant.astype(np.int64), table.variants)


def _one_by_one(spec: PipelineSpec) -> Pairs:
    """Pairs that the file names one by one."""
    contents, groups = dict[str, int](), dict[tuple[StyleFile, ...], int]()
    overrides, rows = list[Mapping[str, Any]](), list[tuple[int, int, int]]()
    for pair in spec.pairs if isinstance(spec.pairs, tuple) else ():
        together = tuple(StyleFile(str(style.path), style.weight, style.region) for style in pair.styles)
        of_pair = [together] if together else [(StyleFile(style),) for style in pair.style]
        overrides.append(pair.overrides())
        for content in pair.content:
            for group in of_pair:
                place = contents.setdefault(content, len(contents)), groups.setdefault(group, len(groups))
                rows.append((*place, len(overrides) - 1))
    content_of, group_of, override_of = np.array(rows, np.int64).reshape(-1, 3).T
    return Pairs(list(contents), list(groups), content_of, group_of, override_of, overrides)


def _sampled(contents: Iterable[str], styles: int, sample: Sample) -> Iterator[int]:
    """Each content draws by its own name, so that adding contents does not change what others drew."""
    for content in contents:
        name = content.rpartition("/")[2].encode(errors="surrogateescape")
        yield from sorted(_drawn(b"%d/%b" % (sample.seed, name), styles, sample.sample))


def _drawn(key: bytes, count: int, many: int) -> list[int]:
    """Some of ``count`` numbers, none twice: the first steps of a Fisher-Yates shuffle, by a digest of the key."""
    if many == 1:
        return [_word(key, 0) * count >> 64]
    moved, found = dict[int, int](), list[int]()
    for step in range(many):
        place = step + (_word(key, step) * (count - step) >> 64)
        found.append(moved.get(place, place))
        moved[place] = moved.get(step, step)
    return found


def _word(key: bytes, step: int) -> int:
    """64 bits for each step."""
    return int.from_bytes(hashlib.blake2b(key, digest_size=8, salt=step.to_bytes(16, "little")).digest(), "little")
