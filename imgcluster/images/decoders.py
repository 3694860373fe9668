"""The table of decoders: which kinds of files are read as images, and by what."""

from __future__ import annotations

from imgcluster.errors import ImageError
from imgcluster.images.containers import (
    avif,
    bmp,
    dicom,
    gif,
    heif,
    jpeg,
    jpeg2000,
    jpegxl,
    png,
    pnm,
    raw,
    simple,
    tiff,
    webp,
)
from imgcluster.images.damage import why_undecodable
from imgcluster.images.extras import RAW, RAWS
from imgcluster.images.file_kinds import kind_of
from imgcluster.images.headers import DAMAGE
from imgcluster.images.stored import Decoder, Stored, Wanted

# By the names that `kind_of` gives. What is not here reaches no decoder, whatever libraries could make of it.
DECODERS: dict[str, Decoder] = {
    "JPEG": jpeg.read,
    "PNG": png.read,
    "WebP": webp.read,
    "TIFF": tiff.read,
    "GIF": gif.read,
    "BMP": bmp.read,
    "PNM": pnm.read,
    "JPEG 2000": jpeg2000.read,
    "HEIC": heif.read,
    "JPEG XL": jpegxl.read,
    "DICOM": dicom.read,
    **dict.fromkeys(RAWS, raw.read),
    "ICO": simple.reader("ICO"),
    "PCX": simple.reader("PCX"),
    "QOI": simple.reader("QOI"),
    "Sun raster": simple.reader("SUN"),
    "AVIF": avif.read,
}


def decode(data: bytes, wanted: Wanted) -> Stored:
    """Decode the bytes of one image file by its kind.

    Raises:
        ImageError: It is of no kind that is read, is damaged, or holds what is not read.
    """
    kind = kind_of(data)
    decoder = DECODERS.get(RAW if kind == "TIFF" and raw.is_raw(data) else kind or "")
    if decoder is None:
        raise ImageError(why_undecodable(data))
    try:
        return decoder(data, wanted)
    except DAMAGE:  # the header does not hold together
        raise ImageError(why_undecodable(data)) from None
