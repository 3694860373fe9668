"""WebP: chunks (RIFF) say whether the first frame fills the canvas, and hold orientation and colour profile."""

from __future__ import annotations

from collections.abc import Iterator

from imgcluster.images.containers.exif import orientation_of
from imgcluster.images.libraries import by_opencv, by_pillow, in_rgb_order
from imgcluster.images.stored import Alpha, Stored, Wanted

EXTENDED = b"VP8X"


def read(data: bytes, wanted: Wanted) -> Stored:
    """Decode the first frame of a WebP. Raises ImageError."""
    chunks = dict(_chunks(data)) if data[12:16] == EXTENDED else {}
    frame = chunks.get(b"ANMF")
    if frame is not None and _size_of(frame, 6) != _size_of(chunks[EXTENDED], 4):
        samples = by_pillow(data, "RGBA")
    else:
        samples = in_rgb_order(by_opencv(data))
    exif = chunks.get(b"EXIF")
    return Stored(
        samples,
        Alpha.STRAIGHT if samples.shape[2:] == (4,) else Alpha.NONE,
        icc=chunks.get(b"ICCP") if wanted.reading.color == "managed" else None,
        orientation=1 if exif is None else orientation_of(exif),
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and content of chunks, the last one of each name first, so that in a dict the first one stays."""
    found, at = [], 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        name = data[at : at + 4]
        found.append((name, data[at + 8 : at + 8 + (16 if name == b"ANMF" else size)]))
        at += 8 + size + size % 2
    return reversed(found)


def _size_of(chunk: bytes, at: int) -> bytes:
    return chunk[at : at + 6]
