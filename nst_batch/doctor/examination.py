"""Everything that is looked at, in the order in which it is told."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

from nst_batch.doctor import computing, machine, network, queue, software, storage
from nst_batch.doctor.findings import Finding

DEFAULT_OUTPUT = Path("outputs")
_IMPORTED = {"torch": computing.torch, "torchvision": computing.vision}


def examine(pipeline: Path | None, overrides: Mapping[str, str], *, deep: bool = False) -> Iterator[Finding]:
    """Look at this machine, and at what a pipeline needs of it. What takes a while is done when it is asked for.

    Args:
        pipeline: a pipeline file; None: the machine alone.
        overrides: as ``--set``.
        deep: read large files whole, too.
    """
    asked = yield from _programs()
    yield machine.cores()
    yield machine.memory()
    yield machine.limits()
    if pipeline is None:
        yield network.weights(deep=deep)
        yield from _places(DEFAULT_OUTPUT)
    else:
        yield from _prospects(pipeline, overrides, asked, deep=deep)
    yield queue.slurm()
    yield from software.extras(software.requirements())
    yield software.encoding()


def _places(folder: Path, wanted: int = 0) -> Iterator[Finding]:
    yield storage.cache()
    yield from storage.output(folder, wanted)


def _prospects(file: Path, overrides: Mapping[str, str], asked: computing.Probed, *, deep: bool) -> Iterator[Finding]:
    """What a pipeline needs; as far as what it is read with is installed."""
    try:
        from nst_batch.doctor import prospects
    except ImportError as error:
        yield Finding("pipeline", "problem", f"{file}: cannot be read: {error}", "see above for what is not installed")
        yield from _places(DEFAULT_OUTPUT)
        return
    read, spec = prospects.loaded(file, overrides)
    yield read
    if spec is None:
        yield from _places(DEFAULT_OUTPUT)
        return
    yield network.weights(spec.weights, deep=deep)
    yield prospects.devices(spec, asked)
    planned, ready = prospects.planned(file, overrides)
    yield planned
    if ready:
        yield prospects.forecast(ready, asked)
    yield from _places(spec.output_dir, ready.room().needed if ready else 0)


def _programs() -> Generator[Finding, None, computing.Probed]:
    """Python and what is installed; what torch says of this machine is handed on."""
    yield software.python()
    asked = computing.probed()
    for each in software.packages(software.requirements()):
        if each.level == "ok" and each.name in _IMPORTED:
            yield _IMPORTED[each.name](asked, each.text)
        else:
            yield each
    yield from computing.gpus(asked, computing.Driver.here())
    yield from computing.kernels(asked)
    return asked
