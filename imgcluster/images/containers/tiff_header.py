"""The first page of a TIFF: its tags, and the file with other values in them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from imgcluster.errors import ImageError
from imgcluster.images.headers import BIG_TIFF_ROOM, TIFF_PARTS, tiff_entries, tiff_tags
from imgcluster.images.refusals import not_read

# Tags of TIFF 6.0, and those of the ICC and of GDAL.
BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION = 258, 259, 262, 274
SAMPLES, PLANES, TILE_BYTES = 277, 284, 325
TILES, STRIPS = TIFF_PARTS
EXTRA_SAMPLES, SAMPLE_FORMAT, ICC, NODATA = 338, 339, 34_675, 42_113
WIDTH, HEIGHT = 256, 257
COMMON_TAGS = (WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION, SAMPLES, PLANES)
TAGS = frozenset((*COMMON_TAGS, EXTRA_SAMPLES, SAMPLE_FORMAT, ICC, NODATA, TILE_BYTES))
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, INKS, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
ASSOCIATED, UNASSOCIATED = 1, 2
APART = 2
BIG_ENDIAN_BIG_TIFF = b"MM\0+"
MAX_BITS = 128  # of a complex number
IGNORED = 337  # TargetPrinter, a text: what stands just before EXTRA_SAMPLES in order, and decoders do not use
LONG = 4  # the type of four bytes
COMPRESSIONS = {
    **{1: "", 2: "fax", 3: "fax", 4: "fax", 5: "LZW", 6: "old JPEG", 7: "JPEG", 8: "Deflate", 32_946: "Deflate"},
    **{32_773: "PackBits", 33_003: "JPEG 2000", 33_005: "JPEG 2000", 34_712: "JPEG 2000", 34_887: "LERC"},
    **{34_925: "LZMA", 50_000: "ZSTD", 50_001: "WebP", 50_002: "JPEG XL", 52_546: "JPEG XL", 34_676: "LogLuv"},
}
COMMON = frozenset((1, 2, 3, 4, 5, 6, 7, 8, 32_773, 32_946))  # compressions that OpenCV reads
JPEG = 7  # a compression
PHOTOMETRICS = {
    LAB: "CIELab",
    9: "ICCLab",
    10: "ITULab",
    32_803: "raw",
    32_844: "LogL",
    32_845: "LogLuv",
    34_892: "raw",
}
FORMATS = {SIGNED: "signed", FLOAT: "float", 5: "complex", 6: "complex"}


@dataclass(frozen=True)
class Page:
    """What the tags of a page say of its samples.

    extra: what those beside the colours are. is_big_endian_big: of a BigTIFF with the highest byte first.
    """

    height: int
    width: int
    bits: int
    samples: int
    format: int
    compression: int
    photometric: int
    extra: tuple[int, ...]
    is_apart: bool
    is_tiled: bool
    orientation: int
    icc: bytes | None
    nodata: float | None
    is_big_endian_big: bool = False

    def __str__(self) -> str:
        content = (
            "TIFF",
            f"{self.samples} sample{'s' * (self.samples != 1)} of {self.bits} bits",
            FORMATS.get(self.format, ""),
            PHOTOMETRICS.get(self.photometric, ""),
            COMPRESSIONS.get(self.compression, f"compression {self.compression}"),
            "planes apart" if self.is_apart else "",
            "big-endian BigTIFF" if self.is_big_endian_big else "",
        )
        return ", ".join(filter(None, content))


def read_page(data: bytes) -> Page:
    """Return what the first page says of itself.

    Raises:
        ImageError: Its samples are of several formats.
        ValueError: It is damaged; or another of `headers.DAMAGE`.
    """
    tags = tiff_tags(data, TAGS)

    def first(tag: int, otherwise: int) -> int:
        return int(tags.get(tag, (otherwise,))[0])

    bits, formats = {*tags.get(BITS, (1,))}, {*tags.get(SAMPLE_FORMAT, (UNSIGNED,))}
    samples = first(SAMPLES, 1)
    if len(bits) != 1 or len(formats) != 1:
        raise ImageError(not_read("TIFF with samples of several formats"))
    if samples < 1 or not 1 <= min(bits) <= MAX_BITS:
        raise ValueError(f"{samples} samples of {min(bits)} bits")
    return Page(
        height=tags[HEIGHT][0],
        width=tags[WIDTH][0],
        bits=bits.pop(),
        samples=samples,
        format=formats.pop(),
        compression=first(COMPRESSION, 1),
        photometric=first(PHOTOMETRIC, BLACK_IS_ZERO),
        extra=tuple(tags.get(EXTRA_SAMPLES, ())),
        is_apart=first(PLANES, 1) == APART and samples > 1,
        is_tiled=TILE_BYTES in tags,
        orientation=first(ORIENTATION, 1),
        icc=tags.get(ICC),
        nodata=_number(tags.get(NODATA)),
        is_big_endian_big=data.startswith(BIG_ENDIAN_BIG_TIFF),
    )


def edited(data: bytes, changes: dict[int, tuple[int, ...]]) -> bytes:
    """Return a TIFF with other values in tags of its first page; () takes a tag away.

    Tags that are not there are not added.
    """
    out = bytearray(data)
    order, room, entries = tiff_entries(data)
    word = f"{order}{'Q' if room == BIG_TIFF_ROOM else 'I'}"
    for tag, at in entries:
        if tag not in changes:
            continue
        if not changes[tag]:
            struct.pack_into(f"{order}H", out, at, IGNORED)
            continue
        values = struct.pack(f"{order}{len(changes[tag])}I", *changes[tag])
        if len(values) > room:
            values, place = struct.pack(word, len(out)), values
            out += place
        entry = struct.pack(f"{order}H", LONG) + struct.pack(word, len(changes[tag])) + values.ljust(room, b"\0")
        out[at + 2 : at + 2 + len(entry)] = entry
    return bytes(out)


def _number(text: bytes | None) -> float | None:
    try:
        return None if text is None else float(text.strip(b"\0 "))
    except ValueError:
        return None
