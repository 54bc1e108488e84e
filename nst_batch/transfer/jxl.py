"""The size of a JPEG XL picture by its header (ISO/IEC 18181-1, annex D): its decoder tells it with all pixels only."""

from __future__ import annotations

_CODESTREAM, _CONTAINER = b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_BITS = (9, 13, 18, 30)  # of a size


def is_jxl(head: bytes) -> bool:
    """By its first twelve bytes."""
    return head.startswith((_CODESTREAM, _CONTAINER))


def size_of(data: bytes) -> tuple[int, int]:
    """(width, height), upright.

    Args:
        data: the file, or as much of it as has the codestream's head.

    Raises:
        ValueError: there is none.
    """
    bits = _Bits(_codestream(data))
    small = bits.take(1)
    height = 8 * (1 + bits.take(5)) if small else 1 + bits.take(_BITS[bits.take(2)])
    ratio = bits.take(3)
    if ratio:
        width = height * _RATIOS[ratio][0] // _RATIOS[ratio][1]
    else:
        width = 8 * (1 + bits.take(5)) if small else 1 + bits.take(_BITS[bits.take(2)])
    all_default, extra_fields = bits.take(1), bits.take(1)
    orientation = 1 + bits.take(3) if not all_default and extra_fields else 1
    return (height, width) if orientation >= 5 else (width, height)


def _codestream(data: bytes) -> bytes:
    if data.startswith(_CODESTREAM):
        return data[2:66]
    at = 0
    while at + 16 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        begin = at + 8
        if length == 1:
            length, begin = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        if kind in (b"jxlc", b"jxlp"):
            begin += 4 * (kind == b"jxlp")  # the part's number
            if data[begin : begin + 2] == _CODESTREAM:
                return data[begin + 2 : begin + 66]
        if length < 8:
            break
        at += length
    raise ValueError("no JPEG XL codestream where one should be")


class _Bits:
    """Bits of a codestream, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._number = int.from_bytes(data, "little")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        """The next ones."""
        self._left -= count
        if self._left < 0:
            raise ValueError("a JPEG XL header that ends too soon")
        value = self._number & ((1 << count) - 1)
        self._number >>= count
        return value
