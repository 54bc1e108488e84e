"""Targets and pixels kept between transfers, within a bound."""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

LIMIT_BYTES = 512 << 20  # Gram targets of 100 styles take 260 MB, a 1024 px content target 32 MB


class TensorCache:
    """The most recently used values, up to ``limit`` bytes of tensors and arrays in all. Threads may share it."""

    def __init__(self, limit: int = LIMIT_BYTES) -> None:
        self._limit = limit
        self._bytes = 0
        self._items: OrderedDict[Hashable, tuple[int, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value kept under ``key``, made now if there is none. Callers must not write into it."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
                return self._items[key][1]  # type: ignore[no-any-return]
        value = make()
        size = _bytes(value)
        with self._lock:
            if key in self._items:  # another thread was faster: all use the same one
                return self._items[key][1]  # type: ignore[no-any-return]
            if size <= self._limit:
                self._items[key] = (size, value)
                self._bytes += size
            while self._bytes > self._limit:
                _, (freed, _) = self._items.popitem(last=False)
                self._bytes -= freed
        return value

    def forget(self, kind: str) -> None:
        """Keep nothing of one kind: whose keys begin with that word."""
        with self._lock:
            for key in [key for key in self._items if isinstance(key, tuple) and key[0] == kind]:
                self._bytes -= self._items.pop(key)[0]

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._items.clear()
            self._bytes = 0


def _bytes(value: object) -> int:
    """Of a tensor or array, or of all in a mapping or dataclass; others count as nothing."""
    if isinstance(value, Mapping):
        return sum(map(_bytes, value.values()))
    if dataclasses.is_dataclass(value):
        return sum(_bytes(getattr(value, field.name)) for field in dataclasses.fields(value))
    return int(getattr(value, "nbytes", 0))
