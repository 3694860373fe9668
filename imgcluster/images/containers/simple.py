"""Formats that Pillow reads rightly: icons, PCX, QOI, Sun raster."""

from __future__ import annotations

import numpy as np

from imgcluster.images.headers import Size
from imgcluster.images.libraries import opened
from imgcluster.images.limits import check_size
from imgcluster.images.stored import Alpha, Decoder, Stored, Wanted


def reader(format: str) -> Decoder:
    """Return the decoder of one of Pillow's formats; of an icon, it decodes the largest picture."""

    def read(data: bytes, _: Wanted) -> Stored:
        with opened(data, format) as image:
            check_size(Size(image.height, image.width, 4))
            if image.has_transparency_data:
                return Stored(np.asarray(image.convert("RGBA")), Alpha.STRAIGHT)
            return Stored(np.asarray(image.convert("RGB")))

    return read
