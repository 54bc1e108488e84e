"""Slurm, for those who submit."""

from __future__ import annotations

import shutil

from nst_batch.cluster.slurm import partitions
from nst_batch.doctor.findings import Finding
from nst_batch.errors import UsageError

_SHOWN = 8


def slurm() -> Finding:
    """Whether jobs can be submitted from here, and where to."""
    missing = [command for command in ("sbatch", "squeue", "sinfo", "scancel") if not shutil.which(command)]
    if len(missing) == 4:
        return Finding("slurm", "ok", "not on this machine; `nst-batch submit` alone needs it")
    if missing:
        told = f"{', '.join(missing)} not on this machine: `nst-batch submit` needs them"
        return Finding("slurm", "warning", told, "submit from a login node of the cluster")
    try:
        found = partitions()
    except UsageError as error:
        said = str(error).removeprefix("sinfo has no answer: ").rpartition("; ")[2].removeprefix("fatal: ")
        told = f"no controller answers: {said}"
        return Finding("slurm", "warning", told, "`nst-batch submit` needs it: use a login node of the cluster")
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return Finding("slurm", "ok", f"partitions: {', '.join(found[:_SHOWN]) or 'none'}{more}")
