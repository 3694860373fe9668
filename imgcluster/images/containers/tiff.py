"""TIFF: the tags say which decoder is right, and what its samples mean.

OpenCV reads what is common. Known faults of it (5.0.0) are kept away from it: it leaves planes of more than 8 bits as
they lie in memory, mirrors each tile in its place, shows one of several MinIsBlack bands, and returns black for
compressions that it lacks. Pillow reads more compressions and depths, of up to 8 bits; tifffile, an extra, the rest.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from imgcluster.errors import ImageError
from imgcluster.images.color import from_lab
from imgcluster.images.containers import tiff_header as tag
from imgcluster.images.containers.tiff_header import Page, edited, read_page
from imgcluster.images.containers.tiff_scientific import by_tifffile
from imgcluster.images.headers import tiff_parts
from imgcluster.images.libraries import by_opencv, by_pillow, in_rgb_order, opened
from imgcluster.images.opencv import cv2
from imgcluster.images.stored import Alpha, Stored, Wanted

PILLOW_COMPRESSIONS = tag.COMMON | {34_925, 50_000}
OPENCV_SAMPLES = (1, 3, 4)
# Bits and formats of the samples that OpenCV returns as they are stored.
OPENCV_DEEP = {
    (16, tag.UNSIGNED),
    (16, tag.SIGNED),
    (8, tag.SIGNED),
    *((32, each) for each in (1, 2, 3)),
    (64, tag.FLOAT),
}
PACKED_BITS = (10, 12, 14)
PLAIN = (tag.WHITE_IS_ZERO, tag.BLACK_IS_ZERO, tag.RGB)
PILLOW_MODES = {
    "1": "L",
    "P": "RGB",
    "PA": "RGBA",
    "RGBX": "RGB",
    "RGBa": "RGBA",
    "La": "LA",
    "YCbCr": "RGB",
    "LAB": "RGB",
}
SMALL_TILES = "small tiles"
MEANINGS = {tag.ASSOCIATED: Alpha.MULTIPLIED, tag.UNASSOCIATED: Alpha.STRAIGHT}


def read(data: bytes, wanted: Wanted) -> Stored:
    """Decode the first page of a TIFF. Raises ImageError, and one of `headers.DAMAGE` where it is damaged."""
    page = read_page(data)
    if page.orientation != 1:  # it is turned afterwards: OpenCV mirrors each tile
        data = edited(data, {tag.ORIENTATION: (1,)})
    is_managed = wanted.reading.color == "managed"
    all_bands = wanted.reading.bands is not None
    if page.photometric == tag.INKS and page.bits == 8 and page.samples == 4:
        return _inks(data, page, is_managed)
    if _is_deep(page):
        return _deep_or_small(data, page, is_managed, all_bands)
    if _is_packed(page):
        return _described(_deep(data, page) >> (16 - page.bits), page, is_managed, all_bands)
    if _is_common(page):
        return _common(data, page, is_managed, all_bands)
    if _pillow_reads(page) and not all_bands:
        return _by_pillow(data, page, is_managed)
    return _scientific(data, page, is_managed, all_bands)


def _scientific(data: bytes, page: Page, is_managed: bool, all_bands: bool, why: str = "") -> Stored:
    """Decode what only the extra reads. why: as for `by_tifffile`."""
    return replace(_described(by_tifffile(data, page, why), page, is_managed, all_bands), is_scientific=True)


def _is_deep(page: Page) -> bool:
    return (
        ((page.bits, page.format) in OPENCV_DEEP or (_is_bytes(page) and page.is_apart))
        and page.compression in tag.COMMON
        and page.photometric in PLAIN
        and (page.is_apart or page.samples in OPENCV_SAMPLES)
    )


def _is_bytes(page: Page) -> bool:
    return page.bits == 8 and page.format == tag.UNSIGNED and page.compression != tag.JPEG


def _is_packed(page: Page) -> bool:
    """Tell whether OpenCV unpacks the samples, into the upper bits of 16."""
    return (
        page.bits in PACKED_BITS
        and page.format == tag.UNSIGNED
        and page.compression in tag.COMMON
        and page.photometric in PLAIN
        and page.samples in OPENCV_SAMPLES
        and not page.is_apart
    )


def _is_common(page: Page) -> bool:
    usual_bits = page.bits == 8 or (page.bits == 1 and page.photometric in (tag.WHITE_IS_ZERO, tag.BLACK_IS_ZERO))
    return (
        usual_bits
        and page.format == tag.UNSIGNED
        and page.compression in tag.COMMON
        and page.photometric in (*PLAIN, tag.PALETTE, tag.YCBCR)
        and page.samples in OPENCV_SAMPLES
    )


def _pillow_reads(page: Page) -> bool:
    bands = page.samples - len(page.extra)
    greys = page.samples <= 2 and bands == 1 and page.photometric in (tag.WHITE_IS_ZERO, tag.BLACK_IS_ZERO, tag.PALETTE)
    colours = page.samples <= 6 and bands == 3 and page.photometric in (tag.RGB, tag.YCBCR, tag.LAB)
    return (
        (page.bits <= 8 or (page.bits == 16 and page.samples == 1))
        and page.format == tag.UNSIGNED
        and page.compression in PILLOW_COMPRESSIONS
        and (greys or colours)
        and not page.is_big_endian_big  # it looks for BigTIFF's mark in the other order
        and not any(page.extra[1:])  # the opacity comes first
    )


def _deep(data: bytes, page: Page) -> np.ndarray:
    """Return samples as they are stored; of planes apart, each is read as a grey picture of its own."""
    if not page.is_apart:
        return in_rgb_order(by_opencv(_as_stored(data, page)))
    offsets, lengths = tiff_parts(data)
    grey = {tag.SAMPLES: (1,), tag.BITS: (page.bits,), tag.SAMPLE_FORMAT: (page.format,), tag.PHOTOMETRIC: (1,)}
    in_offsets, in_lengths = tag.TILES if page.is_tiled else tag.STRIPS
    count = len(offsets) // page.samples
    planes = []
    for start in range(0, count * page.samples, count):
        part = slice(start, start + count)
        parts = {in_offsets: offsets[part], in_lengths: lengths[part]}
        planes.append(by_opencv(edited(data, {**grey, **parts, tag.PLANES: (1,), tag.EXTRA_SAMPLES: (0,)})))
    return np.stack(planes, axis=-1)


def _deep_or_small(data: bytes, page: Page, is_managed: bool, all_bands: bool) -> Stored:
    """Decode as `_deep` does, by tifffile where the tiles are too small for OpenCV: of less than a kilobyte."""
    try:
        return _described(_deep(data, page), page, is_managed, all_bands)
    except ImageError:
        if not _may_have_small_tiles(page):
            raise
        return _scientific(data, page, is_managed, all_bands, SMALL_TILES)


def _may_have_small_tiles(page: Page) -> bool:
    return page.is_tiled and page.compression == 1


def _as_stored(data: bytes, page: Page) -> bytes:
    """Return a TIFF as one that OpenCV hands out as it is stored: RGB, or grey of which black is zero."""
    photometric = tag.BLACK_IS_ZERO if page.samples == 1 else tag.RGB
    extra = () if page.samples < 4 else (0,)
    changes: dict[int, tuple[int, ...]] = {}
    if page.photometric != photometric:
        changes[tag.PHOTOMETRIC] = (photometric,)
    if page.extra not in ((), extra):
        changes[tag.EXTRA_SAMPLES] = extra
    return edited(data, changes) if changes else data


def _described(samples: np.ndarray, page: Page, is_managed: bool, all_bands: bool) -> Stored:
    alpha, colours = _alpha(page), page.samples - len(page.extra)
    if alpha is Alpha.NONE and not all_bands and colours > 0:
        for at, kind in enumerate(page.extra, colours):
            if kind in MEANINGS:  # the opacity, with bands behind it
                alpha = MEANINGS[kind]
                samples = np.concatenate([np.delete(samples, at, axis=2), samples[..., at : at + 1]], axis=2)
                break
    return Stored(
        samples,
        alpha,
        white=2**page.bits - 1 if page.format == tag.UNSIGNED and page.bits < 16 else None,
        icc=page.icc if is_managed else None,
        orientation=page.orientation,
        inks=page.photometric == tag.INKS,
        white_is_zero=page.photometric == tag.WHITE_IS_ZERO,
        nodata=page.nodata,
    )


def _alpha(page: Page) -> Alpha:
    return MEANINGS.get(page.extra[-1], Alpha.NONE) if page.extra else Alpha.NONE


def _common(data: bytes, page: Page, is_managed: bool, all_bands: bool) -> Stored:
    """Decode samples of 8 bits or 1, which libtiff turns into grey or RGB; it multiplies colours by their opacity."""
    alpha = Alpha.NONE if _alpha(page) is Alpha.NONE or page.samples != 4 or all_bands else Alpha.MULTIPLIED
    if page.samples > 1 and page.photometric in PLAIN and alpha is Alpha.NONE:
        data = _as_stored(data, page)
    try:
        samples = in_rgb_order(by_opencv(data))
    except ImageError:
        if not _may_have_small_tiles(page):
            raise
        if _pillow_reads(page):
            return _by_pillow(data, page, is_managed)
        return _scientific(data, page, is_managed, all_bands, SMALL_TILES)
    return Stored(samples, alpha, icc=page.icc if is_managed else None, orientation=page.orientation)


def _inks(data: bytes, page: Page, is_managed: bool) -> Stored:
    """Decode CMYK: by libtiff without a profile, which Pillow's values are for."""
    if is_managed and page.icc and page.compression in PILLOW_COMPRESSIONS:
        return Stored(by_pillow(data, "CMYK"), icc=page.icc, orientation=page.orientation, inks=True)
    if page.compression in tag.COMMON:
        return Stored(in_rgb_order(by_opencv(data, cv2.IMREAD_COLOR)), orientation=page.orientation)
    return _scientific(data, page, is_managed, all_bands=False)


def _by_pillow(data: bytes, page: Page, is_managed: bool) -> Stored:
    with opened(data) as image:
        image.load()
        mode = PILLOW_MODES.get(image.mode, image.mode)
        shown = from_lab(image) if image.mode == "LAB" else image
        samples = np.asarray(shown if mode == shown.mode else shown.convert(mode))
    return Stored(
        samples,
        Alpha.STRAIGHT if mode in ("LA", "RGBA") else Alpha.NONE,
        icc=page.icc if is_managed else None,
        orientation=page.orientation,
        white_is_zero=page.bits == 16 and page.photometric == tag.WHITE_IS_ZERO,
        nodata=page.nodata,
    )
