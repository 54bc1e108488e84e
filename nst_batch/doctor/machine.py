"""Cores, memory, and the limits that are set on processes."""

from __future__ import annotations

import math
import os
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path

from nst_batch.doctor.findings import Finding
from nst_batch.memory import free, in_words
from nst_batch.planning.measured import cores as usable_cores
from nst_batch.planning.measured import quota

LEAST_BYTES = 10**9
"""What Python and torch take, before the first picture."""
FEW_BYTES = 25 * 10**8
_FEW_FILES, _FEW_PROCESSES = 256, 200
_TORCH_SPACE = 64 * 10**9  # bytes of address space that CUDA maps, and more with every GPU's own memory
_MEMINFO = Path("/proc/meminfo")


def cores(
    usable: int | None = None, there: int | None = None, share: float | None = None, slurm: str | None = None
) -> Finding:
    """How many cores workers divide among themselves, and why not all of them."""
    usable, there = usable or usable_cores(), there or os.cpu_count() or 1
    share = quota() if share is None else share
    slurm = os.environ.get("SLURM_CPUS_ON_NODE", "") if slurm is None else slurm
    if usable >= there:
        return Finding("cores", "ok", f"{there}")
    if slurm == str(usable):
        why = "those that Slurm gave to this job"
    elif math.ceil(min(share, there)) == usable:
        why = "by the control group's limit"
    else:
        why = "by this process's affinity"
    return Finding("cores", "ok", f"{usable} of {there}, {why}")


def memory(available: int | None = None, installed: int | None = None) -> Finding:
    """What this machine has left for pictures on the CPU, and for a worker's own needs."""
    available = free() if available is None else available
    installed = _installed() if installed is None else installed
    told = f"{in_words(available)} free" + (f" of {in_words(installed)}" if installed else "")
    remedy = "end other programs, or ask for more (Slurm: --mem; docker: --memory)"
    if available < LEAST_BYTES:
        return Finding("memory", "problem", f"{told}; a worker takes 1 GB before its first picture", remedy)
    if available < FEW_BYTES:
        return Finding("memory", "warning", f"{told}: room for small pictures alone", remedy)
    return Finding("memory", "ok", told)


def _installed() -> int:
    try:
        return int(_MEMINFO.read_text().split("MemTotal:", 1)[1].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        return 0


def soft_limits() -> dict[str, float]:
    """This process's limits, as ``ulimit`` has them; infinite where there is none."""
    kinds = {"files": "NOFILE", "processes": "NPROC", "space": "AS", "file size": "FSIZE", "cpu": "CPU"}
    found = dict[str, float]()
    for name, kind in kinds.items():
        number = getattr(resource, f"RLIMIT_{kind}", None)
        if number is not None:
            soft = resource.getrlimit(number)[0]
            found[name] = math.inf if soft == resource.RLIM_INFINITY else soft
    return found


def limits(found: Mapping[str, float] | None = None) -> Finding:
    """Limits of the shell that are known to end runs."""
    found = soft_limits() if found is None else found
    tight = list(_tight(found))
    if not tight:
        return Finding("limits", "ok", "none that hurt")
    told = ", ".join(text for text, _ in tight)
    return Finding("limits", "warning", told, "\n".join(remedy for _, remedy in tight))


def _tight(found: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """Each limit that is low, in words, and the command that raises it."""
    if found.get("files", math.inf) < _FEW_FILES:
        yield f"{found['files']:.0f} open files", "ulimit -n 4096"
    if found.get("processes", math.inf) < _FEW_PROCESSES:
        yield f"{found['processes']:.0f} processes and threads", "ulimit -u 4096"
    if found.get("space", math.inf) < _TORCH_SPACE:
        space = in_words(int(found["space"]))
        yield f"{space} of address space, of which torch with CUDA takes much", "ulimit -v unlimited"
    if found.get("file size", math.inf) < math.inf:
        yield f"files of {in_words(int(found['file size']))} at most", "ulimit -f unlimited"
    if found.get("cpu", math.inf) < math.inf:
        yield f"{found['cpu']:.0f} s of computing, then processes are killed", "ulimit -t unlimited"
