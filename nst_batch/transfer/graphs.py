"""Closures recorded once and played back: on a GPU, one launch in place of two hundred.

A closure at 256 px is less work for a GPU than starting its kernels one by one is for Python. A CUDA graph records the
kernels of one closure, with the memory they use, and starts them all at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from nst_batch.transfer.losses import Objective
from nst_batch.transfer.optimise import Closure
from nst_batch.transfer.passes import Passes

WARM_UP = 2  # closures before the recording: libraries choose their algorithms and take their workspaces in them


class Compiler:
    """Makes closures.

    Args:
        enabled: record them, where that can be done.

    Attributes:
        note: why something could not be recorded; empty where nothing went wrong.
    """

    def __init__(self, *, enabled: bool = True) -> None:
        self.note = ""
        self._enabled = enabled

    @contextlib.contextmanager
    def compiled(self, objective: Objective, passes: Passes, like: Tensor) -> Iterator[Closure]:
        """The objective's values and gradients as a function of pictures like ``like`` (BxCxHxW).

        Memory of a recording is given back at the end.
        """
        plain: Closure = partial(objective.gradient, passes)
        if not (self._enabled and like.is_cuda):
            yield plain
            return
        recorded: _Recorded | None = None
        try:
            recorded = _Recorded(plain, like)
        except RuntimeError as error:  # an operator that waits for the GPU cannot be recorded
            if isinstance(error, torch.OutOfMemoryError):
                raise
            self._enabled, self.note = False, f"closures are not recorded: {str(error).splitlines()[0]}"
        yield recorded or plain
        if recorded is not None:
            recorded.reset()


class _Recorded:
    """A closure as a CUDA graph."""

    def __init__(self, closure: Closure, like: Tensor) -> None:
        self._image = like.clone()
        apart = torch.cuda.Stream(like.device)  # type: ignore[no-untyped-call]
        apart.wait_stream(torch.cuda.current_stream(like.device))
        with torch.cuda.stream(apart):
            for _ in range(WARM_UP):
                closure(self._image)
        torch.cuda.current_stream(like.device).wait_stream(apart)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._loss, self._gradient = closure(self._image)

    def __call__(self, image: Tensor) -> tuple[Tensor, Tensor]:
        self._image.copy_(image)
        self._graph.replay()
        return self._loss.clone(), self._gradient.clone()

    def reset(self) -> None:
        """Give its memory back."""
        self._graph.reset()
