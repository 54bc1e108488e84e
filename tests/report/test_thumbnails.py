"""Small pictures, made once and kept."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from nst_batch.paths import RunPaths
from nst_batch.report.thumbnails import SIDE, forget_others, thumbnails
from tests import tar_files
from tests.runs import files_end_at, save_picture


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "run")


def small(paths: RunPaths, picture: Path) -> Image.Image:
    made = thumbnails(paths, [picture])[picture]
    assert made is not None and made.path.read_bytes() == made.data
    image = Image.open(io.BytesIO(made.data))
    assert image.format == "WEBP"
    return image


def mean(image: Image.Image) -> list[int]:
    return [round(float(each)) for each in np.asarray(image.convert("RGB")).reshape(-1, 3).mean(0)]


def test_the_longer_side_is_cut_down_and_small_ones_stay_as_they_are(paths: RunPaths, tmp_path: Path) -> None:
    Image.new("RGB", (1000, 400), (200, 30, 90)).save(tmp_path / "wide.jpg")
    Image.new("RGB", (40, 60)).save(tmp_path / "tiny.png")
    Image.new("RGB", (3, 4000)).save(tmp_path / "thin.png")
    assert small(paths, tmp_path / "wide.jpg").size == (SIDE, SIDE * 400 // 1000)
    assert small(paths, tmp_path / "tiny.png").size == (40, 60)
    assert small(paths, tmp_path / "thin.png").size == (1, SIDE)


def test_sixteen_bits_are_shown_as_bright_as_they_are(paths: RunPaths, tmp_path: Path) -> None:
    values = np.full((20, 30, 3), (65535, 32768, 257), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "deep.tif", values, photometric="rgb")
    assert mean(small(paths, tmp_path / "deep.tif")) == pytest.approx([255, 128, 1], abs=4)


def test_transparency_is_kept_and_of_animations_the_first_frame_is_shown(paths: RunPaths, tmp_path: Path) -> None:
    clear = Image.new("RGBA", (30, 30), (10, 200, 10, 255))
    clear.paste((0, 0, 0, 0), (0, 0, 15, 30))
    clear.save(tmp_path / "clear.png")
    alpha = np.asarray(small(paths, tmp_path / "clear.png").getchannel("A"))
    assert alpha[:, :13].max() < 20 and alpha[:, 17:].min() > 235
    red, blue = (Image.new("RGB", (20, 20), color) for color in ("red", "blue"))
    red.save(tmp_path / "moving.gif", save_all=True, append_images=[blue])
    assert mean(small(paths, tmp_path / "moving.gif")) == pytest.approx([255, 0, 0], abs=6)


def test_what_cannot_be_shown_is_none(paths: RunPaths, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    save_picture(tmp_path / "torn.png", 1, 64)
    (tmp_path / "torn.png").write_bytes((tmp_path / "torn.png").read_bytes()[:200])
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    wanted = [tmp_path / f"{name}.png" for name in ("broken", "torn", "folder", "pipe", "missing", "n\0l", "\ud800")]
    assert set(thumbnails(paths, wanted).values()) == {None}


def test_they_are_made_once_and_again_when_the_file_has_changed(paths: RunPaths, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    save_picture(picture, 1)
    first = thumbnails(paths, [picture, picture])[picture]
    assert first is not None
    first.path.write_bytes(b"kept")  # would be seen, were it read again and not made
    again = thumbnails(paths, [picture])[picture]
    assert again is not None and (again.path, again.data) == (first.path, b"kept")
    save_picture(picture, 2)
    changed = thumbnails(paths, [picture])[picture]
    assert changed is not None and changed.path != first.path and changed.data not in (first.data, b"kept")


def test_a_full_disk_costs_the_keeping_only(paths: RunPaths, tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 1)
    with files_end_at(0):
        made = thumbnails(paths, [tmp_path / "a.png"])[tmp_path / "a.png"]
    assert made is not None and made.data and not made.path.exists()
    assert list(paths.thumbnails.iterdir()) == []


def test_those_of_pictures_that_are_no_more_are_removed_but_young_ones(paths: RunPaths, tmp_path: Path) -> None:
    for name in ("used", "old", "young"):
        save_picture(tmp_path / f"{name}.png", len(name))
    used, old, young = thumbnails(paths, [tmp_path / f"{name}.png" for name in ("used", "old", "young")]).values()
    assert used and old and young
    for each in (used, old):
        os.utime(each.path, (time.time() - 86400,) * 2)
    forget_others(paths, [used, None])
    assert (used.path.exists(), old.path.exists(), young.path.exists()) == (True, False, True)
    forget_others(RunPaths(tmp_path / "elsewhere"), [])


def test_members_of_tar_files_are_shown_and_again_when_the_archive_has_changed(paths: RunPaths, tmp_path: Path) -> None:
    picture = tar_files.save(tmp_path / "s.tar", {"a.png": tar_files.png(1)}) / "a.png"
    first = thumbnails(paths, [picture])[picture]
    assert first is not None and thumbnails(paths, [picture])[picture] == first
    tar_files.save(tmp_path / "s.tar", {"a.png": tar_files.png(2)})
    again = thumbnails(paths, [picture])[picture]
    assert again is not None and again.path != first.path and again.data != first.data
    none = [tmp_path / "s.tar" / "b.png", tmp_path / "s.tar.gz" / "a.png"]
    (tmp_path / "s.tar.gz").write_bytes(b"x")
    assert set(thumbnails(paths, none).values()) == {None}
