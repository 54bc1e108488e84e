"""Folders that do not get too full: what spreads a run's pictures over many, and when that is needed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

MOST_FILES = 50_000
"""In one folder. With more, listing, copying and deleting it take minutes, more so on network disks."""


def bucket(content: str, styles: Sequence[str]) -> str:
    """One of 256 names for a pair, two hex digits, by its pictures' names without ending.

    It depends on no setting, and on no folder: neither another strength nor another disk moves a picture.
    """
    names = "\0".join([content, *styles]).encode(errors="surrogateescape")
    return hashlib.blake2b(names, digest_size=1).hexdigest()


def by_folder(outputs: Iterable[str]) -> Counter[str]:
    """How many of a run's pictures are in each folder, by names relative to its own; that is the empty one."""
    return Counter(output.rpartition("/")[0] for output in outputs)


def crowded(folders: Mapping[str, int], template: str) -> str:
    """A word about folders with more than ``MOST_FILES`` pictures, and what to do; empty when there is none.

    Args:
        folders: as of ``by_folder``.
        template: ``output.name``.
    """
    count = max(folders.values(), default=0)
    if count <= MOST_FILES:
        return ""
    full = sum(each > MOST_FILES for each in folders.values())
    where = "one folder" if full == 1 else f"each of {full:,} folders"
    return f"output.name: up to {count:,} pictures in {where}, which makes folders slow; {_remedy(template)}"


def _remedy(template: str) -> str:
    """Another template, or what could be in it."""
    if "{bucket}" in template:
        return "more of it, such as {style}/ or {content_folder}/, makes more folders"
    folder, _, name = template.rpartition("/")
    return f"{{bucket}} is one of 256 folders: name: '{'/'.join(filter(None, [folder, '{bucket}', name]))}'"
