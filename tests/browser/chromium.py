"""A real Chromium without a window, and a page in it that is watched: what it asks for, and what goes wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAM, PACKAGE = "chromium", "chromium"
ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


def install() -> str:
    """Get Chromium where it can be had; why it cannot be, or nothing."""
    if shutil.which(PROGRAM):
        return ""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return f"{PROGRAM} is not installed, and there is no root with apt to install it"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "--yes", "--no-install-recommends", PACKAGE]
    for attempt in (command, ["apt-get", "update"], command):
        done = subprocess.run(attempt, capture_output=True, text=True, env=environment)
        if shutil.which(PROGRAM):
            return ""
    return f"apt-get could not install {PACKAGE}: {(done.stderr.strip() or 'no reason given').splitlines()[-1]}"


@dataclass
class Watched:
    """A page, with every address it asked for, and all that it complained of."""

    page: Any
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(10_000)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self._heard(message))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self._interrupted(dialog))

    def _interrupted(self, dialog: Any) -> None:
        self.complaints.append(dialog.message)
        dialog.dismiss()

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def open(self, file: Path, place: str = "") -> Any:
        """The page of a file, once it is drawn."""
        self.page.goto(file.as_uri() + place)
        return self.page

    @property
    def strangers(self) -> list[str]:
        """What was asked for of anybody but this machine's files."""
        return [address for address in self.asked if not address.startswith(("file:", "data:"))]
