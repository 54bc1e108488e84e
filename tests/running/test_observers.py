"""Several observers as one."""

from __future__ import annotations

from typing import Any

from nst_batch.running.observers import Observer, Observers
from tests.watched import decision, done, progress


class Noting(Observer):
    """Notes all that it is told, beside others, in one list."""

    def __init__(self, name: str, heard: list[tuple[Any, ...]]) -> None:
        self._name = name
        self._heard = heard

    def __getattribute__(self, what: str) -> Any:
        if what.startswith("_"):
            return super().__getattribute__(what)
        return lambda *told: self._heard.append((self._name, what, *told))


def test_all_are_told_all_one_after_another() -> None:
    heard: list[tuple[Any, ...]] = []
    both: Observer = Observers(Noting("first", heard), Noting("second", heard))
    told: list[tuple[Any, ...]] = [
        ("started", 0, "cpu", [decision("a", 1)]), ("progressed", 0, progress("a", step=1)),
        ("finished", 0, done("a"), True), ("elsewhere", decision("b", 1)), ("note", "text"), ("tick",),
    ]  # fmt: skip
    for what, *arguments in told:
        getattr(both, what)(*arguments)
    assert heard == [(name, *each) for each in told for name in ("first", "second")]


def test_nobody_heeds_anything() -> None:
    nobody = Observer()
    nobody.started(0, "cpu", [])
    nobody.progressed(0, progress("a", step=1))
    nobody.finished(0, done("a"), True)
    nobody.elsewhere(decision("b", 1))
    nobody.note("text")
    nobody.tick()
    assert not vars(nobody)
