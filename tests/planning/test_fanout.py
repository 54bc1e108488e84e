"""Buckets, and folders that are too full."""

from __future__ import annotations

from collections import Counter

import pytest

from nst_batch.planning.fanout import MOST_FILES, bucket, by_folder, crowded


def test_buckets_are_256_and_all_are_used_alike() -> None:
    found = Counter(bucket(f"ILSVRC2012_val_{n:08d}", [f"style{n % 7}"]) for n in range(51_200))
    assert len(found) == 256 and all(len(name) == 2 and int(name, 16) < 256 for name in found)
    assert min(found.values()) > 130 and max(found.values()) < 280  # 200 each, and five deviations


def test_a_bucket_is_the_same_for_ever() -> None:
    """Otherwise every picture of every run would have to move."""
    assert [bucket("dog", ["wave"]), bucket("sea", ["wave"]), bucket("dog", ["wave", "night"])] == ["14", "d6", "12"]


def test_names_are_not_run_together() -> None:
    assert len({bucket("a", ["bc"]), bucket("ab", ["c"]), bucket("a", ["b", "c"])}) > 1
    assert bucket("\udcff", ["\udcfe"])  # bytes that are no text


def test_pictures_are_counted_by_folder() -> None:
    assert by_folder(["a.png", "x/b.png", "x/c.png", "x/y/d.png"]) == {"": 1, "x": 2, "x/y": 1}


def test_folders_are_full_beyond_a_number() -> None:
    assert crowded({}, "{content}.png") == crowded({"": MOST_FILES, "x": 3}, "{content}.png") == ""


@pytest.mark.parametrize(
    ("folders", "template", "said"),
    [
        ({"": 1_000_000}, "{content}.png", "1,000,000 pictures in one folder, .*; .*name: '{bucket}/{content}.png'$"),
        ({"a": 50_001, "b": 60_000, "c": 2}, "{style}/{content}.png", "up to 60,000 pictures in each of 2 folders"),
        ({"a": 50_001}, "{style}/{content}.png", "name: '{style}/{bucket}/{content}.png'$"),
        ({"a": 50_001}, "{bucket}/{content}.png", "more of it, such as {style}/ or {content_folder}/"),
    ],
)
def test_what_is_said_of_them(folders: dict[str, int], template: str, said: str) -> None:
    import re

    assert re.search(said.replace("{", r"\{"), crowded(folders, template))
