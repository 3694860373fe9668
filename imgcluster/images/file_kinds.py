"""Recognise file types by their first bytes, and say what to do with an unsupported one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO, NamedTuple

from imgcluster.images.extras import EXTRAS

HEAD_BYTES = 1024  # from the beginning of a file: every signature below stands within them
# Formats that are read as images, by the name that `kind_of` gives.
IMAGES = (
    *("JPEG", "PNG", "GIF", "BMP", "WebP", "TIFF", "JPEG 2000", "PNM", "AVIF", "ICO", "PCX", "QOI", "Sun raster"),
    *(kind for extra in EXTRAS for kind in extra.kinds),
)
ZEROS = "all zeros"


class _Signature(NamedTuple):
    kind: str
    offset: int
    pattern: re.Pattern[bytes]


def _signature(kind: str, pattern: bytes, offset: int = 0) -> _Signature:
    return _Signature(kind, offset, re.compile(pattern, re.DOTALL | re.IGNORECASE))


def _exact(kind: str, *beginnings: bytes, offset: int = 0) -> _Signature:
    return _Signature(kind, offset, re.compile(b"|".join(map(re.escape, beginnings)), re.DOTALL))


DICOM_MARK, DICOM_MARK_AT = b"DICM", 128
EVERYDAY = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"))  # found without a regular expression
BLANK = rb"(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)?"  # before markup: a byte order mark, spaces, a comment
PROLOG = rb"(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*"

# In order: the first one that fits counts, so that what is general (text) stands behind what is not.
SIGNATURES = (
    _exact("DICOM", DICOM_MARK, offset=DICOM_MARK_AT),  # before it stands anything, such as the beginning of a TIFF
    _signature("PNG", rb"\x89PNG(?:\r\n\x1a\n|\r?\n?\x1a?\Z)"),
    _exact("PNG changed by a transfer in text mode", b"\x89PNG\n\x1a\n", b"\x89PNG\r\r\n"),
    _exact("GIF", b"GIF87a", b"GIF89a"),
    _signature("WebP", rb"RIFF....WEBP"),
    _exact("TIFF", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    _exact("JPEG 2000", b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    _signature("PNM", rb"P[1-7]\s"),
    _exact("a JPEG with bytes before its beginning", b"\n\xff\xd8\xff", b"\r\n\xff\xd8\xff"),
    _exact("an image that was changed as if it were text", b"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", b"\xef\xbf\xbdPNG"),
    _signature("AVIF", rb"ftyp(?:avi[fs]|m(?:if|sf)1(?:....){1,16}?avi[fs])", offset=4),
    _signature("HEIC", rb"ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)", offset=4),
    _signature("Canon raw image", rb"ftypcrx", offset=4),
    _signature("a video", rb"(?:ftyp|moov|mdat|wide)", offset=4),
    _exact("a video", b"\x1a\x45\xdf\xa3"),
    _signature("a video", rb"RIFF....AVI "),
    _signature("a sound file", rb"RIFF....WAVE|ID3|OggS|fLaC"),
    _exact("JPEG XL", b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
    _exact("PSD", b"8BPS"),
    _exact("OpenEXR", b"\x76\x2f\x31\x01"),
    _signature("Radiance HDR", rb"#\?(?:RADIANCE|RGBE)"),
    _signature("DICOM", rb"\x08\0[\0\x01\5\x08\x10\x16\x18]\0(?:[A-Z]{2}.\0|[\2-\x7e]\0\0\0)"),  # without its preamble
    _exact("ICO", b"\0\0\1\0"),
    _exact("Fujifilm raw image", b"FUJIFILMCCD-RAW"),
    _exact("Panasonic raw image", b"IIU\0"),
    _exact("Olympus raw image", b"IIRO", b"IIRS", b"MMOR"),
    _exact("Canon raw image", b"II\x1a\0\0\0HEAPCCDR"),
    _exact("Minolta raw image", b"\0MRM"),
    _exact("Sigma raw image", b"FOVb"),
    _exact("QOI", b"qoif"),
    _exact("Sun raster", b"\x59\xa6\x6a\x95"),
    _signature("PCX", rb"\n[\0\2-\5]\x01[\x01\2\4\x08].{60}\0"),
    _exact("a Git LFS pointer", b"version https://git-lfs.github.com/spec/"),
    _signature("an HTML page", BLANK + rb"<(?:!doctype\s+html|html|head|body)\b"),
    _signature("SVG", BLANK + PROLOG + rb"(?:<!doctype\s+svg[^>]*>\s*)?<svg\b"),
    _signature("XML", BLANK + rb"<\?xml\b"),
    _exact("PDF", b"%PDF-"),
    _exact("PostScript", b"%!PS"),
    _exact("a ZIP archive", b"PK\3\4", b"PK\5\6", b"PK\7\x08"),
    _exact("a gzip file", b"\x1f\x8b"),
    _exact("a bzip2 file", b"BZh"),
    _exact("an xz file", b"\xfd7zXZ\0"),
    _exact("a Zstandard file", b"\x28\xb5\x2f\xfd"),
    _exact("a 7-Zip archive", b"7z\xbc\xaf\x27\x1c"),
    _exact("a RAR archive", b"Rar!\x1a\7"),
    _exact("a tar archive", b"ustar", offset=257),
    _exact("Parquet", b"PAR1"),
    _exact("Arrow", b"ARROW1"),
    _exact("a NumPy array", b"\x93NUMPY"),
    _exact("HDF5", b"\x89HDF\r\n\x1a\n"),
    _exact("a SQLite database", b"SQLite format 3\0"),
    _signature("safetensors", rb'.{4}\0{4}\{\s*"'),
    _signature("a pickle", rb"\x80[\2-\5][\x8c\x95cqX(}\])]"),
    _exact("a Windows shortcut", b"L\0\0\0\1\x14\2\0"),
    _exact("a resource fork of macOS", b"\0\5\x16\7", b"\0\5\x16\0"),
    _exact("a program", b"\x7fELF", b"MZ\x90\0", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"),
    _signature("BMP", rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0{3}"),
    _signature("an image in base64", rb"(?:data:image/[^,]{0,40},)?(?:/9j/|iVBORw0KGgo|R0lGOD|UklGR)"),
    _signature("JSON", rb"(?:\xef\xbb\xbf)?\s*[\[{]\s*[\"\[{\d\]}tfn-]"),
    # The last character may be cut off.
    _signature("a text file", rb"\xff\xfe|\xfe\xff|(?:[\t\n\r\x20-\x7e]|[\xc2-\xf4][\x80-\xbf]{1,3})+[\xc2-\xf4]?\Z"),
)

# What is said after a kind, and what to do; after all others that are no image, NO_IMAGE.
REMEDIES = {
    "a Git LFS pointer": ", not the image itself: run git lfs pull",
    "an HTML page": ", not an image: the download failed",
    "XML": ", not an image: perhaps the error message of a failed download",
    "JSON": ", not an image: perhaps the error message of a failed download",
    "PNG changed by a transfer in text mode": ": transfer it again, in binary mode",
    "a JPEG with bytes before its beginning": ": remove them, or download it again",
    "an image that was changed as if it were text": ": its bytes are lost: copy or download it again",
    "an image in base64": ", not an image file: decode it",
    "a gzip file": ", not an image: unpack it",
    "a resource fork of macOS": ", not an image: remove it",
    ZEROS: ": the file was never written",
}
NO_IMAGE = ", not an image"
NOT_READ = ", whatever its ending says: convert it to .jpg or .png"
CONVERTED = ("PSD", "OpenEXR", "Radiance HDR", "SVG", "PDF", "PostScript")


def head_of(file: Path | IO[bytes]) -> bytes:
    """Return the first HEAD_BYTES of a file; nothing of a folder or a pipe, which may have no writer.

    Raises:
        OSError: the file cannot be read.
    """
    if not isinstance(file, Path):
        return file.read(HEAD_BYTES)
    if file.exists() and not file.is_file():
        return b""
    with file.open("rb") as opened:
        return opened.read(HEAD_BYTES)


def kind_of(first_bytes: bytes) -> str | None:
    """Return what a file is, as a noun ("JPEG", "a Git LFS pointer"), by its beginning; None where nothing tells.

    first_bytes: the file, or its `head_of`. Zeros alone are "all zeros"; of nothing at all the answer is None.
    """
    if (everyday := everyday_kind(first_bytes)) is not None:
        return everyday
    head = first_bytes[:HEAD_BYTES]
    found = next((each.kind for each in SIGNATURES if each.pattern.match(head, each.offset)), None)
    return found or (ZEROS if first_bytes and not first_bytes.strip(b"\0") else None)


def everyday_kind(first_bytes: bytes) -> str | None:
    """Return "JPEG" or "PNG" for a file of these, without the patience that telling other kinds takes; else None."""
    if first_bytes.startswith(DICOM_MARK, DICOM_MARK_AT):
        return None
    return next((kind for magic, kind in EVERYDAY if first_bytes.startswith(magic)), None)


def why_no_image(data: bytes) -> str | None:
    """Return what a file is, and why or how it is not read as an image; None where it is a format that is read.

    data: all of the file. None too where its kind is not known.
    """
    kind = kind_of(data)
    if kind is None or kind in IMAGES:
        return None
    if kind in CONVERTED:
        return kind + NOT_READ
    return kind + REMEDIES.get(kind, NO_IMAGE)
