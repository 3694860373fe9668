"""HEIC, with HEVC inside: depth, turns, opacity and colour profile of the primary image.

The decoder turns it upright by the properties `irot` and `imir`; an orientation in its EXIF repeats these, or is one
that viewers ignore (ISO/IEC 23008-12:2022, 6.5.10).
"""

from __future__ import annotations

from importlib import import_module
from io import BytesIO
from typing import Any

import numpy as np

from imgcluster.errors import ImageError
from imgcluster.images.containers.cicp import Coding, to_srgb
from imgcluster.images.containers.jpeg2000 import boxes
from imgcluster.images.damage import why_undecodable
from imgcluster.images.extras import FORMATS, extra_of
from imgcluster.images.headers import Size
from imgcluster.images.limits import check_size
from imgcluster.images.refusals import needs
from imgcluster.images.stored import Alpha, Stored, Wanted

ERRORS = (ValueError, EOFError, OSError, RuntimeError, SyntaxError, LookupError, MemoryError)
ALPHA = {"A": Alpha.STRAIGHT, "a": Alpha.MULTIPLIED}  # by the end of a mode's name


def read(data: bytes, wanted: Wanted) -> Stored:
    """Decode the primary image of a HEIC. Raises ImageError."""
    library = _library()
    try:
        _check_items(data)
        file = library.open_heif(BytesIO(data), convert_hdr_to_8bit=False)
        image = file[file.primary_index]
        width, height = image.size
        mode = image.mode.partition(";")[0]
        bits = int(image.info["bit_depth"])
        check_size(Size(height, width, len(mode) * (1 if bits == 8 else 2)))
        samples = np.array(image)  # decodes it; a copy, since some versions free the pixels with the image
    except ERRORS:
        raise ImageError(why_undecodable(data)) from None
    icc = image.info.get("icc_profile")
    white = None if bits == 8 else (2**bits - 1) << (16 - bits)  # the decoder moves fewer bits to the upper end
    stored = Stored(samples, ALPHA.get(mode[-1], Alpha.NONE), white, icc)
    coding = image.info.get("nclx_profile")
    if icc or not coding:
        return stored
    points = Coding(int(coding["color_primaries"]), int(coding["transfer_characteristics"]))
    return to_srgb(stored, points, wanted.reading)


def _check_items(data: bytes) -> None:
    """Raise ValueError where types and names of items are no UTF-8 (ISO/IEC 14496-12, 8.11.6).

    What the standard rules out does not reach the decoder, which is written in C.
    """
    for box, at, end in boxes(data, 0, len(data)):
        for inner, start, stop in boxes(data, at + 4, end) if box == b"meta" else ():
            if inner == b"iinf":
                for _, item, finish in boxes(data, start + (8 if data[start] else 6), stop):
                    data[item + 8 : finish].decode()  # behind version, flags, number and protection


def _library() -> Any:
    extra = extra_of("HEIC")
    if extra is None or extra.module is None:
        raise ImageError(needs("HEIC", FORMATS))
    return import_module(extra.module)
