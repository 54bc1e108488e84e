"""Builds ``kernels.cpp`` once for each machine, loads it, and hands tensors to its functions.

About a second, the first time; later processes find the library in the user's cache. Where there is no compiler, or
the CPU's kind is not known to it, ``kernels`` says why and the caller goes on with torch's own operators.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nst_batch.transfer.user_cache import cache_folder, key

SOURCE = Path(__file__).with_name("kernels.cpp")
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC")
BUILD_SECONDS = 120.0

_pointer, _int, _long, _float = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_float
_SIGNATURES = {
    "transform": [*[_pointer] * 2, *[_long] * 2, *[_int] * 2],
    "convolve": [*[_pointer] * 5, *[_long] * 7, _int, _int, _long, _pointer, _int],
    "to_picture": [*[_pointer] * 3, *[_long] * 4, _int],
    "pool": [*[_pointer] * 2, *[_long] * 4, _int, _float, _int],
    "unpool": [*[_pointer] * 3, *[_long] * 4, _int, _float, _int, _int],
    "gram": [*[_pointer] * 2, *[_long] * 3, _int],
    "distance": [*[_pointer] * 3, *[_long] * 3, _int, _int],
    "pull": [*[_pointer] * 5, *[_long] * 3, *[_int] * 4],
}


class Kernels:
    """The library's functions. Tensors are float32 on the CPU, in memory as each function's comment says.

    Attributes:
        chunk: channels come in multiples of it.
        parts: of a Gram matrix.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        for name, types in _SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = types, None
        library.workspace.argtypes, library.workspace.restype = [_long, _long], _long
        self.chunk: int = library.chunk()
        self.parts: int = library.parts()

    def workspace(self, inputs: int, tiles: int, threads: int) -> Tensor:
        """What ``convolve`` needs between its transforms."""
        size = int(self._library.workspace(inputs, tiles))
        return torch.empty(threads * size // 4)

    def run(self, name: str, *arguments: Tensor | float | None) -> None:
        """Call a function; the number of threads, its last argument, is torch's own."""
        given = [a.data_ptr() if isinstance(a, Tensor) else a for a in arguments]
        getattr(self._library, name)(*given, torch.get_num_threads())


@dataclass(frozen=True)
class Built:
    """The kernels, or why there are none."""

    kernels: Kernels | None
    why_not: str = ""


@functools.cache
def built() -> Built:
    """The kernels for this machine, built now if they never were."""
    names = [os.environ.get("CXX", ""), "c++", "g++", "clang++"]
    compiler = next((found for name in names if name and (found := shutil.which(name))), None)
    if compiler is None:
        return Built(None, "no C++ compiler (c++, g++ or clang++)")
    file = cache_folder() / f"kernels-{_key(compiler)}.so"
    try:
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            _compile(compiler, file)
        return Built(Kernels(ctypes.CDLL(str(file))))
    except OSError as error:  # the cache cannot be written, or its file is damaged
        return _built_in_passing(compiler, error)
    except subprocess.SubprocessError as error:
        return Built(None, _reason(compiler, error))


def _built_in_passing(compiler: str, because: OSError) -> Built:
    """Built for this process alone."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "kernels.so"
            _compile(compiler, file)
            return Built(Kernels(ctypes.CDLL(str(file))))
    except (OSError, subprocess.SubprocessError) as error:
        return Built(None, f"{_reason(compiler, error)} ({because})")


def _compile(compiler: str, file: Path) -> None:
    """A whole file or none, whoever else builds it at the same time."""
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        command = [compiler, *FLAGS, "-o", str(part), str(SOURCE)]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=BUILD_SECONDS)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _key(compiler: str) -> str:
    """Tells apart what would make another library: the source, the compiler, and what this CPU can do."""
    status = Path(compiler).stat()
    return key(SOURCE.read_bytes(), FLAGS, os.path.realpath(compiler), status.st_size, status.st_mtime_ns)


def _reason(compiler: str, error: Exception) -> str:
    said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
    return f"{compiler} does not build them: {said[0] if said else type(error).__name__}"
