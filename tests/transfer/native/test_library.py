"""Building the kernels: once for a machine, by whoever comes first, and not at all where there is no compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nst_batch.transfer.user_cache import machine
from tests.runs import REPOSITORY

needs_compiler = pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")
ASK = "from nst_batch.transfer.native.library import built; print(built())"


def ask(cache: Path, program: str = ASK, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
        env={**os.environ, "XDG_CACHE_HOME": str(cache), **environment},
    )
    return done.stdout.strip()


@needs_compiler
def test_built_once_and_found_again(tmp_path: Path) -> None:
    assert "Kernels object" in ask(tmp_path)
    (file,) = (tmp_path / "nst_batch").iterdir()  # and no part of one
    made = file.stat().st_mtime_ns
    assert "Kernels object" in ask(tmp_path)
    assert file.stat().st_mtime_ns == made
    file.write_bytes(b"not a library")
    assert "Kernels object" in ask(tmp_path)  # a damaged one is no hindrance


@needs_compiler
def test_a_cache_that_cannot_be_written_is_no_hindrance(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    assert "Kernels object" in ask(in_the_way)


def test_without_a_compiler_it_says_so(tmp_path: Path) -> None:
    assert ask(tmp_path, PATH=str(tmp_path)) == "Built(kernels=None, why_not='no C++ compiler (c++, g++ or clang++)')"


def test_a_compiler_that_fails_is_quoted(tmp_path: Path) -> None:
    broken = tmp_path / "c++"
    broken.write_text("#!/bin/sh\necho 'cannot find omp.h' >&2\nexit 1\n")
    broken.chmod(0o755)
    said = ask(tmp_path, CXX=str(broken))
    assert "kernels=None" in said and "cannot find omp.h" in said


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("instructions", ["x86-64-v3", "x86-64"])
def test_other_processors_get_the_same_numbers(tmp_path: Path, instructions: str) -> None:
    """With shorter vectors, as older CPUs have them, against torch's own convolution."""
    if "x86_64" not in machine():
        pytest.skip("not an x86 machine")
    program = f"""
import torch
from nst_batch.transfer.native import library
library.FLAGS = tuple(flag.replace("native", "{instructions}") for flag in library.FLAGS)
from tests.transfer import test_ops
kernels = library.built().kernels
print(kernels.chunk)
torch.set_num_threads(1)
for batch, height, width in test_ops.SIZES:
    for index in (1, 4):
        test_ops.test_convolutions(test_ops.native, index, batch, height, width)
    test_ops.test_pulls_are_the_gradients_of_losses(test_ops.native, 0, batch, height, width)
    test_ops.test_sums_over_positions(test_ops.native, 128, batch, height, width)
    test_ops.test_poolings(test_ops.native, "max", batch, height, width)
    test_ops.test_the_first_convolution(test_ops.native, batch, height, width)
"""
    assert ask(tmp_path, program) == "16"
