"""AVIF by Pillow, which brings any depth to 8 bits and reports rotation and mirroring as EXIF's orientation."""

from __future__ import annotations

import struct

import numpy as np
from PIL import features

from imgcluster.errors import ImageError
from imgcluster.images.containers.cicp import Coding, to_srgb
from imgcluster.images.containers.exif import ORIENTATION
from imgcluster.images.containers.jpeg2000 import boxes
from imgcluster.images.headers import Size
from imgcluster.images.libraries import opened
from imgcluster.images.limits import check_size
from imgcluster.images.refusals import CONVERT
from imgcluster.images.stored import Alpha, Stored, Wanted

META_VERSION_BYTES = 4  # before the boxes in one of this type (ISO/IEC 14496-12, 8.11.1)
CODE_POINTS = b"nclx"


def read(data: bytes, wanted: Wanted) -> Stored:
    """Decode the first picture of an AVIF. Raises ImageError."""
    if not features.check("avif"):
        raise ImageError(f'AVIF: not read by this Pillow; pip install "pillow>=11.3", or {CONVERT}')
    with opened(data) as image:
        check_size(Size(image.height, image.width, len(image.getbands())))
        stored = Stored(
            np.asarray(image),
            Alpha.STRAIGHT if image.mode == "RGBA" else Alpha.NONE,
            icc=image.info.get("icc_profile") if wanted.reading.color == "managed" else None,
            orientation=image.getexif().get(ORIENTATION, 1),
        )
    coding = None if stored.icc else coding_of(data)
    return stored if coding is None else to_srgb(stored, coding, wanted.reading)


def coding_of(data: bytes) -> Coding | None:
    """Return the code points of the first picture's colours (ISO/IEC 14496-12, 12.1.5); None where it has none."""
    for name, at, end in _boxes_in(data, (b"meta", b"iprp", b"ipco"), 0, len(data)):
        if name == b"colr" and data.startswith(CODE_POINTS, at) and at + 8 <= end:
            return Coding(*struct.unpack_from(">HH", data, at + len(CODE_POINTS)))
    return None


def _boxes_in(data: bytes, path: tuple[bytes, ...], at: int, end: int) -> list[tuple[bytes, int, int]]:
    """Return the boxes in the box that a path of types leads to; none where there is no such box."""
    found = list(boxes(data, at, end))
    if not path:
        return found
    inner = next(((start, stop) for name, start, stop in found if name == path[0]), None)
    if inner is None:
        return []
    return _boxes_in(data, path[1:], inner[0] + (META_VERSION_BYTES if path[0] == b"meta" else 0), inner[1])
