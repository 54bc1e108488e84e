"""Closures recorded once and played back: on a GPU, one launch in place of two hundred.

A closure at 256 px is less work for a GPU than starting its kernels one by one is for Python. A CUDA graph records the
kernels of one closure, with the memory they use, and starts them all at once. It reads targets and weights where they
lay when it was recorded; those of other pictures of the same shape are copied there, so one recording serves a batch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from nst_batch.transfer.losses import Objective, Terms
from nst_batch.transfer.optimise import Closure
from nst_batch.transfer.passes import Passes

WARM_UP = 2  # closures before the recording: libraries choose their algorithms and take their workspaces in them
KEPT = 8  # recordings: shapes times precisions; they share their memory
PIXELS = 2 << 20  # in all pictures, at most: larger closures keep a GPU busy while Python starts the next kernels

Replay = Callable[[], None]


class Compiler:
    """Makes closures, recorded where that can be done.

    Args:
        enabled: whether to.

    Attributes:
        note: why closures are not recorded; empty where they are, or need not be.
    """

    def __init__(self, *, enabled: bool = True) -> None:
        self.note = ""
        self._enabled = enabled
        self._kept: OrderedDict[Hashable, _Recorded] = OrderedDict()
        self._cannot: set[Hashable] = set()

    def compiled(self, objective: Objective, passes: Passes, like: Tensor) -> Closure:
        """The objective's values and gradients as a function of pictures like ``like`` (BxCxHxW).

        Good until the next one is asked for.
        """
        plain: Closure = partial(objective.gradient, passes)
        recordable = self._enabled and passes.strip is None and not passes.others
        if not (recordable and like.is_cuda and like[:, 0].numel() <= PIXELS and objective.is_movable):
            return plain
        key = (passes, like.shape, like.dtype, objective.signature(), _flags())
        if key in self._cannot:
            return plain
        if key in self._kept:
            self._kept.move_to_end(key)
            self._kept[key].load(objective)
            return self._kept[key]
        try:
            self._kept[key] = _Recorded(objective, passes, like)
        except torch.OutOfMemoryError:
            self._kept.clear()
            raise
        except RuntimeError as error:  # an operator that waits for the GPU cannot be recorded
            self._cannot.add(key)
            self.note = f"some closures are not recorded: {str(error).splitlines()[0]}"
            return plain
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._kept[key]


class _Recorded:
    """A closure that is played back."""

    def __init__(self, objective: Objective, passes: Passes, like: Tensor) -> None:
        self._image = like.clone()
        self._objective = objective.moved([value.clone() for value in objective.values(like)])
        self._terms, self._gradient = Terms((), torch.empty(0)), torch.empty(0)

        def closure() -> None:
            self._terms, self._gradient = self._objective.gradient(passes, self._image)

        self._replay = _record(closure, like.device)

    def load(self, objective: Objective) -> None:
        """Go on with other targets and weights."""
        own = self._objective.values(self._image)
        for mine, theirs in zip(own, objective.values(self._image), strict=True):
            mine.copy_(theirs)

    def __call__(self, image: Tensor) -> tuple[Terms, Tensor]:
        self._image.copy_(image)
        self._replay()
        return Terms(self._terms.names, self._terms.values.clone()), self._gradient.clone()


def _record(work: Callable[[], None], device: torch.device) -> Replay:
    """``work`` as a CUDA graph."""
    apart = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    apart.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(apart):
        for _ in range(WARM_UP):
            work()
    torch.cuda.current_stream(device).wait_stream(apart)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=_pool(device), capture_error_mode="thread_local"):
        work()
    return graph.replay


_POOLS: dict[torch.device, Any] = {}


def _pool(device: torch.device) -> Any:
    """One for all recordings of a device: what one has computed is copied before another is played."""
    if device not in _POOLS:
        _POOLS[device] = torch.cuda.graph_pool_handle()
    return _POOLS[device]


def _flags() -> Hashable:
    """What decides how convolutions are computed, beside their arguments."""
    newer = getattr(torch.backends.cudnn, "conv", None)
    return newer.fp32_precision if newer else torch.backends.cudnn.allow_tf32
