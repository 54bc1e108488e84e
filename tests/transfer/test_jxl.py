"""Sizes of JPEG XL pictures by their headers, as two encoders write them."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from nst_batch.transfer import jxl
from nst_batch.transfer.images import _formats, size_of

SIZES = [
    *((16, 16), (8, 8), (256, 256), (257, 16), (16, 257), (640, 480), (120, 100), (1920, 1080), (300, 200), (250, 200)),
    *((200, 100), (513, 1), (1, 1), (9000, 3)),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("container", [False, True])
def test_the_size_is_that_of_what_is_decoded(size: tuple[int, int], container: bool) -> None:
    width, height = size
    values = np.zeros((height, width, 3), np.uint8)
    data = bytes(imagecodecs.jpegxl_encode(values, usecontainer=container, lossless=True))
    assert jxl.is_jxl(data) and jxl.size_of(data) == size_of(io.BytesIO(data)) == size


def test_what_pillow_s_plugin_writes_has_its_size(tmp_path: object) -> None:
    _formats(more=True)
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.new("RGB", (64, 48)).save(buffer, "JXL", exif=exif.tobytes())
    assert jxl.size_of(buffer.getvalue()) == (64, 48)


@pytest.mark.parametrize("data", [b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(90)])
def test_a_header_that_ends_too_soon_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="JPEG XL"):
        jxl.size_of(data)
