"""Workers that are actors of a Ray cluster (the extra ``nst_batch[ray]``).

One actor for each GPU renders as a worker process does; the scheduler stays here, and records. All machines need the
pictures and the run's folder under the same paths.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typing_extensions import override

from nst_batch import environment
from nst_batch.cluster.actor import Actor, Numbered, Said
from nst_batch.errors import UsageError
from nst_batch.pipeline_file.spec_run import Run
from nst_batch.running import awake
from nst_batch.running.links import LEAVE_SECONDS, Pipe, Worker
from nst_batch.running.messages import Note, WorkerOptions
from nst_batch.running.signals import HEEDED

PATIENCE_SECONDS = 0.2  # an actor waits so long for something to say
UNAVAILABLE_SECONDS = 60.0  # without an answer, after which an actor is given up
REACH_SECONDS = 10.0
QUEUED_SECONDS = 30.0  # without a place in the cluster, after which that is said


class RayEngine:
    """A Ray cluster. See ``connected``.

    Attributes:
        devices: one for each actor, as the actor sees it.
        threads: of each, where it computes on a CPU.
        sharing: how many actors share a machine's memory, at most.
    """

    def __init__(self, ray: Any, run: Run) -> None:
        self._ray = ray
        self._run = run
        machines = [each for each in ray.nodes() if each["Alive"]]
        gpus = int(ray.cluster_resources().get("GPU", 0))
        together = run.devices_per_task
        if run.devices:
            first = "cpu" if run.devices[0] == "cpu" else "cuda"
            count = len(run.devices) // together
        else:
            first, count = ("cuda", gpus // together) if gpus else ("cpu", len(machines))
        if count < 1:
            there = f"run.devices names {len(run.devices)}" if run.devices else f"the Ray cluster has {gpus} GPUs"
            raise UsageError(f"run.devices_per_task: {together}, but {there}", hint=f"ask for fewer than {together}")
        self._gpus = together if first == "cuda" else 0
        names = [f"cuda:{index}" for index in range(together)] if self._gpus else ["cpu"] * together
        self.devices = ("+".join(names),) * count
        cores = min((int(each["Resources"].get("CPU", 1)) for each in machines), default=1)
        self.sharing = -(-count // max(1, len(machines)))
        self.threads = run.threads or max(1, cores // self.sharing)

    def start(self, slot: int, device: str, options: WorkerOptions) -> RayWorker:
        """An actor, wherever there is room."""
        cores = 1 if self._gpus else self.threads
        variables = environment.wanted(environment.ALLOCATOR | environment.OPENMP)
        kind = self._ray.remote(
            num_gpus=self._gpus, num_cpus=cores, max_restarts=0, runtime_env={"env_vars": variables}
        )(Actor)
        return RayWorker(self._ray, slot, device, kind.remote(options, device))


class RayWorker(Worker):
    """One actor, and a thread that carries messages to and fro."""

    def __init__(self, ray: Any, slot: int, device: str, actor: Any) -> None:
        here, self._there = multiprocessing.Pipe()
        super().__init__(slot, device, here)
        self._ray, self._actor = ray, actor
        self._sign, self._bell = multiprocessing.Pipe(duplex=False)
        self._ended = threading.Event()
        self._manner = "ended"
        self._lost = self._ran_out = self._said_that_it_waits = False
        self._answered = awake.seconds()
        self._carrier = threading.Thread(target=self._carry, name=f"actor {slot}", daemon=True)
        self._carrier.start()

    @override
    def signs(self) -> tuple[Pipe, Pipe]:
        return self.pipe, self._sign

    @override
    def has_ended(self) -> bool:
        return self._ended.is_set()

    @override
    def kill(self) -> None:
        with contextlib.suppress(Exception):  # whatever Ray has against it, it is gone
            self._ray.kill(self._actor)

    @override
    def manner_of_death(self) -> str:
        return self.why_ended or self._manner

    @override
    def was_lost(self) -> bool:
        return self._lost and not self.why_ended

    @override
    def was_killed_for_memory(self) -> bool:
        return self._ran_out and not self.why_ended

    @override
    def bury(self) -> None:
        self._carrier.join(timeout=LEAVE_SECONDS)
        if not self.has_ended():
            self.kill()
            self._carrier.join(timeout=LEAVE_SECONDS)

    def _carry(self) -> None:
        try:
            self._exchange_until_over()
        finally:
            self._ended.set()
            self._there.close()
            self._bell.close()

    def _exchange_until_over(self) -> None:
        mail, heard = _Mail(self._there), 0
        while (said := self._exchange(mail, heard)) is not None:
            for number, message in said.messages:
                if number > heard:
                    heard = number
                    self._there.send(message)
            if said.over or mail.closed():
                self.kill()
                return

    def _exchange(self, mail: _Mail, heard: int) -> Said | None:
        """What the actor answers; nothing, where it does not now; None: it has died."""
        errors = self._ray.exceptions
        call = self._actor.exchange.remote(mail.unheard(), heard, PATIENCE_SECONDS)
        try:
            said: Said = self._ray.get(call, timeout=QUEUED_SECONDS)
        except errors.GetTimeoutError:
            if not (heard or self._said_that_it_waits):
                self._said_that_it_waits = True
                self._there.send(Note(f"worker {self.slot} waits for room in the Ray cluster"))
            return Said([], over=False)
        except errors.ActorUnavailableError as error:  # a connection that may come back
            if awake.seconds() - self._answered < UNAVAILABLE_SECONDS:
                time.sleep(PATIENCE_SECONDS)
                return Said([], over=False)
            self._note_death(error)
            return None
        except errors.RayError as error:
            self._note_death(error)
            return None
        self._answered = awake.seconds()
        mail.were_heard()
        return said

    def _note_death(self, error: Exception) -> None:
        """Ray tells in words alone whether a process died or its machine; who is not reached has gone with one."""
        errors, said = self._ray.exceptions, str(error)
        self._ran_out = isinstance(error, errors.OutOfMemoryError) or "low on memory" in said
        unreachable = isinstance(error, errors.ActorUnavailableError) and not self._ran_out
        self._lost = unreachable or "node has died" in said
        self._manner = "went with its machine" if self._lost else "died"
        if self._ran_out:
            self._manner = "was killed by Ray: its machine was running out of memory"


class _Mail:
    """Messages to an actor, kept until they were heard."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._kept = list[Numbered]()
        self._count = 0
        self._closed = False

    def unheard(self) -> list[Numbered]:
        """All that is to be said."""
        try:
            while not self._closed and self._pipe.poll():
                message = self._pipe.recv()
                self._count += 1
                self._kept.append((self._count, message))
        except (EOFError, OSError):
            self._closed = True
        return list(self._kept)

    def were_heard(self) -> None:
        """What ``unheard`` gave last has arrived."""
        self._kept.clear()

    def closed(self) -> bool:
        """Whether nobody has anything to say to it any more."""
        return self._closed


def _reach(address: str) -> None:
    """Ray itself tries for minutes. Raises OSError: nobody listens there."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_SECONDS).close()


_REMEDIES = (
    "begin one with `ray start --head`, and `ray start --address HOST:6379` on the other machines; on a machine that "
    "is no part of it, --address ray://HOST:10001; if it demands a token, copy its ~/.ray/auth_token here"
)


def _reason(error: Exception) -> str:
    """What Ray says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _send_token() -> None:
    """Where a token of Ray's is, show it: since 2.59, `ray start` demands it there, and who names an address does not
    send it unless told to."""
    files = (os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token",)
    if os.environ.get("RAY_AUTH_TOKEN") or any(Path(file).is_file() for file in files):
        os.environ.setdefault("RAY_AUTH_MODE", "token")


@contextmanager
def connected(address: str, run: Run) -> Iterator[RayEngine]:
    """A cluster, for as long as this is entered.

    Args:
        address: ``auto``: the one that this machine is part of; ``HOST:PORT``, or ``ray://…``.
        run: how tasks are run.

    Raises:
        UsageError: Ray is not installed, or there is no such cluster.
    """
    _send_token()
    try:
        import ray
    except ImportError as error:
        raise UsageError("--engine ray: Ray is not installed", hint="pip install 'nst_batch[ray]'") from error
    signals = {each: signal.getsignal(each) for each in HEEDED}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        _reach(address)
        ray.init(address=address, logging_level="ERROR", log_to_driver=False)
    except (OSError, ValueError, RuntimeError, ImportError, ray.exceptions.RayError) as error:
        raise UsageError(f"--address {address}: no Ray cluster: {_reason(error)}", hint=_REMEDIES) from error
    finally:
        for each, handler in signals.items():
            signal.signal(each, handler)  # Ray takes SIGTERM for itself
    try:
        yield RayEngine(ray, run)
    finally:
        ray.shutdown()
