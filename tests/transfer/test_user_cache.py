"""Where things are kept, and under which names."""

from __future__ import annotations

from pathlib import Path

import pytest

from nst_batch.transfer import user_cache


def test_the_folder_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert user_cache.cache_folder() == Path("/somewhere/nst_batch")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert user_cache.cache_folder() == Path("/home/somebody/.cache/nst_batch")


def test_keys_tell_parts_and_machines_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    first = user_cache.key(b"source", "2.8")
    assert first == user_cache.key(b"source", "2.8") and first.isalnum()
    assert first not in (user_cache.key(b"source", "2.9"), user_cache.key(b"other", "2.8"))
    monkeypatch.setattr(user_cache, "machine", lambda: "x86_64 flags: another")
    assert first != user_cache.key(b"source", "2.8")
