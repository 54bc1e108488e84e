"""A picture whose every turn and flip shows, and how far apart colours are: for tests of images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]

QUADRANTS = np.array([[[200, 60, 50], [60, 170, 80]], [[50, 80, 190], [220, 200, 70]]])  # red, green; blue, yellow
TURNS = {  # EXIF orientation to how the stored picture is made from the upright one
    1: lambda v: v,
    2: lambda v: v[:, ::-1],
    3: lambda v: v[::-1, ::-1],
    4: lambda v: v[::-1],
    5: lambda v: v.swapaxes(0, 1),
    6: lambda v: v.swapaxes(0, 1)[::-1],
    7: lambda v: v.swapaxes(0, 1)[::-1, ::-1],
    8: lambda v: v.swapaxes(0, 1)[:, ::-1],
}


def quadrants(dtype: str = "uint8") -> Values:
    """32 rows, 48 columns, four colours; HxWx3."""
    values = QUADRANTS.repeat(16, 0).repeat(24, 1)
    return (values * 257).astype(np.uint16) if dtype == "uint16" else values.astype(np.uint8)


def lab(rgb: Values) -> Values:
    """CIE L*a*b* (D65) of sRGB in [0, 1]."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ matrix.T / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), xyz * 24389 / 27 / 116 + 16 / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def apart(one: Values, other: Values) -> float:
    """Largest CIE76 difference of two sRGB pictures in [0, 1]; 2.3 is just visible."""
    return float(np.linalg.norm(lab(one) - lab(other), axis=-1).max())


def halves(full: int, dtype: str) -> Values:
    """Alpha: opaque at the left, half at the right."""
    alpha = np.full((32, 48, 1), full)
    alpha[:, 24:] = full // 2
    return alpha.astype(dtype)
