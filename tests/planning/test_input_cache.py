"""What is in input files, read once and remembered."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nst_batch import columns
from nst_batch.columns import NONE
from nst_batch.planning import input_cache
from nst_batch.planning.input_cache import InputCache
from nst_batch.planning.input_files import Seen, see, unreadable
from nst_batch.records import Limits
from tests import runs
from tests.test_columns import HOSTILE


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of files whose bytes are read, as they are."""
    found: list[str] = []
    real = see

    def counted(path: str, *more: Any) -> Any:
        found.append(Path(path).name)
        return real(path, *more)

    monkeypatch.setattr(input_cache, "see", counted)
    return found


def many(folder: Path, count: int) -> list[str]:
    """Files that are old enough to be remembered."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        (folder / f"{number}.png").write_bytes(f"picture {number}".encode())
        old(folder / f"{number}.png")
    return [str(folder / f"{number}.png") for number in range(count)]


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_source_is_digest_size_and_upright_header(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png", exif=exif)
    source = InputCache(tmp_path / "cache").source(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    assert source.digest == hashlib.sha256(data).hexdigest() and source.bytes == len(data)
    assert (source.width, source.height) == (20, 40)


def test_a_file_that_is_no_picture_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("Dear diary")
    source = InputCache(tmp_path / "cache").source(tmp_path / "a.png")
    assert (source.width, source.height, source.bytes) == (0, 0, 10)


def old(path: Path) -> None:
    """As if it had been written an hour ago."""
    then = time.time() - 3600
    os.utime(path, (then, then))


def test_a_file_that_was_just_written_is_not_remembered(tmp_path: Path) -> None:
    """Within one tick of the clock it could change again without a trace."""
    picture, cache = tmp_path / "a.png", InputCache(tmp_path / "cache.json")
    picture.write_bytes(b"one")
    before = cache.digest(picture)
    status = picture.stat()
    picture.write_bytes(b"two")
    os.utime(picture, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert cache.digest(picture) != before


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_upright_for_every_orientation(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    source = InputCache(tmp_path / "cache").source(tmp_path / "a.jpg")
    assert (source.width, source.height) == ((20, 40) if orientation >= 5 else (40, 20))


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"one")
    old(picture)
    (tmp_path / "cache.json").mkdir()
    cache = InputCache(tmp_path / "cache.json")
    assert cache.digest(picture) == hashlib.sha256(b"one").hexdigest()
    cache.save()


def test_planning_makes_no_folder_for_the_cache(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"one")
    old(picture)
    cache = InputCache(tmp_path / "run" / "state" / "digests.npz")
    cache.digest(picture)
    cache.save()
    assert not (tmp_path / "run").exists()


def test_a_file_with_more_bytes_than_it_may_have_is_not_read(tmp_path: Path) -> None:
    """Its task says why; reading it could take hours."""
    runs.save_picture(tmp_path / "small.png", seed=1)
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(1 << 40)
    cache = InputCache(tmp_path / "cache", Limits(bytes=1_000_000))
    large = cache.source(tmp_path / "large.png")
    assert (large.bytes, large.width, large.height) == (1 << 40, 0, 0) and len(large.digest) == 64
    assert cache.source(tmp_path / "small.png").width == 32


def test_a_mask_whose_name_would_be_too_long_is_none(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".png")
    runs.save_picture(path, seed=1)
    assert InputCache(tmp_path / "cache").source(path).mask is None


def test_digests_are_remembered_between_runs_until_the_file_changes(tmp_path: Path, read: list[str]) -> None:
    picture, file = tmp_path / "a.png", tmp_path / "cache.npz"
    picture.write_bytes(b"one")
    old(picture)
    for _ in range(2):
        cache = InputCache(file)
        first = cache.digest(picture)
        cache.save()
    assert read == ["a.png"]
    picture.write_bytes(b"two")
    assert InputCache(file).digest(picture) != first


def test_each_row_is_what_a_file_is_asked_for_alone(tmp_path: Path) -> None:
    paths = [*many(tmp_path / "f", 40), str(tmp_path / "gone.png"), str(tmp_path / "f")]
    runs.save_picture(tmp_path / "f" / "7.png", seed=1)
    paths.append(str(tmp_path / "f" / "7.png"))
    table = InputCache(tmp_path / "cache").sources(paths)
    alone = [InputCache(tmp_path / "cache").source(Path(path)) for path in paths]
    assert [table.source(row) for row in range(len(paths))] == alone
    assert alone[7].width == 32 and alone[7] == alone[-1]
    assert alone[3].digest == digest_of(b"picture 3")


def test_paths_that_are_asked_for_several_times_have_equal_rows(tmp_path: Path) -> None:
    paths = many(tmp_path / "f", 3)
    runs.save_picture(tmp_path / "f" / "1.mask.png", seed=2)
    asked = [paths[place] for place in (1, 0, 1, 2, 1)]
    cache = InputCache(tmp_path / "cache")
    for _ in range(2):
        table = cache.sources(asked)
        assert [table.source(row).path for row in range(5)] == asked
        first, mask = table.source(0), table.source(0).mask
        assert mask is not None and mask.width == 32
        assert [table.source(row) for row in (2, 4)] == [first, first] and table.source(3).mask is None


def test_no_paths_are_no_rows(tmp_path: Path) -> None:
    table = InputCache(tmp_path / "cache").sources([])
    assert len(table) == 0 and table.masks.dtype == np.int64


@pytest.mark.parametrize("folder", ["few", "many"])
def test_masks_are_found_beside_few_pictures_and_beside_many(tmp_path: Path, folder: str) -> None:
    paths = many(tmp_path / "f", 5 if folder == "few" else 50)
    for number in (1, 4):
        runs.save_picture(tmp_path / "f" / f"{number}.mask.png", seed=number)
    (tmp_path / "f" / "2.mask.png").mkdir()
    table = InputCache(tmp_path / "cache").sources(paths)
    assert np.flatnonzero(table.masks != NONE).tolist() == [1, 4]
    assert [table.paths[table.masks[row]] for row in (1, 4)] == [paths[row][:-4] + ".mask.png" for row in (1, 4)]
    assert len(table) == len(paths) + 2


def test_threads_read_each_file_once_and_keep_the_order(tmp_path: Path, read: list[str]) -> None:
    paths, told = many(tmp_path / "f", 300), list[tuple[int, int]]()
    cache = InputCache(tmp_path / "cache", progress=lambda done, total: told.append((done, total)))
    table = cache.sources(paths)
    assert [table.digest(row) for row in range(300)] == [digest_of(f"picture {n}".encode()) for n in range(300)]
    assert sorted(read) == sorted(Path(path).name for path in paths)
    assert told == sorted(told) and told[-1] == (300, 300) and len(told) < 60
    read.clear()
    told.clear()
    cache.sources(paths[::-1])
    assert read == [] and told == []


def test_of_files_that_changed_only_those_are_read_again(tmp_path: Path, read: list[str]) -> None:
    paths = many(tmp_path / "f", 60)
    cache = InputCache(tmp_path / "cache.npz")
    before = cache.sources(paths)
    cache.save()
    read.clear()
    (tmp_path / "f" / "5.png").write_bytes(b"longer than before")
    status = Path(paths[6]).stat()
    (tmp_path / "f" / "6.png").write_bytes(b"PICTURE 6")
    os.utime(paths[6], ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    after = InputCache(tmp_path / "cache.npz").sources(paths)
    assert sorted(read) == ["5.png", "6.png"]
    differ = (before.digests != after.digests).any(1)
    assert np.flatnonzero(differ).tolist() == [5, 6]


def test_keys_whose_first_half_is_equal_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_cache, "halves", lambda keys: np.zeros(len(keys), np.int64))
    paths = many(tmp_path / "f", 30)
    cache = InputCache(tmp_path / "cache.npz")
    for _ in range(2):
        table = cache.sources(paths)
        assert [table.digest(row) for row in range(30)] == [digest_of(f"picture {n}".encode()) for n in range(30)]


# --- what cannot be read


def test_what_cannot_be_read_has_a_digest_of_its_own_each_time(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to("link.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    (tmp_path / "folder.png").mkdir()
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(os.path.relpath(tmp_path / "s.png"))
    bound.close()
    names = ["pipe.png", "link.png", "device.png", "folder.png", "s.png", "gone.png", "x" * 300, "zero\0byte.png"]
    for asked in (names, names * 5):  # by threads, too
        table = InputCache(tmp_path / "cache").sources([str(tmp_path / name) for name in asked])
        assert len({table.digest(row) for row in range(len(table))}) == len(names)
        assert not table.widths.any()


def test_the_digest_of_what_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that are there, and may not be read, are no weights."""
    cache = InputCache(tmp_path / "cache")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "gone"):
        with pytest.raises(OSError):
            cache.digest(path)
    (tmp_path / "w.pth").write_bytes(b"weights")
    monkeypatch.setattr(input_cache, "see", lambda path, *_: Seen(unreadable(path), 0, 0, False))
    with pytest.raises(OSError, match="could not be read"):
        cache.digest(tmp_path / "w.pth")


def test_a_file_that_can_be_read_at_last_counts_as_changed(tmp_path: Path) -> None:
    path, cache = tmp_path / "a.png", InputCache(tmp_path / "cache")
    before = cache.source(path)
    path.write_bytes(b"now")
    assert cache.source(path).digest == digest_of(b"now") != before.digest


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (2 << 20) + 5])
def test_a_file_of_any_size_has_the_digest_of_its_bytes(tmp_path: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    (tmp_path / "a.png").write_bytes(data)
    source = InputCache(tmp_path / "cache").source(tmp_path / "a.png")
    assert (source.digest, source.bytes) == (digest_of(data), size)


def test_a_large_picture_has_a_size(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 256, (700, 800, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1 << 20
    source = InputCache(tmp_path / "cache").source(tmp_path / "a.png")
    assert (source.width, source.height) == (800, 700)


# --- ended in the middle


@pytest.mark.parametrize("count", [10, 400])
def test_what_was_read_before_the_end_is_remembered(tmp_path: Path, read: list[str], count: int) -> None:
    paths = many(tmp_path / "f", count)

    def end(done: int, _: int) -> None:
        if done >= 6:
            raise KeyboardInterrupt

    cache = InputCache(tmp_path / "cache.npz", progress=end)
    with pytest.raises(KeyboardInterrupt):
        cache.sources(paths)
    cache.save()
    before = set(read)
    assert len(before) >= 6 and (count > 100 or len(before) == 6)
    read.clear()
    InputCache(tmp_path / "cache.npz").sources(paths)
    assert before.isdisjoint(read) and len(before) + len(read) == count
    assert not [each for each in threading.enumerate() if each.name.startswith("inputs")]


def test_at_the_end_nobody_waits_for_files_that_are_not_in_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, seen = many(tmp_path / "f", 800), list[str]()

    def slow(path: str, *more: Any) -> Any:
        seen.append(path)
        time.sleep(0.01 if path not in paths[:64] else 0)
        return see(path, *more)

    def end(*_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(input_cache, "see", slow)
    with pytest.raises(KeyboardInterrupt):
        InputCache(tmp_path / "cache", progress=end).sources(paths)
    assert len(seen) < 250  # what one thread reads in turn, and a few of each other


def test_it_is_told_though_the_first_files_take_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a signal is heeded: nobody waits until a thread is through with its share."""
    paths, told, is_told = many(tmp_path / "f", 300), list[int](), threading.Event()

    def slow(path: str, *more: Any) -> Any:
        is_told.wait(runs.PATIENCE_SECONDS)
        return see(path, *more)

    def tell(done: int, _: int) -> None:
        told.append(done)
        is_told.set()

    monkeypatch.setattr(input_cache, "see", slow)
    InputCache(tmp_path / "cache", progress=tell).sources(paths)
    assert told[0] == 0 and told[-1] == 300


# --- the file


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_damaged_cache_is_an_empty_one(tmp_path: Path, kind: str) -> None:
    (tmp_path / "cache.npz").write_bytes(HOSTILE[kind])
    (tmp_path / "a.png").write_bytes(b"one")
    assert InputCache(tmp_path / "cache.npz").digest(tmp_path / "a.png") == digest_of(b"one")


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "fewer sizes": lambda arrays: arrays.update(sizes=arrays["sizes"][1:]),
    "no digests": lambda arrays: arrays.pop("digests"),
    "short keys": lambda arrays: arrays.update(keys=arrays["keys"][:, :8]),
    "flat keys": lambda arrays: arrays.update(keys=arrays["keys"].reshape(-1)),
    "times that are fractions": lambda arrays: arrays.update(times=arrays["times"] / 2),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_cache_of_something_else_is_an_empty_one(tmp_path: Path, change: str, read: list[str]) -> None:
    paths, file = many(tmp_path / "f", 5), tmp_path / "cache.npz"
    cache = InputCache(file)
    cache.sources(paths)
    cache.save()
    header, arrays = columns.load(file)
    CHANGES[change](arrays)
    columns.save(file, header, arrays)
    table = InputCache(file).sources(paths)
    assert len(read) == 10 and table.digest(4) == digest_of(b"picture 4")


def test_a_cache_of_another_version_is_an_empty_one(tmp_path: Path, read: list[str]) -> None:
    paths, file = many(tmp_path / "f", 5), tmp_path / "cache.npz"
    cache = InputCache(file)
    cache.sources(paths)
    cache.save()
    columns.save(file, 99, columns.load(file)[1])
    InputCache(file).sources(paths)
    assert len(read) == 10


def test_of_two_who_keep_it_at_once_one_wins_and_it_is_whole(tmp_path: Path, read: list[str]) -> None:
    paths, file = many(tmp_path / "f", 40), tmp_path / "cache.npz"
    one, two = InputCache(file), InputCache(file)
    one.sources(paths[:30])
    two.sources(paths[10:])
    writers = [threading.Thread(target=cache.save) for cache in (one, two)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    read.clear()
    InputCache(file).sources(paths)
    assert len(read) == 10 and len(list(tmp_path.iterdir())) == 2


def test_nothing_is_written_where_nothing_has_changed(tmp_path: Path) -> None:
    paths, file = many(tmp_path / "f", 3), tmp_path / "cache.npz"
    for _ in range(2):
        cache = InputCache(file)
        cache.sources(paths)
        cache.save()
        before = file.stat().st_ino
    assert file.stat().st_ino == before
    cache = InputCache(file)
    cache.sources(paths)
    cache.save()
    assert file.stat().st_ino == before


# --- kept elsewhere until there is a run


def test_what_was_read_of_many_is_kept_until_there_is_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: list[str]
) -> None:
    monkeypatch.setattr(input_cache, "_MANY", 5)
    paths, file, spare = many(tmp_path / "f", 9), tmp_path / "run" / "state" / "d.npz", tmp_path / "home" / "d.npz"
    for count, kept in ((5, False), (9, True)):
        cache = InputCache(file, spare=spare)
        cache.sources(paths[:count])
        cache.save()
        assert spare.exists() == kept and not file.parent.exists()
    read.clear()
    cache = InputCache(file, spare=spare)  # the run: it takes over what is known
    cache.sources(paths)
    cache.save(make_folder=True)
    assert read == [] and file.exists() and not spare.exists()
    InputCache(file, spare=spare).sources(paths)
    assert read == []


def test_what_is_kept_elsewhere_may_be_damaged_or_impossible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_cache, "_MANY", 1)
    paths, spare = many(tmp_path / "f", 3), tmp_path / "spare"
    for kind in ("damaged", "a folder"):
        if kind == "damaged":
            spare.write_bytes(b"PK")
        else:
            spare.unlink()
            spare.mkdir()
        cache = InputCache(tmp_path / "no" / "d.npz", spare=spare)
        assert cache.sources(paths).digest(2) == digest_of(b"picture 2")
        cache.save()
