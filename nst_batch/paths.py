"""Every file name of a run, as properties of one object: no other module joins these strings."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path

PART_SUFFIX = ".jsonl"
MERGED_SUFFIX = ".merged.jsonl"
LIVE_SUFFIX = ".json"
CHECKPOINT_SUFFIX = ".safetensors"
ARCHIVE_SUFFIX = ".tar"
LOOSE_SUFFIX = ".loose"
_IN_ARCHIVE = re.compile(rf"(?<=[^/]){re.escape(ARCHIVE_SUFFIX)}(?=/)")


@dataclass(frozen=True)
class RunPaths:
    """The files of one run.

    ``root`` is the run's output folder::

        root/
          images/*.png          the pictures, under the names that output.name gives
          *.tar                 or archives of them, where a folder in that name ends so
          *.tar.loose/          what is to be packed into an archive, and is there as files until then
          plan.npz              what the last run set out to do, as columns
          manifest/WRITER.jsonl what was done, one file per writing process
          manifest/NAME.merged.jsonl   the same, of many that it replaces
          state/checkpoints/    pictures in the middle, by task
          state/digests.npz     digests of input files, by path, size and time
          state/archives.npz    what is in tar files, by path, size and time
          state/recall.npz      what was read of a large manifest
          state/writers/WRITER  who writes here now, and is alive
          state/live/           what each of them is doing
          state/claims/         which pictures they have in hand
          state/packing/        held while an archive is made anew
          state/entrance.lock   held while a run begins here
          state/compaction.lock held while parts of the manifest are merged
          submissions/          what was given to a cluster: see SubmissionPaths
          report.html           the pictures in a grid, to look at
          report/thumbnails/    what the grid shows of them
    """

    root: Path

    @property
    def plan(self) -> Path:
        """Where the last run wrote what it set out to do."""
        return self.root / "plan.npz"

    @property
    def manifest(self) -> Path:
        """The folder of manifest parts."""
        return self.root / "manifest"

    @property
    def state(self) -> Path:
        """The folder of what is not for users."""
        return self.root / "state"

    @property
    def digests(self) -> Path:
        """What is known of input files."""
        return self.state / "digests.npz"

    @property
    def archives(self) -> Path:
        """What is in tar files."""
        return self.state / "archives.npz"

    @property
    def recall(self) -> Path:
        """What was read of a large manifest."""
        return self.state / "recall.npz"

    @property
    def entrance(self) -> Path:
        """Held while a run begins here: one after another."""
        return self.state / "entrance.lock"

    @property
    def compaction(self) -> Path:
        """Held while parts of the manifest are merged: by one process at a time."""
        return self.state / "compaction.lock"

    @property
    def writers(self) -> Path:
        """The folder of processes that write here now."""
        return self.state / "writers"

    @property
    def lives(self) -> Path:
        """The folder of what writers are doing."""
        return self.state / "live"

    def live(self, writer: str) -> Path:
        """Where a writer says what it is doing."""
        return self.lives / f"{writer}{LIVE_SUFFIX}"

    @property
    def claims(self) -> Path:
        """The folder of pictures that somebody has in hand."""
        return self.state / "claims"

    @property
    def submissions(self) -> Path:
        """The folder of what was given to a cluster."""
        return self.root / "submissions"

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.root / "report.html"

    @property
    def thumbnails(self) -> Path:
        """The folder of small pictures."""
        return self.root / "report" / "thumbnails"

    def thumbnail(self, name: str) -> Path:
        """Where a small picture is kept, by a digest of what it shows."""
        return self.thumbnails / f"{name}.webp"

    @property
    def checkpoints(self) -> Path:
        """The folder of pictures in the middle."""
        return self.state / "checkpoints"

    def checkpoint(self, task: str) -> Path:
        """Where a task (by id) is kept that is not done yet."""
        return self.checkpoints / f"{task}{CHECKPOINT_SUFFIX}"

    def all_checkpoints(self) -> list[Path]:
        """Every picture in the middle that is kept."""
        return list(self.checkpoints.glob(f"*{CHECKPOINT_SUFFIX}"))

    def task_of(self, checkpoint: Path) -> str:
        """The id of the task that is kept there."""
        return checkpoint.name.removesuffix(CHECKPOINT_SUFFIX)

    def output(self, name: str) -> Path:
        """Where the picture called ``name`` (relative, as in a task or a manifest line) lies."""
        return self.root / name

    def loose(self, archive: str) -> Path:
        """The folder of files that are to be packed into the archive of that name."""
        return self.root / f"{archive}{LOOSE_SUFFIX}"

    def written(self, name: str) -> Path:
        """Where the picture called ``name`` is put when it is finished: in its place, or beside its archive, loose."""
        parts = archive_of(name)
        return self.output(name) if parts is None else self.loose(parts[0]) / parts[1]

    def packing(self, archive: str) -> Path:
        """What is held while an archive is made anew."""
        digest = hashlib.blake2b(archive.encode(errors="surrogateescape"), digest_size=16).hexdigest()
        return self.state / "packing" / digest

    def part(self, writer: str) -> Path:
        """Where a writer records what was done."""
        return self.manifest / f"{writer}{PART_SUFFIX}"

    def merged_part(self, name: str) -> Path:
        """Where the lines of parts go that one replaces; a name that no process has or will have."""
        return self.manifest / f"{name}{MERGED_SUFFIX}"

    def writer(self, name: str) -> Path:
        """Where a process that writes here shows that it is alive."""
        return self.writers / name

    def claim(self, output: str) -> Path:
        """Where it says who renders the picture called ``output``: by a digest, since names may be long."""
        return self.claims / hashlib.blake2b(output.encode(errors="surrogateescape"), digest_size=16).hexdigest()


@dataclass(frozen=True)
class SubmissionPaths:
    """The files of one submission to a cluster, in its run's folder.

    ``root`` is ``submissions/NAME`` there::

        root/
          tasks.npz             the tasks as they were planned, and how they are run
          script.sh             what sbatch was given
          job.json              what sbatch made of it
          elements/N.json       what each element of the array says of itself
          logs/JOB_N.log        and what it prints
    """

    root: Path

    @property
    def run(self) -> RunPaths:
        """The run's own files."""
        return RunPaths(self.root.parent.parent)

    @property
    def tasks(self) -> Path:
        """What was planned."""
        return self.root / "tasks.npz"

    @property
    def script(self) -> Path:
        """What sbatch was given."""
        return self.root / "script.sh"

    @property
    def job(self) -> Path:
        """What sbatch made of it."""
        return self.root / "job.json"

    @property
    def elements(self) -> Path:
        """The folder of elements' words."""
        return self.root / "elements"

    def element(self, index: int) -> Path:
        """What an element says of itself."""
        return self.elements / f"{index}.json"

    def log(self, job: str, index: int) -> Path:
        """What it prints."""
        return self.logs / f"{job}_{index}.log"

    @property
    def logs(self) -> Path:
        """The folder of what elements print."""
        return self.root / "logs"


def archive_of(output: str) -> tuple[str, str] | None:
    """(archive, member) of an output's name of which a folder ends in ``.tar``; None for those that are plain files."""
    found = _IN_ARCHIVE.search(output)
    return (output[: found.end()], output[found.end() + 1 :]) if found else None


def new_name() -> str:
    """A name for a process that writes into a run's folder, which no other, on any host, has or will have."""
    moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    host = "".join(c if c.isalnum() else "-" for c in socket.gethostname())[:40]
    return f"{moment}-{host}-{os.getpid()}-{os.urandom(3).hex()}"
