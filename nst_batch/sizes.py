"""The size rule: from a picture's size in its file to the size it is rendered at.

Apart from ``transfer.images``, since planning needs it too, and planning never imports torch.
"""

from __future__ import annotations

from nst_batch.records import TransferSettings


def target_size(width: int, height: int, settings: TransferSettings) -> tuple[int, int]:
    """(width, height) in pixels after ``size``, ``fit`` and ``upscale``; proportions are kept to the nearest pixel."""
    if settings.fit == "native":
        return width, height
    scale = settings.size / (max(width, height) if settings.fit == "long" else min(width, height))
    if scale > 1 and not settings.upscale:
        return width, height
    return max(1, round(width * scale)), max(1, round(height * scale))
