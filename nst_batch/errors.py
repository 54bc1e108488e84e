"""Every error that nst_batch raises on purpose, and the exit code each one ends a command with.

    NstError
    ├── UsageError            2  the user's input is wrong; nothing was rendered
    │   ├── SpecError            mistakes in pipeline.yaml, all of them, each with its line
    │   ├── SettingsError        a TransferSettings value out of range (the Python API)
    │   ├── PlanError            names that collide or leave the output folder, pairs that do not add up
    │   ├── WeightsError         no such weights, a wrong checksum, tensors that are not VGG-19's
    │   └── CompileError         compile: on, and this machine cannot
    ├── TaskError             1  one task cannot be done; the batch goes on
    │   ├── ImageError           unreadable, truncated or absurd picture (never retried)
    │   ├── OutputError          the output is not ours to overwrite, or cannot be written (never retried)
    │   ├── StorageError         the disk is full or read-only (waited for; then the run ends)
    │   ├── DivergedError        no finite loss was ever seen (never retried)
    │   ├── MemoryRanOut         even with as little as it can do with (retried: others may have taken it)
    │   ├── TooLarge             more memory than run.memory_limit allows, whatever is given up (never retried)
    │   └── WorkerDied           the process died with the task in hand (retried, then quarantined)
    ├── RunLocked             2  another run writes other pictures under the same names, or never gets going
    ├── ManifestError         1  results cannot be recorded (a full disk); what was recorded stands
    └── Interrupted          75  a signal; work is left, run again to go on

Foreign errors (Pillow, YAML, pydantic, torch) are mapped to these at one border each, with ``raise … from``.
"""

from __future__ import annotations

import errno
from enum import IntEnum

WRITABLE = "see that it may be written and has room, or choose another output.dir"
"""What to do about an output folder that refuses."""


class ExitCode(IntEnum):
    """What a command's exit status means; stable, for schedulers and scripts."""

    DONE = 0
    SOME_FAILED = 1
    BAD_INPUT = 2
    RESUBMIT = 75  # EX_TEMPFAIL of sysexits.h: interrupted with work left, the same command goes on
    ABORTED = 130  # the shell's code for a second Ctrl-C


class NstError(Exception):
    """Base of all: catch this to catch everything nst_batch raises on purpose.

    ``hint`` says what to do about it, in one sentence, or is empty.
    """

    exit_code = ExitCode.BAD_INPUT

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(NstError):
    """The user's input is wrong."""


class SpecError(UsageError):
    """Mistakes in a pipeline file; ``mistakes`` has one ``file:line: key: message`` each, in file order."""

    def __init__(self, mistakes: list[str], hint: str = "") -> None:
        super().__init__("\n".join(mistakes), hint)
        self.mistakes = mistakes


class SettingsError(UsageError, ValueError):
    """A value of TransferSettings is out of its range."""


class PlanError(UsageError):
    """The spec is well formed, but its tasks cannot be planned."""


class WeightsError(UsageError):
    """VGG-19 weights are missing, damaged or of another network."""


class CompileError(UsageError):
    """What was to be compiled cannot be, on this machine."""


class TaskError(NstError):
    """One task cannot be done; ``transient`` says whether trying again can help."""

    exit_code = ExitCode.SOME_FAILED
    transient = False


class ImageError(TaskError):
    """An input picture cannot be used."""


OUT_OF_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""What the system says of a disk that takes nothing more for now."""


class OutputError(TaskError):
    """An output picture cannot be put in its place."""


class StorageError(TaskError):
    """The disk is full, or has become read-only: ``bytes_wanted`` cannot be written, whichever picture it is."""

    transient = True

    def __init__(self, message: str, bytes_wanted: int) -> None:
        super().__init__(message, hint="make room; nothing that is there is touched")
        self.bytes_wanted = bytes_wanted


class DivergedError(TaskError):
    """The optimiser never saw a finite loss."""


class MemoryRanOut(TaskError):
    """There is not enough memory for a task, even with all given up that can be."""

    transient = True


class TooLarge(TaskError):
    """A task takes more memory than it may, whatever is given up."""


class WorkerDied(TaskError):
    """A worker process died with a task in hand."""

    transient = True


class RunLocked(NstError):
    """Another run in the same output folder leaves no place for this one."""


class ManifestError(NstError):
    """The manifest cannot be written: rendering on would lose work. ``out_of_room``: since the disk is full."""

    exit_code = ExitCode.SOME_FAILED

    def __init__(self, message: str, hint: str = "", *, out_of_room: bool = False) -> None:
        super().__init__(message, hint)
        self.out_of_room = out_of_room


class Interrupted(NstError):
    """A signal asked the run to stop before all tasks were done."""

    exit_code = ExitCode.RESUBMIT


def in_words(error: OSError) -> str:
    """What the system refused, and of which file."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason
