"""Square pictures to measure with: crops of the project's samples, or of a user's own folders."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

DATA = Path(__file__).resolve().parent.parent / "data"
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}


def squares(folder: Path, size: int, count: int) -> list[Image.Image]:
    """``count`` RGB pictures of size x size pixels; where a folder has fewer, further ones are crops of its own."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise SystemExit(f"{folder}: no pictures")
    found = []
    for place in range(count):
        image = ImageOps.exif_transpose(Image.open(files[place % len(files)])).convert("RGB")
        if turn := place // len(files):  # two thirds of it, here and there
            width, height = round(image.width * 2 / 3), round(image.height * 2 / 3)
            left = round((image.width - width) * (0.618 * turn % 1))
            top = round((image.height - height) * (0.755 * turn % 1))
            image = image.crop((left, top, left + width, top + height))
        found.append(ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS))
    return found


def tensor(image: Image.Image) -> Tensor:
    """1x3xHxW float32 in [0, 1]."""
    values: Tensor = pil_to_tensor(image)
    return values.float().div(255)[None].contiguous()
