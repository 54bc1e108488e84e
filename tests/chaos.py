"""Faults on purpose: ``make chaos``.

Rounds of one small batch are rendered while a seeded source of chance kills, stops and starves real processes and
damages their files. Each run is followed by the next one in the same folder, until all is done. Then every picture must
have the very bytes of a run that nobody disturbed, nothing half-written may lie about, and no task may have been
rendered twice, but for those whose records were destroyed on purpose.

    python -m tests.chaos --faults 50 --seed 1
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from nst_batch.paths import PART_SUFFIX
from tests import runs

CONTENTS, STYLES, SIZE, STEPS = 4, 3, 64, 60
LONGEST_DELAY = 7.0  # seconds from a run's start to its fault; starting up takes four of them
FREEZE_SECONDS = 1.5
TIMEOUT, PAUSE_SECONDS = 4.0, 7.0  # without a step, and in which nothing can run
DISK = 48 << 20  # bytes of the disk that is filled up; a file system in memory of its own, where that is allowed
SMALL_FILE = 3000  # bytes: less than a picture, more than a line
GIVE_UP = 40  # runs of one round


@dataclass
class Figures:
    """What happened."""

    faults: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    runs: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    misled: list[str] = field(default_factory=list)
    explained: int = 0
    tracebacks: list[str] = field(default_factory=list)

    def failures(self) -> list[str]:
        """What must not be."""
        named = {
            "lost": self.lost, "wrong or broken": self.wrong, "stray files": self.strays,
            "rendered twice": self.twice, "tracebacks": self.tracebacks, "retouched and then changed": self.changed,
            "ended for a log or a pause": self.misled,
        }  # fmt: skip
        return [f"{name}: {', '.join(found)}" for name, found in named.items() if found]


class Round:
    """One batch in a folder of its own, disturbed until it is done or the faults are used up."""

    def __init__(self, root: Path, pipeline: Path, chance: random.Random, figures: Figures) -> None:
        self._run, self._pipeline = root, pipeline
        self._chance = chance
        self._figures = figures
        self._destroyed: set[str] = set()  # outputs whose records were damaged
        self._retouched: dict[str, bytes] = {}  # outputs, as somebody has left them

    def disturb(self, kinds: Sequence[str]) -> None:
        """One run, one fault."""
        fault = self._chance.choice(kinds)
        self._figures.faults[fault] += 1
        FAULTS[fault](self)

    def is_done(self) -> bool:
        """Whether every task has a record that says so."""
        return len({line["output"] for line in self._lines()}) == CONTENTS * STYLES

    def finish(self) -> None:
        """Run undisturbed, until nothing is left to do."""
        for _ in range(3):
            if self._end(self._start("--retry-failed")) == 0:
                return

    def judge(self, calm: dict[str, bytes]) -> None:
        """Compare with the run that nobody disturbed."""
        figures, name = self._figures, self._run.name
        found = runs.pictures(self._run)
        figures.lost += [f"{name}/{output}" for output in calm if output not in found]
        figures.wrong += [
            f"{name}/{output}"
            for output, data in found.items()
            if calm.get(output) != data and output not in self._retouched
        ]
        figures.changed += [
            f"{name}/{output}"
            for output, data in self._retouched.items()
            if found.get(output) != data and output not in self._destroyed  # of which it is not known what it was
        ]
        checkpoints = self._run / "state" / "checkpoints"
        strays = [*runs.temporaries(self._run), *(checkpoints.iterdir() if checkpoints.is_dir() else ())]
        figures.strays += [str(path.relative_to(self._run.parent)) for path in strays]
        for output, times in Counter(line["output"] for line in self._lines()).items():
            if times > 1 and output in self._destroyed:
                figures.explained += 1
            elif times > 1:
                figures.twice.append(f"{name}/{output}")

    def _lines(self) -> list[dict[str, str]]:
        return [line for line in runs.lines(self._run) if isinstance(line, dict) and line.get("status") == "done"]

    def _start(self, *more: str, file_size: int | None = None, **options: Any) -> subprocess.Popen[str]:
        self._figures.runs += 1
        command: tuple[str | Path, ...] = ("run", self._pipeline, "--set", f"output.dir={self._run}", *more)
        if file_size is None:
            return runs.start(*command, **options)
        with runs.files_end_at(file_size):
            return runs.start(*command)

    def _end(self, process: subprocess.Popen[str]) -> int:
        ended = runs.end_of(process)
        if "Traceback" in ended.err:
            self._figures.tracebacks.append(ended.err.strip().splitlines()[-1])
        return ended.code

    # --- faults -------------------------------------------------------------------------------------------------------

    def signal_parent(self, sign: signal.Signals) -> None:
        """At a moment of chance."""
        process = self._start()
        self._wait(process)
        process.send_signal(sign)
        self._end(process)
        if sign == signal.SIGKILL:
            runs.wait_for(lambda: not runs.workers_of(process.pid), "workers to follow")

    def kill_worker(self) -> None:
        """The run goes on without it."""
        process = self._start()
        self._wait(process)
        for pid in self._chance.sample(runs.workers_of(process.pid), k=min(1, len(runs.workers_of(process.pid)))):
            os.kill(pid, signal.SIGKILL)
        self._wait(process)
        process.terminate()
        self._end(process)

    def freeze(self, *, worker: bool) -> None:
        """Nothing happens for a while, as when a laptop sleeps."""
        process = self._start()
        self._wait(process)
        pids = runs.workers_of(process.pid) if worker else [process.pid]
        for sign in (signal.SIGSTOP, signal.SIGCONT):
            for pid in pids:
                os.kill(pid, sign)
            time.sleep(FREEZE_SECONDS)
        process.terminate()
        self._end(process)

    def full_disk(self) -> None:
        """Nothing fits any more; after a while there is room again, or the run is ended before."""
        process = self._start()
        self._wait(process)
        ballast = self._run.parent / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        self._wait(process)
        if self._chance.random() < 0.5:
            ballast.unlink()
            self._wait(process)
        process.terminate()
        self._end(process)
        ballast.unlink(missing_ok=True)

    def short_files(self) -> None:
        """Pictures and checkpoints do not fit, whatever room there is."""
        process = self._start(file_size=SMALL_FILE)
        self._wait(process)
        process.terminate()
        self._end(process)

    def second_run(self) -> None:
        """Two at once; one of them is killed, at its best or at its worst."""
        both = [self._start(), self._start()]
        self._wait(both[0])
        victim = self._chance.choice(both)
        victim.send_signal(self._chance.choice([signal.SIGKILL, signal.SIGTERM]))
        self._end(victim)
        self._wait(both[0] if victim is both[1] else both[1])
        for process in both:
            process.terminate()
        for process in both:
            if process is not victim:
                self._end(process)

    def move_folder(self) -> None:
        """Somebody tidies up in the middle of it, and then puts things back."""
        process = self._start()
        self._wait(process)
        aside = self._run.with_name("aside")
        if not self._run.exists():
            self._end(process)
            return
        self._run.rename(aside)
        self._wait(process)
        process.terminate()
        self._end(process)
        for made in self._run.rglob("*.png") if self._run.exists() else ():
            self._destroyed.add(str(made.relative_to(self._run)))
        shutil.rmtree(self._run, ignore_errors=True)
        aside.rename(self._run)

    def lose_log(self) -> None:
        """Nobody reads any more what the run says."""
        process = self._start()
        self._wait(process)
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()
        self._wait(process)
        process.terminate()
        if process.wait(timeout=runs.PATIENCE_SECONDS) not in (0, 75):
            self._figures.misled.append(f"exit status {process.returncode} without a log")

    def pause(self) -> None:
        """Nothing of it can run, for longer than a worker may be silent."""
        process = self._start("--set", f"run.timeout={TIMEOUT}", start_new_session=True)
        self._wait(process)
        for sign in (signal.SIGSTOP, signal.SIGCONT):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sign)
            time.sleep(PAUSE_SECONDS if sign == signal.SIGSTOP else 1.0)
        process.terminate()
        ended = runs.end_of(process)
        if ended.code not in (0, 75) or "made no step" in ended.err:
            self._figures.misled.append(f"exit status {ended.code} after a pause: {ended.err[-200:]}")

    def retouch(self) -> None:
        """Somebody paints into a picture, and keeps what it says of itself or not; then all is looked at again."""
        self.signal_parent(signal.SIGTERM)
        there = sorted(path for path in self._run.rglob("*.png") if path.parent == self._run)
        if not there:
            return
        path = self._chance.choice(there)
        with Image.open(path) as image:
            notes = PngInfo()
            for key, value in image.info.items() if self._chance.random() < 0.5 else ():
                notes.add_itxt(str(key), str(value))
            image.paste((255, 0, 0), (8, 8, 40, 40))
            image.save(path, pnginfo=notes)
        self._retouched[path.name] = path.read_bytes()
        self.signal_parent(signal.SIGTERM)

    def tear_manifest(self) -> None:
        """A crash in the middle of a write that the disk had begun."""
        self.signal_parent(signal.SIGKILL)
        for part in self._parts()[-1:]:
            with part.open("ab") as file:
                file.write(b'{"v": 1, "task": "0123')

    def destroy_manifest(self) -> None:
        """A bad sector: some bytes in the middle."""
        self.signal_parent(signal.SIGTERM)
        parts = [part for part in self._parts() if part.stat().st_size]
        if not parts:
            return
        part = self._chance.choice(parts)
        before = {line["output"] for line in self._lines()}
        data = bytearray(part.read_bytes())
        place = self._chance.randrange(len(data))
        data[place : place + 20] = bytes(self._chance.randrange(256) for _ in data[place : place + 20])
        part.write_bytes(data)
        self._destroyed |= before - {line["output"] for line in self._lines()}
        self._destroyed |= {output for output in before if output.encode() not in bytes(data)}

    def destroy_state(self) -> None:
        """What is known of inputs, and where pictures were."""
        self.signal_parent(signal.SIGTERM)
        for path in (self._run / "state").rglob("*"):
            if path.is_file():
                path.write_bytes(path.read_bytes()[: self._chance.randrange(1 + path.stat().st_size)])

    def _parts(self) -> list[Path]:
        return sorted((self._run / "manifest").glob(f"*{PART_SUFFIX}"))

    def _wait(self, process: subprocess.Popen[str]) -> None:
        """For as long as chance has it, or until the process ends."""
        deadline = time.monotonic() + self._chance.uniform(0.3, LONGEST_DELAY)
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.02)


FAULTS: dict[str, Callable[[Round], None]] = {
    "kill -9 of the parent": partial(Round.signal_parent, sign=signal.SIGKILL),
    "kill -9 of a worker": Round.kill_worker,
    "SIGTERM": partial(Round.signal_parent, sign=signal.SIGTERM),
    "SIGINT": partial(Round.signal_parent, sign=signal.SIGINT),
    "SIGHUP": partial(Round.signal_parent, sign=signal.SIGHUP),
    "SIGUSR1": partial(Round.signal_parent, sign=signal.SIGUSR1),
    "workers stopped for a while": partial(Round.freeze, worker=True),
    "parent stopped for a while": partial(Round.freeze, worker=False),
    "a pause longer than the timeout": Round.pause,
    "log lost": Round.lose_log,
    "a retouched output": Round.retouch,
    "full disk": Round.full_disk,
    "short files": Round.short_files,
    "two runs at once": Round.second_run,
    "folder moved away": Round.move_folder,
    "torn manifest line": Round.tear_manifest,
    "destroyed manifest bytes": Round.destroy_manifest,
    "truncated state files": Round.destroy_state,
}


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A file system of its own at ``folder``, small enough to be filled; False where that is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "nst-chaos", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def chaos(folder: Path, faults: int, seed: int) -> Figures:
    """So many faults, in as many rounds as it takes."""
    figures, chance = Figures(), random.Random(seed)
    runs.make_pictures(folder, contents=CONTENTS, styles=STYLES, size=SIZE)
    weights = runs.save_weights(folder / "vgg.pth")
    pipeline = runs.write_pipeline(
        folder, weights, transfer__size=SIZE, transfer__steps=STEPS, run__devices=["cpu", "cpu"]
    )
    disk = folder / "disk"
    with small_disk(disk) as can_be_filled:
        if not can_be_filled:
            print("no file system of our own may be mounted here: disks are not filled")
        kinds = [kind for kind in FAULTS if can_be_filled or kind != "full disk"]
        calm = Round(disk / "calm", pipeline, chance, figures)
        calm.finish()
        pictures = runs.pictures(disk / "calm")
        assert len(pictures) == CONTENTS * STYLES
        while sum(figures.faults.values()) < faults:
            figures.rounds += 1
            each = Round(disk / f"round{figures.rounds}", pipeline, chance, figures)
            for _ in range(GIVE_UP):
                if each.is_done() or sum(figures.faults.values()) == faults:
                    break
                each.disturb(kinds)
            each.finish()
            each.judge(pictures)
    return figures


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="nst-chaos-") as folder:
        figures = chaos(Path(folder), given.faults, given.seed)
    for fault, times in sorted(figures.faults.items()):
        print(f"{times:4} {fault}")
    print(
        f"{sum(figures.faults.values())} faults in {figures.rounds} rounds of {CONTENTS * STYLES} tasks, "
        f"{figures.runs} runs, {time.monotonic() - begun:.0f} s: {len(figures.lost)} tasks lost, "
        f"{len(figures.wrong)} pictures wrong, {len(figures.strays)} stray files, {len(figures.twice)} rendered twice "
        f"({figures.explained} more since their records were destroyed), {len(figures.tracebacks)} tracebacks, "
        f"{len(figures.changed)} retouched pictures changed, {len(figures.misled)} runs ended for a log or a pause"
    )
    if failures := figures.failures():
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()
