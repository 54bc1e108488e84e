"""What each element of a job says of itself, and what Slurm says of it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from nst_batch.atomic import write_atomic
from nst_batch.cluster import slurm
from nst_batch.cluster.slurm import Position, Seen
from nst_batch.cluster.submission import Submitted, submitted
from nst_batch.paths import PART_SUFFIX, RunPaths, SubmissionPaths
from nst_batch.recorded import parts
from nst_batch.recorded.writers import STALE_SECONDS
from nst_batch.records import utc_now

FRUITLESS = 3  # restarts in a row without a single step, after which an element is not requeued any more

REQUEUED = "requeued"
ENDED = {"done", "left", "failed", REQUEUED}
"""What an element says at its end: all is done; work is left, and it goes or was sent; some tasks failed; or it put
itself back into the queue."""


NEVER_BEGAN, DIED = "never began", "died"
_OVER = {*(ENDED - {REQUEUED}), NEVER_BEGAN, DIED, *(state.lower() for state in slurm.ENDS)}


def is_at_work(state: str) -> bool:
    """Whether an element in such a state works, or will: it waits, its node boots, it is being put away."""
    return state not in _OVER and not state.startswith("cancelled ")  # by whom


@dataclass(frozen=True)
class Word:
    """An element's last word of itself. ``writers`` are its names in the run's folder, one for each start."""

    index: int
    job: str = ""
    state: str = "running"
    host: str = ""
    node: str = ""
    pid: int = 0
    restarts: int = 0
    fruitless: int = 0
    writers: tuple[str, ...] = ()
    since: str = ""
    why: str = ""


class Diary:
    """Where this element notes what becomes of it.

    Args:
        paths: of the submission.
        place: in the job; None: there is none, and nothing is noted.
    """

    def __init__(self, paths: SubmissionPaths, place: Position | None) -> None:
        self._file = paths.element(place.index) if place else None
        before = _read(paths, place.index) if place else None
        self._word = before or Word(place.index if place else 0)
        if place:
            self._word = replace(
                self._word, job=place.job, host=socket.gethostname(), node=place.node, pid=os.getpid(),
                restarts=place.restarts, writers=self._word.writers if self._word.job == place.job else (),
            )  # fmt: skip

    def begin(self, writer: str) -> None:
        """It renders, as this writer."""
        self._note(replace(self._word, writers=(*self._word.writers, writer), state="running", why=""))

    def end(self, state: str, why: str, *, moved: bool) -> None:
        """It leaves; ``moved``: it has made a step at least."""
        self._note(replace(self._word, state=state, why=why, fruitless=0 if moved else self._word.fruitless + 1))

    def correct(self, state: str, why: str) -> None:
        """What ``end`` said is not so."""
        self._note(replace(self._word, state=state, why=why))

    @property
    def may_go_on(self) -> bool:
        """Whether it is any use to begin again: not after several times without a step."""
        return self._word.fruitless < FRUITLESS

    def _note(self, word: Word) -> None:
        self._word = replace(word, since=utc_now())
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk: it is for people, and no more
                write_atomic(self._file, json.dumps(asdict(self._word)).encode())


@dataclass(frozen=True)
class Element:
    """One of a job's elements, for people: ``pictures`` are those that it rendered."""

    index: int
    state: str
    node: str
    restarts: int
    pictures: int
    detail: str


def elements(paths: RunPaths) -> list[tuple[Submitted, list[Element]]]:
    """Every job of a run with its elements, the latest last. Where Slurm does not answer, the folder alone speaks."""
    jobs = submitted(paths)
    names = [each.job for _, each in jobs]
    waiting = slurm.queued(names) if names else None
    past = slurm.ended(names)
    merged = parts.done_before(paths.manifest)
    return [(each, _of_job(place, each, waiting, past, merged)) for place, each in jobs]


def _of_job(
    paths: SubmissionPaths,
    job: Submitted,
    waiting: Sequence[Seen] | None,
    past: Sequence[Seen],
    merged: Mapping[str, int],
) -> list[Element]:
    now = {each.index: each for each in waiting or () if each.job == job.job}
    before = {each.index: each for each in past if each.job == job.job}
    found = []
    for index in range(job.elements):
        word = _read(paths, index) or Word(index, state="")
        seen = now.get(index)
        state, detail = _state(paths.run, word, seen, before.get(index), known=waiting is not None)
        log = paths.log(job.job, index)
        if not (seen or word.state) and waiting is not None and log.is_file():
            state, detail = "failed", "; ".join(each for each in (f"before it could begin: see {log}", detail) if each)
        node = (seen.node if seen else "") or word.node or word.host
        found.append(Element(index, state, node, word.restarts, _pictures(paths.run, word.writers, merged), detail))
    return found


def _state(run: RunPaths, word: Word, seen: Seen | None, past: Seen | None, *, known: bool) -> tuple[str, str]:
    """Slurm's word for what it has in hand; else the element's own, if it was its last."""
    if seen is not None:
        return seen.state.lower(), seen.detail
    if word.state == REQUEUED and known:
        return "left", f"{word.why}; not in Slurm's queue any more"
    if word.state in ENDED:
        known_as = [past.state.lower()] if past is not None and word.state == "left" else []
        return word.state, "; ".join([word.why, *known_as])
    alive = bool(word.writers) and _is_alive(run, word.writers[-1])
    if word.state == "running" and alive:
        return "running", "unknown to Slurm: an orphan, which does no harm" if known else ""
    if past is not None:
        return past.state.lower(), past.detail
    if word.state == "running":
        return DIED, "without a word; what it had in hand is others'"
    return NEVER_BEGAN, "" if known else "as far as the folder tells"


def _is_alive(run: RunPaths, writer: str) -> bool:
    """Whether a writer has touched its file lately; by this machine's clock, since nothing is written here."""
    try:
        return time.time() - run.writer(writer).stat().st_mtime < STALE_SECONDS
    except OSError:
        return False


def _pictures(run: RunPaths, writers: Collection[str], merged: Mapping[str, int]) -> int:
    """How many pictures these have recorded; also in parts that were merged, of which only the count is known."""
    count = sum(done for part, done in merged.items() if parts.writer_of(part) in writers)
    for writer in writers:
        for part in run.manifest.glob(f"{writer}*{PART_SUFFIX}"):
            with contextlib.suppress(OSError):
                count += part.read_bytes().count(b'"status":"done"')
    return count


def _read(paths: SubmissionPaths, index: int) -> Word | None:
    try:
        found: dict[str, Any] = json.loads(paths.element(index).read_bytes())
        known = {field.name for field in fields(Word)}
        word = Word(**{key: value for key, value in found.items() if key in known})
        return replace(word, writers=tuple(word.writers))
    except (OSError, ValueError, TypeError, AttributeError):
        return None
