"""The orientation in a block of EXIF."""

from __future__ import annotations

from PIL import Image

ORIENTATION = 0x0112
DAMAGE = (OSError, ValueError, SyntaxError, KeyError, TypeError)


def orientation_of(exif: bytes) -> int:
    """Return the orientation, 1 to 8; 1 where the block says none, or is damaged: the pixels are not."""
    block = Image.Exif()
    try:
        block.load(exif)
        value = block.get(ORIENTATION)
    except DAMAGE:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
