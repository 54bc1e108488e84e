"""The untrained weights are made once for a machine; what they are worth is in test_weights.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from nst_batch.transfer import untrained

STATE = {"0.weight": torch.arange(5.0), "0.bias": torch.ones(2)}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A cache of its own; how often the values were made, which is stood in for here."""
    count: list[int] = []

    def make_state() -> dict[str, torch.Tensor]:
        count.append(1)
        return STATE

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(untrained, "make_state", make_state)
    yield count


def check() -> None:
    found = untrained.untrained_state()
    assert set(found) == set(STATE) and all(torch.equal(found[name], STATE[name]) for name in STATE)


def test_made_once_and_kept(made: list[int], tmp_path: Path) -> None:
    for _ in range(3):
        check()
    assert len(made) == 1
    assert len(list((tmp_path / "cache" / "nst_batch").iterdir())) == 1  # and no part of a file


@pytest.mark.parametrize("damage", [b"", b"no zip file", None])
def test_a_damaged_file_is_made_again(made: list[int], tmp_path: Path, damage: bytes | None) -> None:
    check()
    (file,) = (tmp_path / "cache" / "nst_batch").iterdir()
    file.write_bytes(file.read_bytes()[:-100] if damage is None else damage)
    check()
    check()
    assert len(made) == 2


def test_a_cache_that_cannot_be_written_is_no_hindrance(made: list[int], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    check()
    check()
    assert len(made) == 2
