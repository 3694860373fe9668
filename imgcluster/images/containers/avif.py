"""AVIF by Pillow, which brings any depth to 8 bits and reports rotation and mirroring as EXIF's orientation."""

from __future__ import annotations

import numpy as np
from PIL import features

from imgcluster.errors import ImageError
from imgcluster.images.containers.exif import ORIENTATION
from imgcluster.images.headers import Size
from imgcluster.images.libraries import opened
from imgcluster.images.limits import check_size
from imgcluster.images.refusals import CONVERT
from imgcluster.images.stored import Alpha, Stored, Wanted


def read(data: bytes, wanted: Wanted) -> Stored:
    """Decode the first picture of an AVIF. Raises ImageError."""
    if not features.check("avif"):
        raise ImageError(f'AVIF: not read by this Pillow; pip install "pillow>=11.3", or {CONVERT}')
    with opened(data) as image:
        check_size(Size(image.height, image.width, len(image.getbands())))
        return Stored(
            np.asarray(image),
            Alpha.STRAIGHT if image.mode == "RGBA" else Alpha.NONE,
            icc=image.info.get("icc_profile") if wanted.reading.color == "managed" else None,
            orientation=image.getexif().get(ORIENTATION, 1),
        )
