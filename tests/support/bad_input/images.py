"""Bad images."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import os
import shutil
import stat
import struct
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

from tests.conftest import write_pictures
from tests.support.bad_input import IMAGES, RUN, case

GROUP = "images"
TRUNCATED = r"truncated \w+"
TOO_LARGE = "has more than 268,435,456 pixels"
# The pictures of the folder are red, green, blue, red, ...: by its cluster one sees what the program took an image for.
RED, GREEN, BLUE = "0000.jpg", "0001.jpg", "0002.jpg"
ORIENTATION = 0x0112

Files = Mapping[str, bytes]


def picture(own: Path, name: str = RED) -> Image.Image:
    """One of the twelve."""
    with Image.open(own / "pictures" / name) as opened:
        return opened.convert("RGB")


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, rows: bytes = zlib.compress(b""), depth: int = 8, colour: int = 2) -> bytes:
    """A PNG with this header, whatever its compressed rows are; colour 0: grey, 2: RGB, 3: palette, 6: RGBA."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    palette = png_chunk(b"PLTE", bytes((200, 40, 40) * 2)) if colour == 3 else b""
    chunks = png_chunk(b"IHDR", header) + palette + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def black_png(side: int, depth: int = 1, channels: int = 1) -> bytes:
    """A whole one, which is small: deflate makes a thousandth of its rows."""
    row, compressor = bytes(1 + -(-side * depth * channels // 8)), zlib.compressobj(1)
    rows = b"".join(compressor.compress(row) for _ in range(side)) + compressor.flush()
    return png(side, side, rows, depth, {1: 0, 3: 2, 4: 6}[channels])


def jpeg(own: Path, width: int, height: int) -> bytes:
    """A JPEG whose header has another size."""
    data = bytearray((own / "pictures" / RED).read_bytes())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def bmp(width: int, height: int, pixels: bytes = b"") -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(pixels), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54) + header + pixels


def gif(width: int, height: int) -> bytes:
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes((200, 40, 40) * 2)
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0)
    return b"GIF89a" + screen + frame + b"\x02\x02\x44\x01\x00;"


def tiff(pixels: bytes = b"", next_page: int = 0, **tags: int) -> bytes:
    """A TIFF of one page and one strip; tags by number, over those of an RGB picture."""
    numbers = {256: 1, 257: 1, 258: 8, 259: 1, 262: 2, 273: 8, 277: 3, 278: 1, 279: len(pixels)}
    numbers |= {int(name.removeprefix("t")): value for name, value in tags.items()}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(numbers.items()))
    directory = struct.pack("<H", len(numbers)) + entries + struct.pack("<I", next_page)
    return b"II*\x00" + struct.pack("<I", 8 + len(pixels)) + pixels + directory


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


# --- what has to hold afterwards ---


def rows_of(own: Path) -> dict[str, dict[str, str]]:
    with (own / "out" / "clusters.csv").open(newline="", encoding="utf-8") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def all_with(neighbour: str) -> Callable[[Path], None]:
    """All images beside the twelve have the cluster of one of these."""

    def look(own: Path) -> None:
        rows = rows_of(own)
        others = {id: row["cluster"] for id, row in rows.items() if not id[:4].isdigit() and row["status"] == "ok"}
        assert others, "there is no other"
        assert set(others.values()) == {rows[neighbour]["cluster"]}, others

    return look


def count(images: int) -> Callable[[Path], None]:
    """So many rows are there."""

    def look(own: Path) -> None:
        assert len(rows_of(own)) == images, list(rows_of(own))

    return look


def as_far_as_each_other(prefix: str) -> Callable[[Path], None]:
    """The images of a prefix are one picture to the network, by how far they are from the middle of the cluster."""

    def look(own: Path) -> None:
        found = [float(row["distance"]) for id, row in rows_of(own).items() if id.startswith(prefix)]
        assert len(found) > 1
        assert np.ptp(found) < 0.01 * max(found), found

    return look


def add(own: Path, files: Files) -> None:
    for name, data in files.items():
        path = own / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


# --- files that break off ---

# Noise does not become shorter: whatever is cut off is missed.
FORMATS: dict[str, tuple[str, dict[str, object]]] = {
    "JPEG": ("JPEG", {}),
    "progressive JPEG": ("JPEG", {"progressive": True}),
    "PNG": ("PNG", {}),
    "WebP": ("WEBP", {}),
    "lossless WebP": ("WEBP", {"lossless": True}),
    "TIFF": ("TIFF", {}),
    "TIFF with LZW": ("TIFF", {"compression": "tiff_lzw"}),
    "GIF": ("GIF", {}),
    "BMP": ("BMP", {}),
    "PPM": ("PPM", {}),
    "JPEG 2000": ("JPEG2000", {}),
}


def _breaking_off(format: str, options: dict[str, object]) -> Callable[[Path], None]:
    def spoil(own: Path) -> None:
        data = encoded(picture(own), format, **options)
        add(own, {f"cut-{tenths}.jpg": data[: len(data) * tenths // 10] for tenths in range(1, 10)})

    return spoil


case("an empty file", GROUP, "the file is empty", failures=1)(lambda own: add(own, {"empty.jpg": b""}))
for _name, (_format, _options) in FORMATS.items():
    case(f"a {_name} that breaks off, after each tenth", GROUP, TRUNCATED, failures=9)(_breaking_off(_format, _options))


@case("the first 1 to 64 bytes of a JPEG", GROUP, TRUNCATED, failures=64)
def _(own: Path) -> None:
    data = (own / "pictures" / RED).read_bytes()
    add(own, {f"cut-{length}.jpg": data[:length] for length in range(1, 65)})


@case("a JPEG without its last two bytes", GROUP, "truncated JPEG", failures=1)
def _(own: Path) -> None:
    add(own, {"no-end.jpg": (own / "pictures" / RED).read_bytes()[:-2]})


# --- damage inside ---


@case(
    "64 zero bytes in the middle, as from a bad sector: of a PNG, and of a JPEG, which is taken",
    GROUP,
    "damaged PNG",
    failures=1,
)
def _(own: Path) -> None:
    for name, data in (("hole.jpg", (own / "pictures" / RED).read_bytes()), ("hole.png", encoded(picture(own), "PNG"))):
        add(own, {name: data[: len(data) // 2] + bytes(64) + data[len(data) // 2 + 64 :]})


@case("a file of zeros alone, as after a crash", GROUP, "all zeros: the file was never written", failures=1)
def _(own: Path) -> None:
    add(own, {"zeros.jpg": bytes(5000)})


@case("a file of zeros of 100 GB, of which the disk holds nothing", GROUP, "has more than .* bytes", failures=1)
def _(own: Path) -> None:
    with (own / "pictures" / "sparse.jpg").open("wb") as file:
        file.truncate(100 * 10**9)


@case(
    "a PNG of which a transfer in text mode has changed the ends of lines",
    GROUP,
    "PNG changed by a transfer in text mode",
    failures=1,
)
def _(own: Path) -> None:
    add(own, {"ftp.png": encoded(picture(own), "PNG").replace(b"\n", b"\r\n")})


@case(
    "a JPEG that was taken for text, its bytes replaced by U+FFFD",
    GROUP,
    "an image that was changed as if it were text",
    failures=1,
)
def _(own: Path) -> None:
    add(own, {"text.jpg": (own / "pictures" / RED).read_bytes().decode("utf-8", "replace").encode()})


@case(
    "an empty line before a JPEG, as PHP scripts leave it", GROUP, "a JPEG with bytes before its beginning", failures=1
)
def _(own: Path) -> None:
    add(own, {"leading.jpg": b"\r\n" + (own / "pictures" / RED).read_bytes()})


@case("a film, a ZIP, or only zeros behind the end of a JPEG, PNG, WebP, GIF", GROUP, "", also=all_with(RED))
def _(own: Path) -> None:
    tails = {
        "film": b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 400,
        "zip": b"PK\x03\x04" + bytes(99),
        "0": bytes(9999),
    }
    whole = {"JPEG": (own / "pictures" / RED).read_bytes()}
    whole |= {format: encoded(picture(own), format) for format in ("PNG", "GIF")}
    whole["WEBP"] = encoded(picture(own), "WEBP", lossless=True)
    for format, data in whole.items():
        add(own, {f"tail-{tail}.{format}.jpg": data + end for tail, end in tails.items()})


@case("two JPEGs in one file: the first counts", GROUP, "", also=all_with(RED))
def _(own: Path) -> None:
    red, blue = ((own / "pictures" / name).read_bytes() for name in (RED, BLUE))
    add(own, {"two.jpg": red + blue})


# --- sizes ---


def _declared(own: Path, width: int, height: int) -> Files:
    header = encoded(picture(own), "WEBP", lossless=True)
    return {
        "jpeg.jpg": jpeg(own, min(width, 65_535), min(height, 65_535)),
        "png.png": png(width, height),
        "bmp.bmp": bmp(width, height),
        "gif.gif": gif(min(width, 65_535), min(height, 65_535)),
        "tiff.tif": tiff(bytes(3), t256=width, t257=height),
        "ppm.ppm": b"P6 %d %d 255\n" % (width, height) + bytes(10),
        "webp.webp": header[:21] + struct.pack("<I", (width - 1 & 0x3FFF) | (height - 1 & 0x3FFF) << 14) + header[25:],
    }


for _width, _height in ((50_000, 50_000), (2**31 - 1, 2**31 - 1)):
    case(f"headers that say {_width:,} x {_height:,}, in seven formats", GROUP, TOO_LARGE, failures=7)(
        lambda own, size=(_width, _height): add(own, _declared(own, *size))
    )


@case("headers that say 12,000 x 12,000, with nothing behind, in six formats", GROUP, "damaged PNG", failures=6)
def _(own: Path) -> None:
    add(own, {name: data for name, data in _declared(own, 12_000, 12_000).items() if name != "jpeg.jpg"})


@case("headers that say 0 x 0, 0 x 9 and 9 x 0, in six formats", GROUP, "damaged JPEG", failures=18)
def _(own: Path) -> None:
    for width, height in ((0, 0), (0, 9), (9, 0)):
        files = _declared(own, width, height)
        add(own, {f"{width}-{height}-{name}": data for name, data in files.items() if name != "webp.webp"})


@case("BMPs that stand on their head, and of the height -2**31", GROUP, "damaged BMP", failures=1, also=all_with(RED))
def _(own: Path) -> None:
    rows = np.asarray(picture(own))[..., ::-1].tobytes()
    add(own, {"down.bmp": bmp(48, -40, rows), "most.bmp": bmp(48, -(2**31), rows)})


@case("a PNG of 20,000 x 20,000 black pixels, and one whose comment inflates to 100 MB", GROUP, TOO_LARGE, failures=1)
def _(own: Path) -> None:
    add(own, {"bomb.png": black_png(20_000)})
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "x" * 10**8, zip=True)
    add(own, {"text.png": encoded(picture(own), "PNG", pnginfo=text)})


@case("a PNG in which one chunk says that it has 4 GB", GROUP, "truncated PNG", failures=1)
def _(own: Path) -> None:
    whole = png(4, 4, zlib.compress(bytes(4 * 13)))
    at = whole.index(b"IDAT") - 4
    (own / "pictures" / "0005.jpg").write_bytes(whole[:at] + b"\xff\xff\xff\xf0" + whole[at + 4 :])


@case("four PNGs of 11,000 x 11,000 black pixels, grey and RGB", GROUP, "", also=count(IMAGES + 4))
def _(own: Path) -> None:
    grey, colours = black_png(11_000), black_png(11_000, depth=8, channels=3)
    add(own, {"one.png": grey, "two.png": grey + b"2", "three.png": colours, "four.png": colours + b"2"})


@case(
    "a PNG of 12,000 x 12,000 black pixels of 16 bits, with alpha",
    GROUP,
    "has pixels of more than 1,073,741,824 bytes",
    failures=1,
)
def _(own: Path) -> None:
    add(own, {"deep.png": black_png(12_000, depth=16, channels=4)})


@case("pictures of 65,500 x 1, 1 x 65,500 and 1 x 1, JPEG, PNG and TIFF", GROUP, "", also=count(IMAGES + 9))
def _(own: Path) -> None:
    for size in ((65_500, 1), (1, 65_500), (1, 1)):
        image = Image.new("RGB", size, (200, 40, 40))
        add(own, {f"{size}.{name}": encoded(image, name) for name in ("JPEG", "PNG", "TIFF")})
    for path in (own / "pictures").glob("(*"):
        path.rename(path.with_suffix(".jpg" if path.suffix == ".JPEG" else path.suffix.lower().replace("tiff", "tif")))


@case("a JPEG whose header says 65,535 x 1", GROUP, "damaged JPEG", failures=1)
def _(own: Path) -> None:
    add(own, {"wide.jpg": jpeg(own, 65_535, 1)})


# --- what is no image, or another than its name says ---

NO_IMAGES: dict[str, bytes] = {
    "an HTML page": b"<!DOCTYPE html><html><head><title>404 Not Found</title></head><body>nginx</body></html>",
    "JSON": b'{"error": {"code": 403, "message": "Request has expired"}}',
    "XML": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 12\n" % (b"0" * 64),
    "a text": b"hello",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>',
    "MP4": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(200),
    "PSD": b"8BPS\0\x01" + bytes(6) + struct.pack(">HIIHH", 3, 9, 9, 8, 3) + bytes(200),
    "PDF": b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n",
    "ZIP": b"PK\x05\x06" + bytes(18),
    "OpenEXR": b"\x76\x2f\x31\x01\x02\0\0\0" + bytes(200),
    "a shortcut of Windows": b"L\0\0\0\x01\x14\x02\0" + bytes(100),
    "a resource fork": b"\0\x05\x16\x07\0\x02\0\0Mac OS X        " + bytes(100),
    "a program": b"\x7fELF\x02\x01\x01" + bytes(100),
}


@case(
    f"{', '.join(NO_IMAGES)}, named .jpg",
    GROUP,
    "a Git LFS pointer, not the image itself: run git lfs pull",
    failures=len(NO_IMAGES),
)
def _(own: Path) -> None:
    add(own, {f"no-{number}.jpg": data for number, data in enumerate(NO_IMAGES.values())})


@case(
    "a JPEG that was compressed once more with gzip, and one in base64, named .jpg",
    GROUP,
    "a gzip file, not an image: unpack it",
    failures=2,
)
def _(own: Path) -> None:
    data = (own / "pictures" / RED).read_bytes()
    add(own, {"zipped.jpg": gzip.compress(data, mtime=0), "base64.jpg": base64.b64encode(data)})


@case("a JPEG named as any other format, and all others named .jpg: the content counts", GROUP, "", also=all_with(RED))
def _(own: Path) -> None:
    data = (own / "pictures" / RED).read_bytes()
    names = ("a.png", "a.gif", "a.bmp", "a.webp", "a.tif", "a.tiff", "a.ppm", "a.jp2")
    others = ("PNG", "GIF", "BMP", "TIFF", "PPM")
    add(own, dict.fromkeys(names, data) | {f"{format}.jpg": encoded(picture(own), format) for format in others})


@case("endings .JPG, .Jpeg, .jpe, .JPE, .PNG", GROUP, "", also=count(IMAGES + 5))
def _(own: Path) -> None:
    add(own, dict.fromkeys(("a.JPG", "b.Jpeg", "c.jpe", "d.JPE", "e.PNG"), (own / "pictures" / RED).read_bytes()))


@case(
    "beside the images what systems and downloads leave: ._0000.jpg, .DS_Store, Thumbs.db, a.jpg.part, a.jpg~",
    GROUP,
    "",
    also=count(IMAGES),
)
def _(own: Path) -> None:
    names = ("._0000.jpg", ".DS_Store", "Thumbs.db", "desktop.ini", "a.jpg.part", "a.jpg.crdownload", "a.jpg~", "jpg")
    add(own, dict.fromkeys((*names, "__MACOSX/._0000.jpg", ".thumbnails/a.jpg", ".trash/a.png"), b"\0\x05\x16\x07"))


@case(
    "the thumbnails of a Synology disk: @eaDir/0000.jpg/SYNOPHOTO_THUMB_M.jpg",
    GROUP,
    "passed over 1 @eaDir",
    also=count(IMAGES),
)
def _(own: Path) -> None:
    add(own, {"@eaDir/0000.jpg/SYNOPHOTO_THUMB_M.jpg": (own / "pictures" / RED).read_bytes()})


@case(
    "a folder of pictures in PSD alone, .psd",
    GROUP,
    "no image below 'pictures' that can be read, but 12 files",
    exit_code=1,
)
def _(own: Path) -> None:
    for path in (own / "pictures").iterdir():
        path.write_bytes(NO_IMAGES["PSD"])
        path.rename(path.with_suffix(".psd"))


@case(
    "pictures in PSD, SVG and XCF between the others",
    GROUP,
    "skipped 3 files in unsupported formats .\\.psd, \\.svg, \\.xcf.; convert to",
    also=count(IMAGES),
)
def _(own: Path) -> None:
    add(own, {"a.psd": NO_IMAGES["PSD"], "b.SVG": NO_IMAGES["SVG"], "c.xcf": b"gimp xcf file"})


# --- pictures that are whole, and rare ---


@case("GIF, PNG and WebP that move, and a TIFF of two pages: the first picture counts", GROUP, "", also=all_with(RED))
def _(own: Path) -> None:
    red, blue = picture(own), picture(own, BLUE)
    for format, more in (("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        data = encoded(red, format, save_all=True, append_images=[blue] * 3, **more)
        add(own, {f"moves.{format}.{'tif' if format == 'TIFF' else format.lower()}": data})


@case("a TIFF whose pages follow each other in a circle", GROUP, "", also=count(IMAGES + 1))
def _(own: Path) -> None:
    pixels = bytes((220, 60, 60))
    add(own, {"circle.tif": tiff(pixels, next_page=8 + len(pixels))})


@case("a TIFF without a page, one whose page is behind its end, one of 65,535 tags", GROUP, "damaged TIFF", failures=3)
def _(own: Path) -> None:
    headers = {"none": struct.pack("<I", 0), "behind": struct.pack("<I", 2**31), "tags": struct.pack("<IH", 8, 65_535)}
    add(own, {f"{name}.tif": b"II*\x00" + rest + bytes(99) for name, rest in headers.items()})


# jpegtran -arithmetic's kind, 16 x 16 pixels of one red.
ARITHMETIC = base64.b64decode(
    "/9j/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hnPk1xeXBkeFxlZ2P/2wBD"
    "ARESEhgVGC8aGi9jQjhCY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2P/yQARCAAQABAD"
    "ASIAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwD9nj1xMwz/2Q=="
)


@case(
    "JPEGs of the rare kinds: CMYK, progressive, with restarts, in colours of a printer",
    GROUP,
    "",
    also=all_with(RED),
)
def _(own: Path) -> None:
    red = picture(own)
    add(own, {"progressive.jpg": encoded(red, "JPEG", quality=95, subsampling=0, progressive=True)})
    add(own, {"cmyk.jpg": encoded(red.convert("CMYK"), "JPEG", quality=95, subsampling=0)})
    add(own, {"restarts.jpg": encoded(red, "JPEG", quality=95, subsampling=0, restart_marker_rows=1)})
    add(own, {"rgb.jpg": encoded(red, "JPEG", quality=95, keep_rgb=True)})


@case("an arithmetic-coded JPEG", GROUP, "", also=count(IMAGES + 1))
def _(own: Path) -> None:
    add(own, {"arithmetic.jpg": ARITHMETIC})


@case(
    "pictures of 1, 2, 4, 16 bits, palettes, grey with alpha, alpha, transparent colours",
    GROUP,
    "",
    also=count(IMAGES + 12),
)
def _(own: Path) -> None:
    red = picture(own)
    grey, few = red.convert("L"), red.quantize(4)
    alpha = Image.new("L", red.size, 128)
    add(own, {f"grey-{bits}.png": black_png(9, bits) for bits in (1, 2, 4, 16)})
    rows = {bits: zlib.compress(bytes(9 * (1 + -(-9 * bits // 8)))) for bits in (1, 2, 4)}
    add(own, {f"palette-{bits}.png": png(9, 9, rows[bits], bits, 3) for bits in (1, 2, 4)})
    add(own, {"la.png": encoded(Image.merge("LA", (grey, alpha)), "PNG"), "p.gif": encoded(few, "GIF", transparency=0)})
    add(own, {"rgba.png": encoded(Image.merge("RGBA", (*red.split(), alpha)), "PNG")})
    add(own, {"p.png": encoded(few, "PNG", transparency=0), "trns.png": encoded(red, "PNG", transparency=(1, 2, 3))})


def _tiffs(values: np.ndarray) -> bytes:
    return cv2.imencode(".tif", values)[1].tobytes()


@case("TIFFs of 16, 32 and 64 bits, of whole numbers and floats, grey and RGB", GROUP, "", also=count(IMAGES + 9))
def _(own: Path) -> None:
    colours = np.asarray(picture(own))[..., ::-1].astype(np.float64) / 255
    kinds = {"u2": (np.uint16, 65_535), "i4": (np.int32, 2**31 - 1), "f4": (np.float32, 1), "f8": (np.float64, 1e300)}
    for name, (kind, most) in kinds.items():
        values = (colours * most).astype(kind)
        add(own, {f"{name}-rgb.tif": _tiffs(values), f"{name}-grey.tif": _tiffs(values[..., 0])})
    add(own, {"constant.tif": _tiffs(np.full((9, 9), 7, np.float32))})


@case("float TIFFs with one NaN and with one infinity", GROUP, "holds values that are not finite", failures=2)
def _(own: Path) -> None:
    values = np.ones((9, 9), np.float32)
    for name, value in (("nan", np.nan), ("infinity", np.inf)):
        values[4, 4] = value
        add(own, {f"{name}.tif": _tiffs(values)})


@case("a TIFF of five channels", GROUP, "", also=count(IMAGES + 1))
def _(own: Path) -> None:
    pages = np.dstack([np.asarray(picture(own)), np.zeros((40, 48, 2), np.uint8)]).tobytes()
    add(own, {"five.tif": tiff(pages, t256=48, t257=40, t278=40, t277=5)})


@case(
    "TIFFs of a compression that nobody knows, of complex numbers, of 65,535 samples and of 65,535 bits",
    GROUP,
    "TIFF, 3 samples of 8 bits, compression 32809: not read; convert it to",
    failures=4,
)
def _(own: Path) -> None:
    tags = ({"t259": 32_809}, {"t258": 64, "t339": 6}, {"t277": 65_535}, {"t258": 65_535})
    add(own, {f"odd-{number}.tif": tiff(bytes(64), **each) for number, each in enumerate(tags)})


def _apart(width: int, height: int, pixels: bytes) -> bytes:
    """A TIFF of 16 bits whose planes lie apart, in one strip each."""
    return tiff(pixels, t256=width, t257=height, t258=16, t284=2)


@case(
    "an AVIF, a PAM and a TIFF with planes apart that break off, after each tenth",
    GROUP,
    "truncated TIFF",
    failures=27,
)
def _(own: Path) -> None:
    head = b"P7\nWIDTH 48\nHEIGHT 40\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n"
    red = picture(own)
    pixels = np.asarray(red).astype("<u2").tobytes()
    whole = {"a.png": encoded(red, "AVIF"), "b.png": head + red.tobytes(), "c.tif": _apart(48, 40, pixels)}
    for name, data in whole.items():
        add(own, {f"{tenth}-{name}": data[: len(data) * tenth // 10] for tenth in range(1, 10)})


@case(
    "headers of a PAM, an AVIF, a JPEG 2000 and a TIFF with planes apart that say 50,000 x 50,000",
    GROUP,
    TOO_LARGE,
    failures=4,
)
def _(own: Path) -> None:
    red, size = picture(own), struct.pack(">II", 50_000, 50_000)
    avif, jp2 = encoded(red, "AVIF"), encoded(red, "JPEG2000")
    at, box = avif.index(b"ispe") + 8, jp2.index(b"ihdr") + 4
    head = b"P7\nWIDTH 50000\nHEIGHT 50000\nDEPTH 4\nMAXVAL 65535\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
    add(own, {"a.png": avif[:at] + size + avif[at + 8 :], "b.png": head + bytes(99)})
    add(own, {"c.jp2": jp2[:box] + size + jp2[box + 8 :], "d.tif": _apart(50_000, 50_000, bytes(99))})


@case(
    "colour profiles that inflate to 100 MB, of another kind of channels, and of random bytes",
    GROUP,
    "",
    also=all_with(RED),
)
def _(own: Path) -> None:
    red, noise = picture(own), np.random.default_rng(0).bytes(5000)
    profile = b"all zeros\0\0" + zlib.compress(bytes(10**8))
    whole = encoded(red, "PNG")
    add(own, {"zeros.png": whole[:33] + png_chunk(b"iCCP", profile) + whole[33:]})
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for name, found in (("lab", lab), ("noise", noise)):
        add(own, {f"{name}.{format}": encoded(red, format, icc_profile=found) for format in ("PNG", "TIFF")})
    for path in (own / "pictures").glob("*.*"):
        path.rename(path.with_suffix(path.suffix.lower().replace("tiff", "tif")))


@case(
    "TIFFs compressed as JPEG, LZW, Deflate, PackBits and fax, in the order of a Motorola, with CMYK, as BigTIFF",
    GROUP,
    "",
    also=count(IMAGES + 8),
)
def _(own: Path) -> None:
    red = picture(own)
    for kind in ("jpeg", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        add(own, {f"{kind}.tif": encoded(red, "TIFF", compression=kind)})
    add(own, {"fax.tif": encoded(red.convert("1"), "TIFF", compression="group4")})
    add(own, {"cmyk.tif": encoded(red.convert("CMYK"), "TIFF"), "big.tif": encoded(red, "TIFF", big_tiff=True)})
    motorola = io.BytesIO()
    Image.new("I;16B", (9, 9), 300).save(motorola, "TIFF")
    add(own, {"motorola.tif": motorola.getvalue()})


# --- metadata ---

# What makes of a picture that stands upright the one that is stored under an orientation.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
FLAG = Image.fromarray(np.repeat(np.repeat(np.arange(0, 240, 20, np.uint8).reshape(2, 2, 3), 64, 0), 96, 1))


def _turned(format: str, **options: object) -> Callable[[Path], None]:
    def spoil(own: Path) -> None:
        for orientation in range(10):
            stored = FLAG.transpose(STORED[orientation]) if orientation in STORED else FLAG
            add(own, {f"turned-{orientation}.jpg": encoded(stored, format, exif=exif(orientation), **options)})

    return spoil


for _format, _options in (
    ("JPEG", {"quality": 95, "subsampling": 0}),
    ("PNG", {}),
    ("TIFF", {}),
    ("WEBP", {"lossless": True}),
):
    case(
        f"a {_format} under each EXIF orientation, 1 to 8, and under 0 and 9, which there are not",
        GROUP,
        "",
        also=as_far_as_each_other("turned-"),
    )(_turned(_format, **_options))


@case(
    "EXIF that is cut off, that leads in a circle, of a wrong type, of 64 KB",
    GROUP,
    "",
    also=as_far_as_each_other("exif-"),
)
def _(own: Path) -> None:
    head = b"Exif\0\0MM\0*\0\0\0\x08"
    blocks = {
        "cut": head + b"\0\x05\x01\x12",
        "circle": head + b"\0\x01\x01\x12\0\x03\0\0\0\x01\0\x01\0\0\0\0\0\x08",
        "text": head + b"\0\x01\x01\x12\0\x02\0\0\0\x046\0\0\0\0\0\0\0",
        "offset": head[:-4] + b"\xff\xff\xff\xff",
        "long": head + bytes(65_000),
        "nothing": b"",
    }
    for name, block in blocks.items():
        add(
            own,
            {
                f"exif-{name}.jpg": encoded(FLAG, "JPEG", exif=block),
                f"exif-{name}.png": encoded(FLAG, "PNG", exif=block[6:]),
            },
        )


@case(
    "a colour profile, one that is damaged, a comment of 64 KB",
    GROUP,
    "",
    also=all_with(RED),
)
def _(own: Path) -> None:
    red = picture(own)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name, block in (("whole", profile), ("damaged", profile[:100]), ("none", b"x")):
        add(own, {f"{name}.jpg": encoded(red, "JPEG", icc_profile=block, quality=95, subsampling=0)})
    add(own, {"whole.png": encoded(red, "PNG", icc_profile=profile)})
    add(own, {"comment.jpg": encoded(red, "JPEG", comment=b"x" * 65_000, quality=95, subsampling=0)})


# --- what is no file ---


A_SHARD_IS_THERE = "ls store/efficient*/index-*.json > /dev/null 2>&1"
ONCE_A_SHARD_IS_THERE = f"{{}} & while kill -0 $! && ! {A_SHARD_IS_THERE}; do sleep 0.05; done; "


@case(
    "among 400 images one that vanishes and one that changes while others are read",
    GROUP,
    "no such file",
    failures=1,
    commands=((*RUN, "--set", "features.batch_size=2"),),
    shell=ONCE_A_SHARD_IS_THERE + f"rm pictures/vanishing.jpg; cp pictures/{RED} pictures/changing.jpg; wait $!",
    also=all_with(RED),
)
def _(own: Path) -> None:
    write_pictures(own / "pictures", range(IMAGES, 400))
    blue = (own / "pictures" / BLUE).read_bytes()
    add(own, {"changing.jpg": blue, "vanishing.jpg": blue})


@case("a FIFO", GROUP, "is not a regular file", failures=1)
def _(own: Path) -> None:
    os.mkfifo(own / "pictures" / "pipe.jpg")


@case("links to /dev/zero and /dev/null, a socket", GROUP, "is not a regular file", failures=3)
def _(own: Path) -> None:
    (own / "pictures" / "zero.jpg").symlink_to("/dev/zero")
    (own / "pictures" / "null.jpg").symlink_to("/dev/null")
    os.mknod(own / "pictures" / "socket.jpg", stat.S_IFSOCK | 0o600)


@case("a file that the system lists and cannot read: a link to /proc/self/mem", GROUP, "cannot be read", failures=1)
def _(own: Path) -> None:
    (own / "pictures" / "broken.jpg").symlink_to("/proc/self/mem")


@case("a link into nothing", GROUP, "broken link", failures=1)
def _(own: Path) -> None:
    (own / "pictures" / "link.jpg").symlink_to("moved.jpg")


@case("a link to itself, and two to each other", GROUP, "cannot be read: Too many levels of symbolic links", failures=3)
def _(own: Path) -> None:
    for name, target in (("self", "self"), ("one", "two"), ("two", "one")):
        (own / "pictures" / f"{name}.jpg").symlink_to(f"{target}.jpg")


@case("links from folders to the folders above them, and to one folder twice", GROUP, "", also=count(IMAGES))
def _(own: Path) -> None:
    (own / "pictures" / "deep").mkdir()
    for name in ("a", "b"):
        (own / "pictures" / "deep" / name).symlink_to(own / "pictures")
    (own / "pictures" / "self").symlink_to("self")


@case("a folder named x.jpg, with an image in it", GROUP, "is a folder", failures=1, also=count(IMAGES + 2))
def _(own: Path) -> None:
    add(own, {"x.jpg/inside.jpg": (own / "pictures" / RED).read_bytes()})


@case("an image without permission", GROUP, "no permission to read it", failures=1)
def _(own: Path) -> None:
    (own / "pictures" / RED).chmod(0)


@case(
    "a folder of images without permission",
    GROUP,
    "'pictures/closed' cannot be listed .Permission denied.: the images below it are left out",
    also=count(IMAGES),
)
def _(own: Path) -> None:
    add(own, {"closed/a.jpg": b"x"})
    (own / "pictures" / "closed").chmod(0)


@case("a folder that can be listed and not entered", GROUP, "no permission to read it", failures=1)
def _(own: Path) -> None:
    add(own, {"listed/a.jpg": b"x"})
    (own / "pictures" / "listed").chmod(0o400)


@case("images below 100 folders", GROUP, "", also=count(IMAGES + 1))
def _(own: Path) -> None:
    add(own, {"d/" * 100 + "a.jpg": (own / "pictures" / RED).read_bytes()})


def _folders_below_each_other(own: Path, levels: int) -> None:
    """Make them from the innermost on: the path to it is longer than the system takes in one call."""
    inner = own / "inner"
    inner.mkdir()
    shutil.copy(own / "pictures" / RED, inner / "a.jpg")
    for _ in range(levels):
        (own / "outer").mkdir()
        inner.rename(own / "outer" / "d")
        (own / "outer").rename(inner)
    inner.rename(own / "pictures" / "d")


def _without_them(own: Path) -> None:
    """Take them away: Python's own way ends at a thousand."""
    subprocess.run(["rm", "-rf", own / "pictures" / "d"], check=True)


@case("images below 1,100 folders", GROUP, "", also=count(IMAGES + 1), ended=_without_them)
def _(own: Path) -> None:
    _folders_below_each_other(own, 1100)


# --- names ---

NAMES: dict[str, tuple[bytes, ...]] = {
    "that are not UTF-8": (b"caf\xe9.jpg", b"\xff\xfe.jpg", "写真".encode("shift-jis") + b".jpg"),
    "with ends of lines, tabs and control characters": (
        b"a\nb.jpg",
        b"a\r\nb.jpg",
        b"a\tb.jpg",
        b"\x1b[31mred.jpg",
        b"a\x07.jpg",
    ),
    "with emoji, of right-to-left, invisible, and alike in two normal forms": (
        "🚀.jpg".encode(),
        "\u202egpj.exe.jpg".encode(),
        "\u200b.jpg".encode(),
        "é.jpg".encode(),
        "e\u0301.jpg".encode(),
    ),
    "of 255 bytes": (b"x" * 251 + b".jpg", "ж".encode() * 125 + b".jpg"),
    "that begin with a dash, a blank, a tilde": (b"-rf.jpg", b"--help.jpg", b" blank.jpg", b"~.jpg", b"trailing .jpg"),
    "with what CSV, YAML and shells read": (
        b'a,b";c.jpg',
        b"'quoted'.jpg",
        b"=1+1.jpg",
        b"{id}.jpg",
        b"a: b #c.jpg",
        b"$(reboot).jpg",
        b"%s.jpg",
        b"*.jpg",
        b"a\\b.jpg",
        b"a::b.jpg",
    ),
    "with HTML": (b"<img src=x onerror=alert(1)>.jpg", b"&amp;.jpg", b"'><script>alert(2)<.jpg"),
    "that are numbers and no numbers": (b"007.jpg", b"7.jpg", b"1e5.jpg", b"nan.jpg", b"NULL.jpg", "٣².jpg".encode()),
}


def _named(names: Iterable[bytes]) -> Callable[[Path], None]:
    def spoil(own: Path) -> None:
        data = (own / "pictures" / RED).read_bytes()
        for name in names:
            with open(os.path.join(os.fsencode(own / "pictures"), name), "wb") as file:  # noqa: PTH118, PTH123 (bytes)
                file.write(data)

    return spoil


for _name, _names in NAMES.items():
    case(
        f"names {_name}, and the report of them",
        GROUP,
        "",
        commands=((*RUN, "--set", "outputs.report=true"),),
        also=count(IMAGES + len(_names)),
    )(_named(_names))


# --- too few, and all alike ---


def _keep(own: Path, images: int) -> None:
    for path in sorted((own / "pictures").iterdir())[images:]:
        path.unlink()


case("an empty folder", GROUP, "no image below 'pictures': there are no files in it", exit_code=1)(
    lambda own: _keep(own, 0)
)
case("one image, and three clusters", GROUP, "3 clusters", exit_code=1)(lambda own: _keep(own, 1))
case("two images, and three clusters", GROUP, "3 clusters", exit_code=1)(lambda own: _keep(own, 2))
case("three images, and three clusters", GROUP, "", also=count(3))(lambda own: _keep(own, 3))


@case("a folder in which no image can be read", GROUP, "none of the 12 images", exit_code=1)
def _(own: Path) -> None:
    for path in (own / "pictures").iterdir():
        path.write_bytes(b"x")


@case("a folder in which two images can be read, and three clusters", GROUP, "3 clusters", exit_code=1)
def _(own: Path) -> None:
    for path in sorted((own / "pictures").iterdir())[2:]:
        path.write_bytes(b"x")


@case(
    "an image that cannot be read, and images.on_error: stop",
    GROUP,
    "'pictures/0005.jpg': .* .images.on_error is stop",
    exit_code=1,
    commands=((*RUN, "--set", "images.on_error=stop"),),
)
def _(own: Path) -> None:
    (own / "pictures" / "0005.jpg").write_bytes(b"x")


@case("twelve times the same image", GROUP, "", also=count(IMAGES))
def _(own: Path) -> None:
    for path in (own / "pictures").iterdir():
        path.write_bytes((own / "pictures" / RED).read_bytes())


@case("the same image twice: as a copy, a hard link, a link", GROUP, "", also=all_with(RED))
def _(own: Path) -> None:
    red = own / "pictures" / RED
    shutil.copy(red, own / "pictures" / "copy.jpg")
    (own / "pictures" / "hard.jpg").hardlink_to(red)
    (own / "pictures" / "soft.jpg").symlink_to(RED)


@case("black, white and transparent pictures alone", GROUP, "", also=count(IMAGES))
def _(own: Path) -> None:
    colours = ((0, 0, 0, 255), (255, 255, 255, 255), (0, 0, 0, 0))
    for number, path in enumerate(sorted((own / "pictures").iterdir())):
        path.write_bytes(encoded(Image.new("RGBA", (40, 40), colours[number % 3]), "PNG"))


# --- archives ---


def _zip_of(own: Path, files: Files) -> Path:
    path = own / "pictures.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for picture in sorted((own / "pictures").iterdir()):
            archive.write(picture, picture.name)
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return path


ZIPPED = {"commands": ((*RUN, "--set", "images.folder=pictures.zip"),)}
TARRED = {"commands": ((*RUN, "--set", "images.folder=pictures.tar"),)}


@case(
    "a ZIP that breaks off in the middle",
    GROUP,
    "'pictures.zip' is not a zip file, or a damaged one",
    exit_code=1,
    **ZIPPED,
)
def _(own: Path) -> None:
    path = _zip_of(own, {})
    os.truncate(path, path.stat().st_size // 2)


@case("a ZIP with an image that is damaged in it", GROUP, "is damaged in pictures.zip", failures=1, **ZIPPED)
def _(own: Path) -> None:
    path = _zip_of(own, {})
    data = bytearray(path.read_bytes())
    data[200:210] = bytes(10)
    path.write_bytes(data)


@case(
    "a ZIP with images called ../../evil.jpg and /etc/evil.jpg, which are read and never unpacked",
    GROUP,
    "",
    also=count(IMAGES + 2),
    **ZIPPED,
)
def _(own: Path) -> None:
    data = (own / "pictures" / RED).read_bytes()
    _zip_of(own, {"../../evil.jpg": data, "/etc/evil.jpg": data})


@case("a ZIP with an image that says it is encrypted", GROUP, "is encrypted, or packed in a way", failures=1, **ZIPPED)
def _(own: Path) -> None:
    path = _zip_of(own, {})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)


@case(
    "a ZIP of 2 MB with a file of 1.5 GB of zeros in it, called an image",
    GROUP,
    "has more than 1,073,741,824 bytes",
    failures=1,
    **ZIPPED,
)
def _(own: Path) -> None:
    path = _zip_of(own, {})
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("bomb.jpg", "w") as file,
    ):
        for _ in range(1500):
            file.write(bytes(10**6))


@case(
    "a tar that breaks off in the middle",
    GROUP,
    "is cut off or damaged: the images before that place are taken",
    **TARRED,
)
def _(own: Path) -> None:
    with tarfile.open(own / "pictures.tar", "w") as archive:
        archive.add(own / "pictures", "pictures")
    os.truncate(own / "pictures.tar", 20_000)


@case("a tar of links and devices called images", GROUP, "no image below 'pictures.tar'", exit_code=1, **TARRED)
def _(own: Path) -> None:
    with tarfile.open(own / "pictures.tar", "w") as archive:
        for name, kind in (
            ("link.jpg", tarfile.SYMTYPE),
            ("device.jpg", tarfile.CHRTYPE),
            ("pipe.jpg", tarfile.FIFOTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)


@case("a text that is called .zip", GROUP, "'pictures.zip' is not a zip file", exit_code=1, **ZIPPED)
def _(own: Path) -> None:
    (own / "pictures.zip").write_text("hello")


# --- other commands ---


@case(
    "distance of an image and a text called an image",
    GROUP,
    "no.jpg: a text file, not an image",
    exit_code=1,
    commands=(("distance", f"pictures/{RED}", "no.jpg", "--backbone", "efficientnet_lite0"),),
)
def _(own: Path) -> None:
    (own / "no.jpg").write_text("hello")


@case(
    "assign of a folder in which no image can be read",
    GROUP,
    "the only image cannot be read",
    exit_code=1,
    commands=(RUN, ("assign", "out", "new", "--out", "new.csv")),
)
def _(own: Path) -> None:
    (own / "new").mkdir()
    (own / "new" / "a.jpg").write_text("hello")


@case(
    "init of a folder without images",
    GROUP,
    "no image below",
    exit_code=1,
    commands=(("init", "store", "--out", "new.yaml"),),
)
def _(own: Path) -> None:
    (own / "store").mkdir()
