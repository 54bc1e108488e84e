"""A folder as people have them: every file is rendered in its colours and upright, or is said not to be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from nst_batch.transfer.images import _formats, load_picture
from tests import runs
from tests.kinds import KINDS, Kind
from tests.runs import here

NEAR = 3  # of 255


@pytest.fixture(scope="module", autouse=True)
def plugins() -> None:
    _formats(more=True)  # which write HEIC and JPEG XL


def apart(values: npt.NDArray[Any], kind: Kind) -> float:
    """The largest difference from what a file shows, in either half."""
    left, right = (values[20, at].astype(float) for at in (12, 36))
    return float(max(np.abs(left - kind.shows[0]).max(), np.abs(right - kind.shows[1]).max()))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.what)
def test_every_kind_is_read_as_its_format_has_it(tmp_path: Path, kind: Kind) -> None:
    path = tmp_path / f"a.{kind.ending}"
    kind.write(path)
    found = load_picture(path)
    assert found.size == (48, 32)
    assert apart(found.pixels / (257 if found.pixels.dtype == np.uint16 else 1), kind) <= NEAR


OTHERS = {
    "film.mp4": b"\0\0\0\x18ftypmp42", "notes.txt": b"Dear diary", "labels.json": b"{}", "drawing.svg": b"<svg/>",
    "raw.dng": b"II*\0", "raw.cr3": b"\0\0\0\x18ftypcrx ", "raw.NEF": b"MM\0*", "page.pdf": b"%PDF-1.7",
    "IMG_0001.AAE": b"<plist/>", "photo.xmp": b"<x/>", "photo.jpg~": b"", ".hidden.jpg": b"x", "._photo.jpg": b"x",
    "Thumbs.db": b"x", "desktop.ini": b"x", "no-ending": b"Dear diary", "lost.mask.png": b"x", "@eaDir/photo.jpg": b"x",
    "__MACOSX/photo.jpg": b"x", ".thumbnails/photo.png": b"x", "#recycle/photo.jpg": b"x", "2019/photo.jpg": b"x",
}  # fmt: skip
BROKEN = {"empty.jpg": b"", "letter.png": b"Dear diary", "page.webp": b"<html>", "half.jpg": b"\xff\xd8\xff\xe0"}


def test_nothing_is_left_out_in_silence_and_nothing_is_read_wrongly(tmp_path: Path) -> None:
    content = tmp_path / "content"
    runs.make_pictures(tmp_path, contents=0, styles=1)
    for number, kind in enumerate(KINDS):
        kind.write(content / f"{number:02d}.{kind.ending}")
    KINDS[0].write(content / "by-its-bytes")
    KINDS[0].write(content / "IN-CAPITALS.JPG")
    for name, data in {**OTHERS, **BROKEN}.items():
        (content / name).parent.mkdir(exist_ok=True)
        (content / name).write_bytes(data)
    as_it_is = {"strength": 0, "balance": "auto", "scales": [], "steps": 2, "size": 48}
    settings = {f"transfer__{name}": value for name, value in as_it_is.items()}
    weights = runs.save_weights(tmp_path / "vgg.pth")
    pipeline = runs.write_pipeline(tmp_path, weights, output__name="{content}.png", **settings)
    planned = here("plan", pipeline, "--json").json
    left_out = {Path(file).name for each in planned["left_out"]["content"] for file in each["files"]}
    below = sum(each["count"] for each in planned["left_out"]["content"] if "subfolders" in each["why"])
    assert left_out == {Path(name).name for name in OTHERS if name != "2019/photo.jpg"} and below == 1
    assert {Path(each["path"]).name for each in planned["unusable"]} == set(BROKEN)
    assert all(each["problem"] for each in planned["unusable"])
    assert planned["tasks"] == len(KINDS) + 2 + len(BROKEN)
    ended = here("run", pipeline, "--inline", "--json")
    assert (ended.json["rendered"], ended.json["failed"]) == (len(KINDS) + 2, len(BROKEN)), ended.err
    wrong = [
        kind.what
        for number, kind in enumerate(KINDS)
        if apart(np.asarray(Image.open(tmp_path / "out" / f"{number:02d}.png").convert("RGB")), kind) > NEAR
    ]
    assert not wrong
    text = here("plan", pipeline).err
    assert re.search(r"left out of content: .*1 \.dng.*1 in @eaDir", text)
