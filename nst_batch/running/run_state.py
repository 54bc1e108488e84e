"""What a run is at, as plain values: for views, for the live file, and for events."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WorkerState:
    """A worker: what it has in ``outputs``, how far that is, seconds that it was busy so far, and until it is free."""

    slot: int
    device: str
    outputs: tuple[str, ...] = ()
    step: int = 0
    steps: int = 0
    loss: float | None = None
    rate: float = 0.0  # evaluations a second
    done: float = 0.0  # of the work in hand, 0 to 1
    busy: float = 0.0
    left: float | None = None


@dataclass(frozen=True)
class RunState:
    """A run's state: how many tasks it has, and how many of them are ``over``: ``rendered`` by it, ``failed``, or
    brought to an end ``elsewhere``. ``work`` is in expected seconds, or in any unit where nothing is known of them."""

    total: int = 0
    over: int = 0
    rendered: int = 0
    failed: int = 0
    elsewhere: int = 0
    skipped: int = 0
    work: float = 0.0
    work_done: float = 0.0
    elapsed: float = 0.0
    seconds_left: float | None = None
    seconds_per_cost: float | None = None
    pictures_per_hour: float | None = None
    evaluations_per_second: float = 0.0
    workers: tuple[WorkerState, ...] = ()

    @property
    def fraction(self) -> float:
        """Work that is done, 0 to 1."""
        return min(1.0, self.work_done / self.work) if self.work else 1.0
