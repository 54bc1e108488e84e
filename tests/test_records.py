"""Tasks have seeds of their own; errors become records."""

from __future__ import annotations

import pytest

from nst_batch.errors import ImageError, WorkerDied
from nst_batch.records import Failure, Source, Style, Task, Weights, utc_now
from nst_batch.settings import TransferSettings


def test_a_seed_is_the_tasks_own_and_the_settings_vary_it() -> None:
    picture = Source("a.png", "0" * 64, 1)

    def seed(identity: str, setting: int) -> int:
        task = Task(identity, picture, (Style(picture),), TransferSettings(seed=setting), Weights("w", "0"), "o.png")
        return task.seed

    assert seed("a" * 32, 0) != seed("b" * 32, 0) != seed("b" * 32, 1)
    assert 0 <= seed("f" * 32, 0) < 2**63


@pytest.mark.parametrize(
    ("error", "transient", "hint"),
    [
        (ImageError("broken", hint="replace it"), False, "replace it"),
        (WorkerDied("killed"), True, ""),
        (OSError(28, "No space left on device"), True, "room"),
        (MemoryError(), True, "smaller"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True, "smaller"),
        (RuntimeError("odd"), True, ""),
    ],
)
def test_any_error_becomes_a_failure(error: Exception, transient: bool, hint: str) -> None:
    failure = Failure.of(error)
    assert (failure.type, failure.transient) == (type(error).__name__, transient)
    assert hint in failure.hint and failure.message


def test_times_sort_as_text() -> None:
    times = [utc_now() for _ in range(100)]
    assert times == sorted(times) and len({len(time) for time in times}) == 1 and times[0].endswith("+00:00")
