"""How a pipeline's tasks are run, and on which machines: sections of the pipeline file that change no picture."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from nst_batch.records import Limits
from nst_batch.spec_values import Bytes, Devices, Options, ShellLines, SlurmMemory, SlurmTime, Word


class Section(BaseModel):
    """Keys and values; no others than these."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Batch = Annotated[
    Annotated[Literal["auto"], Tag("<word, or a number>")] | Annotated[int, Field(ge=1, le=256), Tag("<number>")],
    Discriminator(lambda value: "<word, or a number>" if isinstance(value, str) else "<number>"),
]


Tile = Annotated[
    Annotated[Literal["auto", "off"], Tag("<word, or a number>")]
    | Annotated[int, Field(ge=16, le=65536), Tag("<number>")],
    Discriminator(lambda value: "<word, or a number>" if isinstance(value, str) else "<number>"),
    BeforeValidator(lambda value: "off" if value is False else value),
]
"""YAML reads ``off`` as a boolean."""

OnOff = Annotated[
    Literal["auto", "on", "off"],
    BeforeValidator(lambda value: {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value),
]
"""YAML reads ``on`` and ``off`` as booleans."""


class Run(Section):
    """How tasks are run; nothing here changes a picture's id."""

    devices: Devices = Field(default=(), description="auto, or one worker for each: [cuda:0, cuda:1], [cpu, cpu]")
    devices_per_task: int = Field(
        default=1, ge=1, le=64, description="devices that compute one picture together, where it is large enough"
    )
    retries: int = Field(default=2, ge=0, le=100, description="further tries after a crash or a passing error")
    timeout: float = Field(
        default=1800.0,
        gt=0,
        allow_inf_nan=False,
        description="seconds without a step, after which a worker is ended and its tasks are tried again",
    )
    threads: int | None = Field(default=None, ge=1, le=1024, description="per CPU worker; default: cores / workers")
    batch: Batch = Field(
        default="auto",
        description="tasks of one shape that share passes; auto: on a GPU as many as pay, on a CPU one by one",
    )
    tile: Tile = Field(
        default="auto",
        description="rows of a picture that are computed at a time; auto: all, where memory holds what that takes",
    )
    memory_limit: Bytes | None = Field(
        default=None,
        description="that each worker may take, as 3 GB: of a GPU, or of the machine; default: what is free",
    )
    compile: OnOff = Field(
        default="auto",
        description="build kernels in C++ for the CPU, and record closures for GPUs; auto: where that can be done",
    )


class InputLimits(Section):
    """What an input picture may be; what is larger fails, and nothing else."""

    pixels: int = Field(default=Limits().pixels, ge=1, description="of an input picture, decoded")
    bytes: int = Field(default=Limits().bytes, ge=1, description="of an input picture's file")

    def records(self) -> Limits:
        """As others take them."""
        return Limits(self.pixels, self.bytes)


class Cluster(Section):
    """What ``nst-batch submit`` asks of Slurm; each word as sbatch has it."""

    partition: Word | None = Field(default=None, description="as sbatch --partition; several with commas")
    account: Word | None = Field(default=None, description="as sbatch --account")
    qos: Word | None = Field(default=None, description="as sbatch --qos")
    time: SlurmTime | None = Field(
        default=None, description="limit of each element, as 8:00:00 or 2-12; what is left then is begun again"
    )
    nodes: int = Field(default=1, ge=1, le=10_000, description="as many machines' worth of elements")
    gpus_per_node: int | None = Field(
        default=None, ge=0, le=64, description="of each machine; default: 1, or 0 where run.devices are CPUs"
    )
    gpu_type: Word | None = Field(default=None, description="as sbatch --gres=gpu:TYPE:N")
    gpus_per_element: int | None = Field(
        default=None, ge=1, le=64, description="of each element of the array; default: run.devices_per_task"
    )
    cpus_per_task: int | None = Field(default=None, ge=1, le=1024, description="cores of each element")
    mem: SlurmMemory | None = Field(default=None, description="of each element, as 32G")
    constraint: Word | None = Field(default=None, description="as sbatch --constraint")
    array_limit: int | None = Field(default=None, ge=1, description="elements that run at once, at most")
    grace: int = Field(
        default=120, ge=10, le=3600, description="seconds before the limit at which pictures in hand are kept"
    )
    setup: ShellLines = Field(default="", description="lines of shell before each element begins, as module load cuda")
    command: ShellLines = Field(
        default="", description="what nst-batch is called on the nodes, as apptainer exec --nv nst.sif nst-batch"
    )
    extra: Options = Field(default=(), description="further options of sbatch, as --mail-type=END")
