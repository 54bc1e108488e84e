"""Slurm's commands as shell scripts: the border at which these tests are fakes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ALL = ("sbatch", "squeue", "sacct", "scontrol", "scancel", "sinfo")


class Programs:
    """A folder at the head of PATH: only programs that were put there, and the shell's."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir()
        self._folder = folder
        self.calls = folder / "calls"
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        for name in ALL:  # Slurm may be installed here
            self.say(name, error="no such controller", code=1)

    def say(self, name: str, out: str = "", *, error: str = "", code: int = 0) -> None:
        """What a program prints, whatever it is asked."""
        text = f"#!/bin/sh\necho \"{name} $*\" >> '{self.calls}'\n"
        text += f"cat <<'END'\n{out}\nEND\n" if out else ""
        text += f"cat >&2 <<'END'\n{error}\nEND\nexit {code}\n"
        path = self._folder / name
        path.write_text(text)
        path.chmod(0o755)

    def forget(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A machine without Slurm."""
        for name in ALL:
            (self._folder / name).unlink(missing_ok=True)
        bare = self._folder.with_name("bare")
        bare.mkdir(exist_ok=True)
        for name in ("sh", "bash", "cat"):
            if not (bare / name).exists():
                (bare / name).symlink_to(f"/bin/{name}")
        monkeypatch.setenv("PATH", os.pathsep.join([str(self._folder), str(bare)]))

    def called(self) -> list[str]:
        """Every call so far, with its arguments."""
        return self.calls.read_text().splitlines() if self.calls.exists() else []
