"""Python, the packages that nst_batch needs or can use, and how the terminal takes names of files."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata

from nst_batch import __version__
from nst_batch.doctor.findings import Finding

PYTHON = (3, 10)
_HERE = "nst_batch"
_HEAVY = ("torch", "torchvision")
EXTRAS = {
    "parquet": "for tables as .parquet",
    "ray": "for `run --engine ray`",
    "tensorboard": "for curves of losses in TensorBoard",
}
"""Each extra, and what it is for."""


@dataclass(frozen=True)
class Requirement:
    """A package with the least version that is needed, and the extra that asks for it (empty: always needed)."""

    package: str
    least: str
    extra: str = ""


def requirements(lines: Sequence[str] | None = None) -> list[Requirement]:
    """What nst_batch's metadata asks for: ``torch>=2.8``, ``pyarrow>=14; extra == "parquet"``. Nothing, where it runs
    without having been installed."""
    if lines is None:
        try:
            lines = metadata.requires(_HERE) or []
        except metadata.PackageNotFoundError:
            lines = []
    found = []
    for line in lines:
        parsed = re.match(r"([\w.-]+)\s*(?:>=\s*([\w.]+))?[^;]*(?:;.*extra == ['\"](\w+)['\"])?", line)
        if parsed:
            found.append(Requirement(parsed[1], parsed[2] or "0", parsed[3] or ""))
    return found


def installed(package: str) -> str | None:
    """Its version, from its metadata alone; None: it is not there."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def python(version: tuple[int, int, int] = sys.version_info[:3], where: str = sys.executable) -> Finding:
    """The interpreter."""
    told = ".".join(map(str, version))
    if version[:2] < PYTHON:
        needed = ".".join(map(str, PYTHON))
        return Finding("python", "problem", f"{told}, but {needed} or newer is needed", f"install Python {needed}")
    return Finding("python", "ok", f"{told} ({where})")


Version = Callable[[str], "str | None"]


def packages(needed: Sequence[Requirement], version_of: Version = installed) -> Iterator[Finding]:
    """nst_batch, torch and torchvision by name; of the others, those that are missing or too old."""
    yield Finding(_HERE, "ok", __version__)
    least = {each.package: each for each in needed if not each.extra}
    for package in _HEAVY:
        yield _package(least.get(package, Requirement(package, "0")), version_of)
    for package, each in least.items():
        if package not in _HEAVY:
            found = _package(each, version_of)
            if found.level != "ok":
                yield found


def _package(needed: Requirement, version_of: Version) -> Finding:
    version = version_of(needed.package)
    install = f"pip install '{needed.package}>={needed.least}'"
    if version is None:
        return Finding(needed.package, "problem", "not installed", install)
    if older(version, needed.least):
        return Finding(needed.package, "problem", f"{version}, but {needed.least} or newer is needed", install)
    return Finding(needed.package, "ok", version)


def extras(needed: Sequence[Requirement], version_of: Version = installed) -> Iterator[Finding]:
    """What nst_batch can do without."""
    for extra, purpose in EXTRAS.items():
        for each in (each for each in needed if each.extra == extra):
            version, install = version_of(each.package), f"pip install '{_HERE}[{extra}]'"
            if version is None:
                yield Finding(extra, "ok", f"not installed; {purpose}: {install}")
            elif older(version, each.least):
                told = f"{each.package} {version}, but {each.least} or newer is needed {purpose}"
                yield Finding(extra, "warning", told, install)
            else:
                yield Finding(extra, "ok", f"{each.package} {version}")


def older(version: str, least: str) -> bool:
    """Whether a version comes before another, by their numbers: ``2.10.0+cu128`` does not come before ``2.8``."""
    return _numbers(version) < _numbers(least)


def _numbers(version: str) -> tuple[int, ...]:
    numbers = re.match(r"[\d.]*", version)
    found = [int(each) for each in (numbers[0] if numbers else "").split(".") if each]
    return tuple([*found, 0, 0, 0][: max(3, len(found))])


def encoding(terminal: str | None = None, files: str | None = None) -> Finding:
    """How names of files that are not English are shown, and read."""
    terminal = terminal or sys.stdout.encoding or "unknown"
    files = files or sys.getfilesystemencoding()
    odd = [name for name, each in (("terminal", terminal), ("file names", files)) if not _is_utf8(each)]
    if not odd:
        return Finding("encoding", "ok", "UTF-8")
    told = f"{' and '.join(odd)}: {files if odd == ['file names'] else terminal}, not UTF-8; names are shown escaped"
    return Finding("encoding", "warning", told, "export LC_ALL=C.UTF-8")


def _is_utf8(name: str) -> bool:
    return name.lower().replace("-", "").replace("_", "") == "utf8"
