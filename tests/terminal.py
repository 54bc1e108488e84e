"""A real terminal for tests: a window of tmux, with a shell in it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.runs import REPOSITORY, wait_for


class Terminal:
    """One window. Commands are typed into its shell."""

    def __init__(self, socket: str, folder: Path) -> None:
        self._socket = socket
        self._folder = folder

    def tmux(self, *arguments: str) -> str:
        command = ["tmux", "-L", self._socket, "-f", "/dev/null", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-l", text)
        self.tmux("send-keys", "Enter")

    def nst_batch(self, *arguments: str | Path) -> None:
        """Start it; its exit status will be told as ``[code]``."""
        line = shlex.join([sys.executable, "-m", "nst_batch", *map(str, arguments)])
        self.type(f'clear; {line}; echo "[$?]"')

    def press(self, key: str) -> None:
        self.tmux("send-keys", key)

    def resize(self, width: int, height: int) -> None:
        self.tmux("resize-window", "-x", str(width), "-y", str(height))

    def lines(self) -> list[str]:
        """What can be seen, without blank lines at the end."""
        return self.tmux("capture-pane", "-p").rstrip().split("\n")

    def unwrapped(self) -> list[str]:
        """The same with lines that the terminal had to wrap in one piece."""
        return self.tmux("capture-pane", "-p", "-J").rstrip().split("\n")

    @property
    def text(self) -> str:
        return "\n".join(self.lines())

    def wait_for(self, text: str) -> None:
        wait_for(lambda: re.search(text, self.text) is not None, f"{text!r} in\n{self.text}")

    def exit_code(self) -> int:
        """Of the last command, once it has ended."""
        self.wait_for(r"(?m)^\[\d+\]$")
        return int(re.findall(r"(?m)^\[(\d+)\]$", self.text)[-1])

    def is_clean(self) -> bool:
        """Whether the cursor can be seen, and what is typed."""
        cursor = self.tmux("display", "-p", "#{cursor_flag}").strip()
        self.type("clear; stty -a; echo that is'' all")
        self.wait_for("that is all")
        return cursor == "1" and re.search(r"(?<!-)\becho\b", self.text) is not None


@contextmanager
def terminal(folder: Path, width: int = 80, height: int = 24) -> Iterator[Terminal]:
    """A window of that size, in that folder."""
    found = Terminal(f"nst-{os.getpid()}-{os.urandom(3).hex()}", folder)
    environment = {
        "PYTHONPATH": str(REPOSITORY),
        "PS1": "> ",
        "TERM": "screen-256color",
        "COLUMNS": "80",
        "LINES": "24",  # as readline leaves them, whatever the window's size
    }
    given = [word for name, value in environment.items() for word in ("-e", f"{name}={value}")]
    found.tmux("new-session", "-d", "-x", str(width), "-y", str(height), "-c", str(folder), *given, "sh")
    try:
        yield found
    finally:
        found.tmux("kill-server")
