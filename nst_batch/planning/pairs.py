"""Which content meets which style: what a pipeline file asks for, as columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nst_batch.columns import Ints
from nst_batch.pipeline_file.inputs import Found
from nst_batch.pipeline_file.lists import found_in
from nst_batch.pipeline_file.pair_table import PairTable
from nst_batch.pipeline_file.spec import PipelineSpec, Sample, StyleShare


class StyleFile(NamedTuple):
    """A style's file, and its part in the picture; ``begin`` as of ``Found.begins``."""

    path: str
    weight: float = 1.0
    region: str = ""
    begin: int = 0


class Pairs(NamedTuple):
    """Contents, the styles they get in one picture, and settings of a pair alone: each once, and then for each pair
    where its own stand.

    ``begins``: of each content, as of ``Found.begins``. ``kept``: of each pair, as of ``PairTable``.
    """

    contents: Sequence[str]
    groups: Sequence[tuple[StyleFile, ...]]
    content_of: Ints
    group_of: Ints
    override_of: Ints
    overrides: Sequence[Mapping[str, Any]] = ({},)
    begins: Sequence[int] = ()
    kept: Sequence[str] = ()


def pairs_of(spec: PipelineSpec) -> Pairs:
    """In the file's order, or in the table's."""
    if isinstance(spec.pairs, PairTable):
        return _of_table(spec.pairs)
    if isinstance(spec.pairs, tuple):
        return _one_by_one(spec)
    groups = [(StyleFile(path, begin=begin),) for path, begin in zip(spec.style, spec.style.begins, strict=True)]
    contents, styles = np.arange(len(spec.content)), np.arange(len(groups))
    if spec.pairs == "zip":
        content_of, group_of = contents, styles
    elif isinstance(spec.pairs, Sample):
        content_of = contents.repeat(spec.pairs.sample)
        drawn = _balanced if spec.pairs.balanced else _sampled
        group_of = np.fromiter(drawn(spec.content, len(groups), spec.pairs), np.int64, len(content_of))
    else:
        content_of, group_of = contents.repeat(len(groups)), np.tile(styles, len(contents))
    none = np.zeros(len(content_of), np.int64)
    return Pairs(spec.content.paths, groups, content_of, group_of, none, begins=spec.content.begins)


def _of_table(table: PairTable) -> Pairs:
    contents, styles = dict[str, int](), dict[str, int]()
    content_of = np.fromiter((contents.setdefault(path, len(contents)) for path in table.contents), np.int64)
    group_of = np.fromiter((styles.setdefault(path, len(styles)) for path in table.styles), np.int64)
    found, of_styles = found_in(table.file, list(contents)), found_in(table.file, list(styles))
    groups = [(StyleFile(path, begin=begin),) for path, begin in zip(of_styles, of_styles.begins, strict=True)]
    variants = table.variant.astype(np.int64), table.variants
    return Pairs(found.paths, groups, content_of, group_of, *variants, found.begins, table.kept)


def _one_by_one(spec: PipelineSpec) -> Pairs:
    """Pairs that the file names one by one."""
    contents, groups = dict[str, int](), dict[tuple[StyleFile, ...], int]()
    begins = dict[str, int]()
    overrides, rows = list[Mapping[str, Any]](), list[tuple[int, int, int]]()
    for pair in spec.pairs if isinstance(spec.pairs, tuple) else ():
        together = tuple(_share(style) for style in pair.styles)
        alone = zip(pair.style, pair.style.begins, strict=True)
        of_pair = [together] if together else [(StyleFile(path, begin=begin),) for path, begin in alone]
        overrides.append(pair.overrides())
        for content, begin in zip(pair.content, pair.content.begins, strict=True):
            begins.setdefault(content, begin)
            for group in of_pair:
                place = contents.setdefault(content, len(contents)), groups.setdefault(group, len(groups))
                rows.append((*place, len(overrides) - 1))
    content_of, group_of, override_of = np.array(rows, np.int64).reshape(-1, 3).T
    columns = content_of, group_of, override_of
    return Pairs(list(begins), list(groups), *columns, overrides, list(begins.values()))


def _share(style: StyleShare) -> StyleFile:
    path = str(style.path)
    return StyleFile(path, style.weight, style.region, path.rfind("/") + 1)


def _sampled(contents: Found, styles: int, sample: Sample) -> Iterator[int]:
    """Each content draws by its own path below the pattern's fixed part, so that adding contents does not change what
    others drew, and neither does another place on the disk."""
    for path, begin in zip(contents, contents.begins, strict=True):
        name = path[begin:].encode(errors="surrogateescape")
        yield from sorted(_drawn(b"%d/%b" % (sample.seed, name), styles, sample.sample))


def _balanced(contents: Found, styles: int, sample: Sample) -> Iterator[int]:
    """As many contents as there are styles draw together: each style goes to as many of them. What is left in the end
    takes its styles one after another: the last to be drawn are there once less often.

    Contents that are added behind others change nothing of what these drew, but for the last that drew together.
    """
    for first in range(0, len(contents), styles):
        order = _drawn(b"%d/styles %d" % (sample.seed, first), styles, styles)
        count = min(styles, len(contents) - first)
        whole = count == styles
        more = _drawn(b"%d/more %d" % (sample.seed, first), styles - 1, sample.sample - 1)
        apart = [0, *(1 + each for each in more)] if whole else range(sample.sample)
        for place in range(0, count if whole else count * sample.sample, 1 if whole else sample.sample):
            yield from sorted(order[(place + each) % styles] for each in apart)


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
