"""What all tests share: those for a GPU are skipped where there is none, and Ctrl-C is heeded."""

from __future__ import annotations

import signal

import pytest
import torch

# Shells have what they begin in the background (``make test &``) ignore Ctrl-C, and so would all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
