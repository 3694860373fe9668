"""Files of formats that optional packages read: cut, empty, huge by their headers, and hostile."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tests.support.bad_input import IMAGES, case
from tests.support.bad_input.images import TOO_LARGE, TRUNCATED, add, count

GROUP = "formats"
WRITERS = ("imagecodecs", "pillow_heif", "pydicom", "rawpy", "tifffile")


def missing() -> str | None:
    """Why these files cannot be made here."""
    lacking = [package for package in WRITERS if find_spec(package) is None]
    return f"needs {', '.join(lacking)}" if lacking else None


def whole() -> dict[str, bytes]:
    """A file of each kind, by its ending."""
    from tests.support.formats.files import RGB, by_opencv, by_pillow
    from tests.support.formats.rows_extras import CT, LARGE, PREVIEW, WINDOW
    from tests.support.formats.writers import deep_heic, dicom, dng, heic, jxl

    return {
        ".heic": heic(RGB),
        ".hif": deep_heic(RGB.astype(np.uint16) * 257),
        ".dng": dng(LARGE, PREVIEW),
        ".jxl": jxl(RGB),
        ".dcm": dicom(CT, **WINDOW),
        ".qoi": by_pillow("QOI", RGB),
        ".pcx": by_pillow("PCX", RGB),
        ".ico": by_pillow("ICO", RGB),
        ".ras": by_opencv(".ras", RGB),
    }


def _with(name: str, says: str, failures: int, **others: object) -> Callable[[Callable[[Path], object]], None]:
    return case(name, GROUP, says, failures=failures, skip=missing, **others)


@case("one file of each of these formats", GROUP, "", also=count(IMAGES + 9), skip=missing)
def _(own: Path) -> None:
    add(own, {f"whole{ending}": data for ending, data in whole().items()})


@_with("HEIC, DNG, JPEG XL, DICOM, QOI, PCX, ICO and Sun raster that break off, after each tenth", TRUNCATED, 81)
def _(own: Path) -> None:
    for ending, data in whole().items():
        add(own, {f"cut-{tenths}{ending}": data[: len(data) * tenths // 10] for tenths in range(1, 10)})


@_with("empty files of these formats", "the file is empty", 9)
def _(own: Path) -> None:
    add(own, dict.fromkeys((f"empty{ending}" for ending in whole()), b""))


@_with("the first 200 bytes of these, and then noise: a QOI is taken", "damaged", 8)
def _(own: Path) -> None:
    noise = np.random.default_rng(0).bytes(5000)
    add(own, {f"noise{ending}": data[:200] + noise for ending, data in whole().items()})


@_with(
    "headers of HEIC, DNG, JPEG XL, DICOM, QOI and PCX that say 50,000 x 50,000, or as much as they can", TOO_LARGE, 6
)
def _(own: Path) -> None:
    files, size = whole(), struct.pack(">II", 50_000, 50_000)
    heic, at = files[".heic"], files[".heic"].index(b"ispe") + 8
    dcm, rows = files[".dcm"], files[".dcm"].index(b"\x28\0\x10\0US") + 8
    columns = dcm.index(b"\x28\0\x11\0US") + 8
    large = b"\xff\xff"
    add(own, {"a.heic": heic[:at] + size + heic[at + 8 :], "b.qoi": files[".qoi"][:4] + size + files[".qoi"][12:]})
    add(own, {"c.dcm": dcm[:rows] + large + dcm[rows + 2 : columns] + large + dcm[columns + 2 :]})
    # Not small; 18 bits of height, 49,999; no ratio; 18 bits of width.
    bits = f"{0:01b}" + "01" + f"{49_999:018b}"[::-1] + "000" + "01" + f"{49_999:018b}"[::-1] + "1"
    packed = bytes(int(bits[start : start + 8][::-1].rjust(8, "0"), 2) for start in range(0, len(bits), 8))
    add(own, {"d.jxl": b"\xff\x0a" + packed + bytes(50)})
    add(own, {"e.pcx": files[".pcx"][:8] + struct.pack("<HH", 49_999, 49_999) + files[".pcx"][12:]})
    dng = files[".dng"]
    for side in (600, 800):  # of the sensor
        dng = dng.replace(struct.pack("<II", 1, side), struct.pack("<II", 1, 50_000))
    add(own, {"f.dng": dng})


@_with(
    "a DICOM that inflates to 2 GB, one of 2,147,483,647 frames, one whose JPEG-LS is larger than it says",
    "has pixels of more than 1,073,741,824 bytes",
    3,
)
def _(own: Path) -> None:
    from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGLSLossless

    from tests.support.formats.files import GREY
    from tests.support.formats.writers import compressed, dataset, saved

    file = dataset(GREY, NumberOfFrames=2_147_483_647)
    add(own, {"frames.dcm": saved(file)})
    deflated = dataset(GREY)
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data = saved(deflated)
    start = 144 + int.from_bytes(data[140:144], "little")
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = b"".join(squeeze.compress(bytes(2**24)) for _ in range(128)) + squeeze.flush()
    add(own, {"bomb.dcm": data[:start] + zeros})
    import imagecodecs

    frame = bytearray(imagecodecs.jpegls_encode(GREY))
    at = frame.index(b"\xff\xf7") + 5
    frame[at : at + 4] = b"\xff\xff\xff\xff"
    add(own, {"frame.dcm": compressed(GREY, bytes(frame), JPEGLSLossless)})


@_with("a JPEG-LS of 80 bytes that says 16,384 x 16,384", "truncated JPEG", 1)
def _(own: Path) -> None:
    import imagecodecs

    data = bytearray(imagecodecs.jpegls_encode(np.zeros((8, 8), np.uint8)))
    at = data.index(b"\xff\xf7") + 5
    data[at : at + 4] = struct.pack(">HH", 16_384, 16_384)
    add(own, {"a.jpg": bytes(data)})


@_with("HEIC of boxes of no end, of boxes in boxes, and of an item that says 2 GB", "damaged HEIC|truncated HEIC", 3)
def _(own: Path) -> None:
    head = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    nested = b""
    for _ in range(2_000):
        nested = struct.pack(">I", 8 + len(nested)) + b"meta" + nested
    heic = whole()[".heic"]
    at = heic.index(b"iloc") + 8
    add(own, {"a.heic": head + struct.pack(">I", 1) + b"meta" + b"\xff" * 8, "b.heic": head + nested})
    add(own, {"c.heic": heic[:at] + b"\x44\x44" + b"\x7f" * 40 + heic[at + 42 :]})


@_with("a DICOM without a picture, and a JPEG in the place of one", "DICOM without a picture .SR.", 1)
def _(own: Path) -> None:
    from tests.support.formats.rows_extras import _report

    add(own, {"report.dcm": _report(), "really.dcm": (own / "pictures" / "0000.jpg").read_bytes()})
