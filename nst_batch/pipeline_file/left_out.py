"""Files that folders and globs pass over, and why: so that nothing is left out in silence."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from nst_batch.globs import fits

_EXAMPLES = 100  # files of a kind that are named to programs


@dataclass(frozen=True)
class LeftOut:
    """Of one pattern, or of several.

    Attributes:
        files: paths, by why they are left out, in words that follow a number: ``.dng``, ``in @eaDir``.
        below: pictures in a folder's subfolders, by the glob that would find them.
        uncounted: reasons, and globs, of which there are more than were looked at.
    """

    files: dict[str, list[str]] = field(default_factory=dict)
    below: dict[str, int] = field(default_factory=dict)
    uncounted: set[str] = field(default_factory=set)

    def add(self, why: str, path: str) -> None:
        """A file."""
        self.files.setdefault(why, []).append(path)

    def add_below(self, glob: str, count: int) -> None:
        """Pictures in a subfolder."""
        if count:
            self.below[glob] = self.below.get(glob, 0) + count

    def without(self, paths: Collection[str]) -> LeftOut:
        """But for what another pattern finds."""
        kept = {why: [path for path in files if path not in paths] for why, files in self.files.items()}
        return LeftOut({why: files for why, files in kept.items() if files}, self.below, self.uncounted)

    def told(self) -> str:
        """``1 .dng, 2 in subfolders (photos/**/*), 1 in @eaDir``; empty where nothing is left out."""
        parts = [f"{self._count(why, len(files))} {why}" for why, files in sorted(self.files.items())]
        parts += [f"{self._count(glob, count)} in subfolders ({glob})" for glob, count in self.below.items()]
        return ", ".join(parts)

    def facts(self) -> list[dict[str, Any]]:
        """The same for programs, with the first files of each kind."""
        found: list[dict[str, Any]] = [
            {"why": why, "count": len(files), "files": files[:_EXAMPLES]} for why, files in sorted(self.files.items())
        ]
        return found + [{"why": f"in subfolders ({glob})", "count": n, "files": []} for glob, n in self.below.items()]

    def _count(self, what: str, count: int) -> str:
        return f"more than {count:,}" if what in self.uncounted else f"{count:,}"


def together(several: Iterable[LeftOut], found: Collection[str]) -> LeftOut:
    """What several patterns pass over, but for what one of them finds; each file once."""
    files: dict[str, dict[str, None]] = {}
    below, uncounted = dict[str, int](), set[str]()
    for each in several:
        for why, paths in each.files.items():
            files.setdefault(why, {}).update(dict.fromkeys(paths))
        below.update(each.below)
        uncounted |= each.uncounted
    return LeftOut({why: list(paths) for why, paths in files.items()}, below, uncounted).without(found)


@dataclass(frozen=True)
class Exclusion:
    """What ``exclude`` in a pipeline file leaves out.

    Attributes:
        names: patterns of files' and folders' names, wherever they are below a pattern's fixed part.
        paths: patterns of whole paths, in parts. A folder that fits is left out with all that is in it.
    """

    names: tuple[str, ...] = ()
    paths: tuple[tuple[str, ...], ...] = ()

    def has(self, path: str, begin: int) -> bool:
        """Whether it is left out.

        Args:
            path: of a file.
            begin: where its part below the pattern's fixed part begins.
        """
        if any(fits((part,), (name,)) for part in path[begin:].split("/") for name in self.names):
            return True
        parts = os.path.abspath(path).split("/") if self.paths else []
        return any(_within(parts, pattern) for pattern in self.paths)


def _within(parts: list[str], pattern: tuple[str, ...]) -> bool:
    return any(fits(parts[:end], pattern) for end in range(len(parts), 0, -1))
