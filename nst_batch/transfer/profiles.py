"""What the values of a picture file mean, and the same colours in sRGB. By littleCMS, in 8 and in 16 bits."""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[Any]  # HxWxC, uint8 or uint16

_SPACES = {b"RGB ": "rgb", b"GRAY": "gray", b"CMYK": "cmyk", b"Lab ": "lab"}
_CHANNELS = {"rgb": 3, "gray": 1, "cmyk": 4, "lab": 3}
_SPACE_AT = slice(16, 20)  # of an ICC profile's header: ICC.1:2022, 7.2
_INTENT, _FLAGS = 1, 0x2000  # relative colorimetric, with black point compensation
_NEAR = 1  # of 255: what rounding does

# ITU-T H.273, tables 2 and 3: (x, y) of red, green, blue and white.
_D65 = (0.3127, 0.3290)
_PRIMARIES = {
    1: (0.640, 0.330, 0.300, 0.600, 0.150, 0.060, *_D65),
    5: (0.640, 0.330, 0.290, 0.600, 0.150, 0.060, *_D65),
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65),
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351),
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *_D65),
}
_SRGB_CURVES = (1, 2, 6, 13, 14, 15)  # video's, too, as browsers have it
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
_HDR = {16: "PQ", 18: "HLG"}

_GAMMA_SLACK = 0.05  # libpng's PNG_GAMMA_THRESHOLD: a gamma of 1 / 2.2 means sRGB


class Meaning(NamedTuple):
    """Of a file's values: an ICC profile, or none where they are sRGB; and what a user should know."""

    profile: bytes | None = None
    note: str = ""


LAB = bytes(imagecodecs.cms_profile("lab2"))
"""The profile of L*a*b* as ICC's version 4 has it, in 16 bits."""


def space_of(profile: bytes) -> str:
    """What the channels of a profile are: ``rgb``, ``gray``, ``cmyk``, ``lab``; empty for others."""
    return _SPACES.get(profile[_SPACE_AT], "")


def in_srgb(values: Pixels, meaning: Meaning) -> tuple[Pixels, tuple[str, ...]]:
    """HxWx3 of the same type, and what a user should know.

    Args:
        values: HxWxC: grey, RGB, CMYK (255, or 65535, is all ink), or what the profile is for.
        meaning: of them.
    """
    notes, profile = tuple(filter(None, [meaning.note])), meaning.profile
    if profile and not is_srgb(profile):
        is_grey = values.shape[2] == 1 and space_of(profile) == "rgb"
        try:
            return to_srgb(values.repeat(3, 2) if is_grey else values, profile), notes
        except ValueError:
            notes = (*notes, "its colour profile is broken; read as sRGB")
    if values.shape[2] == 4:
        most = int(np.iinfo(values.dtype).max)
        light = (most - values[..., :3].astype(np.uint32)) * (most - values[..., 3:].astype(np.uint32))
        return ((light + most // 2) // most).astype(values.dtype), notes
    return (values.repeat(3, 2) if values.shape[2] == 1 else values), notes


@functools.lru_cache(16)
def is_srgb(profile: bytes) -> bool:
    """Whether colours stay what they are, but for rounding, which converting them would cost. By what it does with
    them: names of profiles lie (``sRGB-elle-V2-g10`` is linear)."""
    space = space_of(profile)
    if space not in ("rgb", "gray"):
        return False
    steps = np.arange(0, 256, 15).astype(np.uint8)
    values = np.stack(np.meshgrid(*[steps] * _CHANNELS[space], indexing="ij"), -1).reshape(1, -1, _CHANNELS[space])
    try:
        found = to_srgb(values, profile)
    except ValueError:
        return False
    return int(np.abs(found.astype(np.int16) - values).max()) <= _NEAR


def to_srgb(values: Pixels, profile: bytes) -> Pixels:
    """HxWx3 of the same type, by a profile whose channels ``values`` have.

    Raises:
        ValueError: the profile is broken, or another kind of profile.
    """
    space = space_of(profile)
    if _CHANNELS.get(space) != values.shape[2]:
        raise ValueError(f"a profile for {space or 'other'} values")
    try:
        found: Pixels = imagecodecs.cms_transform(
            np.ascontiguousarray(values[..., 0] if space == "gray" else values), profile, _srgb(), colorspace=space,
            outcolorspace="rgb", intent=_INTENT, flags=_FLAGS,
        )  # fmt: skip
    except Exception as error:
        raise ValueError(str(error)) from error
    return found.reshape(*values.shape[:2], 3)


@functools.cache
def _srgb() -> bytes:
    return bytes(imagecodecs.cms_profile("srgb"))


# --- without an ICC profile -------------------------------------------------------------------------------------------


def of_code_points(primaries: int, transfer: int) -> Meaning:
    """What coding-independent code points (ITU-T H.273) say: of PNG's ``cICP``, of AVIF's and HEIF's ``nclx``."""
    if transfer in _HDR:
        return Meaning(None, f"high dynamic range ({_HDR[transfer]}), read as if it were sRGB")
    if transfer not in (*_SRGB_CURVES, *_GAMMAS) or primaries not in (*_PRIMARIES, 2):
        return Meaning(None, f"colours by code points {primaries}/{transfer}, which are not known; read as sRGB")
    primaries = 1 if primaries == 2 else primaries
    if primaries == 1 and transfer in _SRGB_CURVES:
        return Meaning()
    return Meaning(_made(_PRIMARIES[primaries], _GAMMAS.get(transfer)))


def of_png(data: bytes, info: Mapping[Any, Any]) -> Meaning:
    """What chunks of a PNG say, the first of those that it has: ``cICP``, ``iCCP``, ``sRGB``, ``gAMA`` and ``cHRM``
    (PNG, third edition, 4.3).

    Args:
        data: the file.
        info: what Pillow found in it.
    """
    if points := _chunk(data, b"cICP"):
        return of_code_points(points[0], points[1])
    if profile := info.get("icc_profile"):
        return Meaning(profile)
    gamma, chromaticity = info.get("gamma"), info.get("chromaticity")
    if "srgb" in info or not (gamma or chromaticity):
        return Meaning()
    x_y = chromaticity or (*_D65, *_PRIMARIES[1][:6])  # white first
    primaries = (*x_y[2:], *x_y[:2])
    exponent = None if not gamma or abs(gamma * 2.2 - 1) <= _GAMMA_SLACK else 1 / gamma
    if exponent is None and np.allclose(primaries, _PRIMARIES[1], atol=0.002):
        return Meaning()
    return Meaning(_made(primaries, exponent))


def of_boxes(data: bytes, info: Mapping[Any, Any]) -> Meaning:
    """What an AVIF or HEIF file says: its ICC profile, or else its ``nclx`` code points."""
    if profile := info.get("icc_profile"):
        return Meaning(profile)
    at = data.find(b"colrnclx", 0, 1 << 16)  # a box of its head: ISO/IEC 14496-12, 12.1.5
    return of_code_points(*struct.unpack_from(">HH", data, at + 8)) if 0 <= at <= len(data) - 12 else Meaning()


def _chunk(data: bytes, kind: bytes) -> bytes:
    """What is in a PNG's chunk of this kind, before its pixels."""
    at = 8
    while at + 8 <= len(data) and data[at + 4 : at + 8] != b"IDAT":
        length = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == kind:
            return data[at + 8 : at + 8 + length]
        at += 12 + length
    return b""


def _made(primaries: tuple[float, ...], gamma: float | None) -> bytes | None:
    """An ICC profile; without a gamma, with sRGB's curve. None where there can be none."""
    x_y = np.reshape(primaries, (4, 2))
    primaries_and_1 = np.concatenate([x_y, np.ones((4, 1))], 1)
    curve = {"transferfunction": _srgb_curve()} if gamma is None else {"gamma": gamma}
    try:
        return bytes(
            imagecodecs.cms_profile(
                "rgb", whitepoint=tuple(primaries_and_1[3]), primaries=tuple(primaries_and_1[:3].ravel()), **curve
            )
        )
    except Exception:  # noqa: BLE001 - of chromaticities that are none
        return None


@functools.cache
def _srgb_curve() -> Pixels:
    """IEC 61966-2-1."""
    value = np.linspace(0, 1, 4096)
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)
