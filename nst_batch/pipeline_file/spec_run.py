"""How a pipeline's tasks are run, and on which machines: sections of the pipeline file that change no picture."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from nst_batch.pipeline_file.spec_values import Bytes, Devices, Options, ShellLines, SlurmMemory, SlurmTime, Word
from nst_batch.records import Limits


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

    devices: Devices = Field(
        default=(),
        description="every GPU, or the CPU where there is none (`auto`); or one worker for each item: `[cuda:0, "
        "cuda:1]`, `[cpu, cpu]`; default: `auto`",
    )
    devices_per_task: int = Field(
        default=1,
        ge=1,
        le=64,
        description="devices that compute one picture together: each a band of its rows. With "
        "`devices: [cuda:0, cuda:1, cuda:2, cuda:3]` and 2 there are two workers of two GPUs. Pictures that are too "
        "low for it (under about 1500 rows with `relu5_1`) are computed by the first",
    )
    retries: int = Field(default=2, ge=0, le=100, description="further tries after a crash or an error that may pass")
    timeout: float = Field(
        default=1800.0,
        gt=0,
        allow_inf_nan=False,
        description="seconds without a step, after which a worker is ended and its tasks are tried again",
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="CPU threads of each worker. On the CPU, equal threads give equal bytes; default: cores / workers",
    )
    batch: Batch = Field(
        default="auto",
        description="tasks of one shape that share every pass through the network. `auto`: on a GPU as many as its "
        "memory holds and measurably pay, at most 16; on a CPU one by one. The pictures are the same but for rounding",
    )
    tile: Tile = Field(
        default="auto",
        description="rows of a picture that are computed at a time: `auto` (all, where memory holds what that takes, "
        "else as many as it does), `off` (all), or so many. Strips give the same picture but for rounding, in less "
        "memory and about two thirds more time",
    )
    memory_limit: Bytes | None = Field(
        default=None,
        description="memory that each worker may take in all, as `6 GB` or `800 MiB`: of its GPU, or of the machine. "
        "Pictures are made to fit; what cannot fit is refused before it begins; default: what is free, shared out "
        "among CPU workers",
    )
    compile: OnOff = Field(
        default="auto",
        description="`auto`: build kernels in C++ for the CPU, and record closures as CUDA graphs, where that can be "
        "done, and say so where it cannot; `on`: end with an error where it cannot; `off`: neither",
    )
    report: OnOff = Field(
        default="auto",
        description="keep `report.html` up to date while pictures are rendered, about once a minute; of more than 5000 "
        "pictures it shows a sample; `auto` is `on`",
    )
    labels: Literal["copy", "none"] = Field(
        default="copy",
        description="what stands beside a content in its tar file (`img.cls`, `img.json`): copied to each picture that "
        "is rendered from it into a tar file (`copy`), or left out (`none`)",
    )


class InputLimits(Section):
    """What an input picture may be; what is larger fails, and nothing else."""

    pixels: int = Field(
        default=Limits().pixels,
        ge=1,
        description="of an input picture: what claims to have more fails, since it may be a bomb",
    )
    bytes: int = Field(default=Limits().bytes, ge=1, description="of an input picture's file, likewise")

    def records(self) -> Limits:
        """As others take them."""
        return Limits(self.pixels, self.bytes)


class Cluster(Section):
    """What ``nst-batch submit`` asks of Slurm; each word as sbatch has it."""

    partition: Word | None = Field(
        default=None, description="as sbatch has `--partition`; several with commas; default: Slurm's"
    )
    account: Word | None = Field(default=None, description="as sbatch has `--account`; default: Slurm's")
    qos: Word | None = Field(default=None, description="as sbatch has `--qos`; default: Slurm's")
    time: SlurmTime | None = Field(
        default=None,
        description="limit of each element: `480` (minutes), `8:00:00`, `2-12` (days-hours); what is left then is "
        "begun again; default: the partition's",
    )
    nodes: int = Field(
        default=1,
        ge=1,
        le=10_000,
        description="machines' worth of elements. They need not be given on as many machines, nor at the same time",
    )
    gpus_per_node: int | None = Field(
        default=None,
        ge=0,
        le=64,
        description="GPUs of each machine. With 0, each machine is one element that computes on its cores; "
        "default: 1; 0 where `run.devices` are CPUs",
    )
    gpu_type: Word | None = Field(default=None, description="TYPE of sbatch's `--gres=gpu:TYPE:N`; default: any")
    gpus_per_element: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="GPUs of each element. One for each is what a scheduler finds room for first; more save a second "
        "or two of starting up; default: `run.devices_per_task`",
    )
    cpus_per_task: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="cores of each element. Two or three for each GPU keep it fed; default: the partition's",
    )
    mem: SlurmMemory | None = Field(
        default=None, description="memory of each element, as `32G`; default: the partition's"
    )
    constraint: Word | None = Field(default=None, description="as sbatch has `--constraint`; default: none")
    array_limit: int | None = Field(default=None, ge=1, description="elements that run at once, at most; default: all")
    grace: int = Field(
        default=120, ge=10, le=3600, description="seconds before the limit at which pictures in hand are kept"
    )
    setup: ShellLines = Field(
        default="", description="lines of shell before each element begins, as `module load cuda`; default: none"
    )
    command: ShellLines = Field(
        default="",
        description="what `nst-batch` is called on the nodes, as `apptainer exec --nv nst.sif nst-batch`; "
        "default: this Python's",
    )
    extra: Options = Field(
        default=(), description="further options of sbatch, as `[--mail-type=END, --exclude=node7]`; default: none"
    )
