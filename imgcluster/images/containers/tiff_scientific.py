"""TIFF by tifffile and imagecodecs, the extra `scientific`: what OpenCV and Pillow lack."""

from __future__ import annotations

import logging
from io import BytesIO
from typing import Any

import numpy as np

from imgcluster.errors import ImageError
from imgcluster.images.containers.tiff_header import COMPRESSIONS, FLOAT, INKS, PALETTE, PHOTOMETRICS, YCBCR, Page
from imgcluster.images.damage import why_undecodable
from imgcluster.images.headers import DAMAGE, tiff_parts
from imgcluster.images.refusals import SCIENTIFIC, needs, not_read

JPEG_LIKE = (7, 33_003, 33_005, 34_712, 50_001, 50_002, 52_546)  # compressions of which the decoders return RGB
CODEC_ERRORS = (RuntimeError, MemoryError)  # of imagecodecs; MemoryError: of sizes within what is compressed


def by_tifffile(data: bytes, page: Page, why: str = "") -> np.ndarray:
    """Return the samples of the first page, (height, width[, samples]).

    why: what others do not read, where the page itself does not tell. Raises ImageError.
    """
    if not _has_all_parts(data):
        raise ImageError(why_undecodable(data))
    if page.format > FLOAT or page.photometric in PHOTOMETRICS or page.compression not in COMPRESSIONS:
        raise ImageError(not_read(str(page)))
    if page.photometric == YCBCR and page.compression not in JPEG_LIKE:
        raise ImageError(not_read(f"{page}, YCbCr"))
    try:
        import imagecodecs  # noqa: F401 (tifffile needs it of most compressions, and would say so file by file)
        import tifffile
    except ImportError:
        raise ImageError(needs(", ".join(filter(None, (str(page), why))), SCIENTIFIC)) from None
    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)  # it tells of each damaged tag; the reason is ours
    try:
        with tifffile.TiffFile(BytesIO(data)) as file:
            return _samples(file.pages[0], page)
    except NotImplementedError:
        raise ImageError(not_read(str(page))) from None
    except (tifffile.TiffFileError, *CODEC_ERRORS, ZeroDivisionError, *DAMAGE):
        raise ImageError(why_undecodable(data)) from None


def _samples(tifffile_page: Any, page: Page) -> np.ndarray:
    samples = np.asarray(tifffile_page.asarray())
    if samples.dtype == bool:
        samples = samples.astype(np.uint8)
    if page.photometric == PALETTE:
        colours = np.moveaxis(tifffile_page.colormap[:, samples.reshape(page.height, page.width)], 0, -1)
        return np.asarray(colours >> 8, np.uint8)  # a palette has 16 bits, of which the lower 8 repeat the upper
    if page.photometric == INKS and samples.dtype == np.uint16:
        samples = ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if page.is_apart:
        return np.moveaxis(samples.reshape(page.samples, page.height, page.width), 0, -1)
    return samples.reshape(page.height, page.width, page.samples)


def _has_all_parts(data: bytes) -> bool:
    """Tell whether all strips or tiles lie within the file; tifffile would leave those that do not black."""
    return all(offset + length <= len(data) for offset, length in zip(*tiff_parts(data), strict=True))
