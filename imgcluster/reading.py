"""One image file to one RGB uint8 array, by written rules, or an ImageError that says why not.

The rules, whatever the format (data/README.md has them as a table for users):

- EXIF orientation is applied.
- Transparency is laid over white.
- Grey becomes three equal channels, CMYK becomes RGB.
- 16-bit values are divided by 257; 32-bit and float pictures are stretched from their own minimum..maximum to 0..255.
- Of an animation, or of several pages, the first picture counts.
- A file that breaks off is an error, as is one of more than 2**28 pixels.
- A JPEG of which only a much smaller picture is wanted is decoded at a half, a quarter or an eighth of its size.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

# OpenCV reads this once, when it is loaded. Its own bound, 2**30 pixels, would let one file take 3 GB.
MAX_PIXELS = 2**28
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
# What is wrong with a file stands in our own reasons; OpenCV would write over the progress, once a file.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from imgcluster.errors import ImageError  # noqa: E402
from imgcluster.sources import ImagePath, Source  # noqa: E402

RULES = 2  # part of the fingerprint: raise it when one of them changes
JPEG_MAGIC = b"\xff\xd8\xff"
TIFF_MAGICS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
PNG_MAGIC, PNG_END = b"\x89PNG", b"IEND"
EXIF_MARKERS = (b"eXIf", b"EXIF")  # the chunk names of PNG and of WebP
ORIENTATION_TAG = 0x0112
WHITE = 255

# OpenCV's flags of JPEG decoding at a fraction of the size: the inverse cosine transform gives fewer pixels a block.
REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
MARKER = 0xFF
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # those are tables

DAMAGED = "not an image OpenCV can decode, or a damaged one"
TOO_LARGE = f"has more than {MAX_PIXELS:,} pixels"

# What has to be done to a stored picture to see it upright, by the value of the orientation tag (EXIF 2.32, page 34).
UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


def read_bytes(path: Path) -> tuple[bytes, os.stat_result]:
    """Return the bytes of a regular file and its status; anything else (a folder, a pipe) is an ImageError.

    The status is that before the reading: of a file that changes meanwhile, it will not be the status later.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("is a folder" if stat.S_ISDIR(status.st_mode) else "is not a regular file")
        data = path.read_bytes()
    except FileNotFoundError:
        raise ImageError("broken link" if path.is_symlink() else "no such file") from None
    except PermissionError:
        raise ImageError("no permission to read it") from None
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not data:
        raise ImageError("the file is empty")
    return data, status


def decode_image(data: bytes, least: int | None = None) -> np.ndarray:
    """Decode the bytes of one image file into (height, width, 3) RGB uint8. Raises ImageError.

    least: so many pixels of the shorter side are enough; a JPEG may come smaller than it is stored, down to that.
    """
    if data.startswith(JPEG_MAGIC):  # never transparent or deep, and OpenCV itself turns it upright
        if flags := _reduced(data, least) if least else 0:
            return np.asarray(cv2.cvtColor(_decode(data, flags), cv2.COLOR_BGR2RGB))
        return _decode(data, cv2.IMREAD_COLOR_RGB)
    stored = _decode(data, cv2.IMREAD_UNCHANGED)
    if stored.ndim == 3 and stored.shape[2] == 4 and data.startswith(TIFF_MAGICS):
        stored = _four_channel_tiff(stored, data)
    return _upright(_to_rgb(to_uint8(stored)), data)


def bytes_of(path: ImagePath) -> bytes:
    """Return the bytes of an image, wherever it lies. Raises ImageError, whose text is the reason alone."""
    if not isinstance(path, Source):
        return read_bytes(path)[0]
    if not (data := path.read()):
        raise ImageError("the file is empty")
    return data


def read_image(path: ImagePath, least: int | None = None) -> np.ndarray:
    """Read one image file into (height, width, 3) RGB uint8; `least` as in `decode_image`.

    Raises ImageError, whose text is the reason alone.
    """
    return decode_image(bytes_of(path if isinstance(path, Source) else Path(path)), least)


def _reduced(data: bytes, least: int) -> int:
    """Return the flag by which the decoder leaves out the detail that a smaller picture would not show; 0: none."""
    height, width = _jpeg_size(data)
    if height * width > MAX_PIXELS:  # OpenCV would count those that are left
        raise ImageError(TOO_LARGE)
    short = min(height, width)
    return next((flag for factor, flag in REDUCED.items() if short // factor >= least), 0)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Return height and width from the header of the first frame (ITU-T T.81, B.2.2); (0, 0) where it has none."""
    at = 2
    while at + 9 <= len(data) and data[at] == MARKER:
        if data[at + 1] == MARKER:  # filled up
            at += 1
        elif data[at + 1] in FRAMES:
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0, 0


def _decode(data: bytes, flags: int) -> np.ndarray:
    if data.startswith(PNG_MAGIC) and PNG_END not in data:  # libpng would complain of it on stderr
        raise ImageError(DAMAGED)
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(TOO_LARGE if "MAX_IMAGE" in str(error) else DAMAGED) from None
    if decoded is None or not decoded.size:
        raise ImageError(DAMAGED)
    if decoded.shape[0] * decoded.shape[1] > MAX_PIXELS:  # where OpenCV was loaded before this module, by a notebook
        raise ImageError(TOO_LARGE)
    return np.asarray(decoded)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Bring values of any number format to 0..255, by the rules above. Raises ImageError where some are not finite."""
    if image.dtype == np.uint8:
        return image
    if image.dtype == np.uint16:
        return np.asarray((image.astype(np.uint32) + 128) // 257, dtype=np.uint8)
    wide = image.astype(np.float64)
    if not np.isfinite(wide).all():
        raise ImageError("holds values that are not finite")
    low = wide.min()
    spread = (wide.max() - low) or 1.0
    return np.asarray(((wide - low) * (255.0 / spread)).round(), dtype=np.uint8)


def _to_rgb(image: np.ndarray) -> np.ndarray:
    channels = 1 if image.ndim == 2 else image.shape[2]
    if channels == 1:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    if channels == 2:
        grey, alpha = image[..., :1], image[..., 1:]
        return np.repeat(over_white(grey, alpha), 3, axis=2)
    if channels == 3:
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    if channels == 4:
        return over_white(image[..., 2::-1], image[..., 3:])
    raise ImageError(f"has {channels} channels; 1 to 4 can be read")


def over_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Lay (height, width, channels) over white, by (height, width, 1) of opacity, all uint8."""
    weight = alpha.astype(np.uint16)
    return ((colour * weight + WHITE * (255 - weight) + 127) // 255).astype(np.uint8)


def _upright(image: np.ndarray, data: bytes) -> np.ndarray:
    """Turn a picture that was decoded unchanged; OpenCV does it only where it also throws transparency away."""
    if data.startswith(TIFF_MAGICS) or not any(marker in data for marker in EXIF_MARKERS):
        return image
    turn = UPRIGHT.get(_ask_pillow(data, lambda header: header.getexif().get(ORIENTATION_TAG)))
    return image if turn is None else np.ascontiguousarray(turn(image))


def _four_channel_tiff(stored: np.ndarray, data: bytes) -> np.ndarray:
    """Mend what OpenCV hands out alike: four inks, and colours that libtiff has multiplied with their alpha (8-bit)."""
    if _ask_pillow(data, lambda header: header.mode) == "CMYK":
        return _decode(data, cv2.IMREAD_COLOR)
    if stored.dtype != np.uint8:
        return stored
    return np.asarray(stored[..., :3] + (WHITE - stored[..., 3:]))  # over white: colour * alpha + white * (1 - alpha)


def _ask_pillow(data: bytes, question: Callable[[Image.Image], Any]) -> Any:
    """Ask about a picture's header, which OpenCV keeps to itself. None where it is damaged: the pixels were not."""
    try:
        with Image.open(BytesIO(data)) as header:
            return question(header)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
