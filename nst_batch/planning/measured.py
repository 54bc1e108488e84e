"""What tasks took on devices like these: a line for each, kept in the user's cache, so that others can be foretold."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from nst_batch.atomic import write_atomic
from nst_batch.transfer.user_cache import cache_folder, key

KEPT = 400  # lines, when the file has twice as many

_NVIDIA = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True)
class Measurement:
    """One task: on which device (see ``Here``), of how many pixels at its last scale, and what it took beside what it
    was expected to take if nothing was known of the device. ``bytes`` are 0 where they say nothing of this task."""

    device: str
    pixels: int
    seconds: float
    expected_seconds: float
    bytes: int
    expected_bytes: int


@dataclass(frozen=True)
class Here:
    """The devices of a run as far as can be told without torch: what measurements call them, whether they are the CPU,
    how many workers there are, and how many threads each has."""

    name: str
    is_cpu: bool
    workers: int
    threads: int


def cores() -> int:
    """How many this process may use; of a machine that Slurm or a container shares out, those that it was given."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get("SLURM_CPUS_ON_NODE", "")
    told = int(given) if given.isdecimal() else there
    return max(1, min(there, told, math.ceil(min(there, quota()))))


def quota(groups: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> float:
    """Cores' worth of time that this process's control groups let it have; infinite where they set no limit."""
    found = math.inf
    with contextlib.suppress(OSError):
        for line in groups.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            top = root / "cpu" if controllers else root
            folder = top / path.lstrip("/")
            for each in (folder, *folder.parents):  # the least of all the groups that this one is in
                found = min(found, _share(each))
                if each == top:
                    break
    return found


def _share(group: Path) -> float:
    """A control group's own limit: in version 2's one file, or in version 1's two."""
    with contextlib.suppress(OSError, ValueError):  # "max" is no number: no limit
        most, period = map(int, (group / "cpu.max").read_text().split())
        return most / period
    with contextlib.suppress(OSError, ValueError):
        most, period = (int((group / f"cpu.cfs_{each}_us").read_text()) for each in ("quota", "period"))
        return most / period if most > 0 else math.inf
    return math.inf


def here(devices: Sequence[str], threads: int | None, together: int = 1) -> Here:
    """What a run's ``devices`` (empty: auto) are on this machine; so many ``together`` are a worker."""
    gpus = _gpus()
    is_cpu = all(each == "cpu" for each in devices) if devices else not gpus
    count = len(devices) or (1 if is_cpu else len(gpus))
    each = threads or max(1, cores() // count)
    return Here(cpu_name(each) if is_cpu else next(iter(gpus), "GPU"), is_cpu, max(1, count // together), each)


def cpu_name(threads: int) -> str:
    """Workers of so many threads, on CPUs of this kind."""
    return f"cpu {key()} x {threads}"


def _gpus() -> list[str]:
    """Their models, as the driver has them."""
    found = []
    with contextlib.suppress(OSError):
        for folder in sorted(_NVIDIA.iterdir()):
            lines = (folder / "information").read_text().splitlines()
            found += [line.split(":", 1)[1].strip() for line in lines if line.startswith("Model:")]
    return found


def device_name(device: str, threads: int) -> str:
    """What measurements call a manifest's ``device``: ``cpu``, or ``cuda:0 (NVIDIA H200)``."""
    return device.partition("(")[2].rstrip(")") if "(" in device else cpu_name(threads)


def read(file: Path | None = None) -> list[Measurement]:
    """All there are; broken lines are passed over."""
    found = list[Measurement]()
    with contextlib.suppress(OSError):
        for line in (file or _file()).read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError, TypeError, LookupError):
                found.append(_parsed(json.loads(line)))
    return found


def _parsed(values: dict[str, object]) -> Measurement:
    """Raises ValueError, TypeError or LookupError: not what ``note`` writes."""
    kinds = {field.name: type(getattr(_EXAMPLE, field.name)) for field in fields(Measurement)}
    found = Measurement(**{name: kind(values[name]) for name, kind in kinds.items()})
    if min(found.pixels, found.seconds, found.expected_seconds) <= 0:
        raise ValueError("nothing takes no time")
    return found


_EXAMPLE = Measurement("cpu", 1, 1.0, 1.0, 1, 1)


def note(measurement: Measurement, file: Path | None = None) -> None:
    """Keep one. Where that cannot be written, it is forgotten."""
    file = file or _file()
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(asdict(measurement)) + "\n")
        _shorten(file)


def _shorten(file: Path) -> None:
    if file.stat().st_size < KEPT * 2 * 180:  # a line has about that many bytes
        return
    lines = file.read_text(encoding="utf-8").splitlines()[-KEPT:]
    write_atomic(file, ("\n".join(lines) + "\n").encode())


def _file() -> Path:
    return cache_folder() / "measured.jsonl"
