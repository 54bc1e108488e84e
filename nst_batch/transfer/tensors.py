"""Pixels to tensors."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nst_batch.transfer.images import FULL, Decoded, Pixels, three_dimensions


def to_tensor(picture: Decoded, width: int, height: int, crop: bool = False) -> Tensor:
    """1x3xHxW float32 in [0, 1], resized by Lanczos where the size differs.

    Args:
        picture: decoded.
        width, height: in pixels.
        crop: keep proportions and cut off what does not fit, at both ends; otherwise the picture is stretched.
    """
    return _resized(picture.pixels, width, height, crop)


def alpha_tensor(picture: Decoded, width: int, height: int, crop: bool = False) -> Tensor | None:
    """1x1xHxW float32 in [0, 1], or None when nothing is transparent; arguments as for ``to_tensor``."""
    return None if picture.alpha is None else _resized(picture.alpha[..., None], width, height, crop)


def _resized(values: Pixels, width: int, height: int, crop: bool) -> Tensor:
    full, box = FULL[values.dtype], crop_box(values.shape[1], values.shape[0], width, height, crop)
    if values.shape[:2] != (height, width):
        resample = Image.Resampling.LANCZOS
        if values.dtype == np.uint8:
            image = Image.fromarray(values if values.shape[2] == 3 else values[..., 0])
            values = three_dimensions(np.asarray(image.resize((width, height), resample, box=box)))
        else:
            channels = [Image.fromarray(values[..., channel].astype(np.float32)) for channel in range(values.shape[2])]
            resized = [np.asarray(channel.resize((width, height), resample, box=box)) for channel in channels]
            values = np.stack(resized, -1).clip(0, full)
    scaled = torch.from_numpy(values.astype(np.float32)).div_(full)
    return scaled.permute(2, 0, 1)[None].contiguous()


def crop_box(width: int, height: int, new_width: int, new_height: int, crop: bool) -> tuple[float, float, float, float]:
    """What is kept, (left, top, right, bottom): all, or the largest centred part with the new proportions."""
    if not crop:
        return 0, 0, width, height
    kept_width = min(width, height * new_width / new_height)
    kept_height = min(height, width * new_height / new_width)
    left, top = (width - kept_width) / 2, (height - kept_height) / 2
    return left, top, left + kept_width, top + kept_height
