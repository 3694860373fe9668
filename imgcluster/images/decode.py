"""Decode an image file to an RGB uint8 array, or raise an ImageError with the reason.

The rules, whatever the format (data/README.md has them as a table for users):

- EXIF orientation is applied.
- Transparency is laid over white, and over grey where what is opaque is nearly white itself.
- Grey becomes three equal channels, CMYK becomes RGB.
- 16-bit values are divided by 257; 32-bit and float pictures are stretched from their own minimum..maximum to 0..255.
- Of an animation, or of several pages, the first picture counts.
- A file that breaks off is an error, as is one of more than 2**28 pixels or 2**30 bytes, in the file or as pixels.
- A JPEG of which only a much smaller picture is wanted is decoded at a half, a quarter or an eighth of its size.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from enum import IntFlag
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from imgcluster.errors import ImageError
from imgcluster.images.damage import why_undecodable
from imgcluster.images.headers import JPEG_MAGIC, TIFF_MAGICS, declared_size, is_whole_png, jpeg_size
from imgcluster.images.opencv import MAX_PIXELS, cv2
from imgcluster.images.plain import plain_pixels
from imgcluster.images.transparency import WHITE, ground_of, laid_over
from imgcluster.types import ImagePath, Source

MAX_BYTES = 2**30  # of a file, and of its decoded pixels: with 16 bits and four channels, fewer pixels fit
RULES = 2  # part of the fingerprint: raise it when one of them changes
PNG_MAGIC = b"\x89PNG"
EXIF_MARKERS = (b"eXIf", b"EXIF")  # the chunk names of PNG and of WebP
ORIENTATION_TAG = 0x0112
ALIKE = 2  # so far apart may the values of a channel be in a picture of one colour: a JPEG of white is not all 255
EVERY = 64  # of the pixels, in both directions, tell of nearly every picture that it has several colours

# OpenCV's flags of JPEG decoding at a fraction of the size: the inverse cosine transform gives fewer pixels a block.
REDUCED = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}

TOO_LARGE = f"has more than {MAX_PIXELS:,} pixels"
TOO_DEEP = f"has pixels of more than {MAX_BYTES:,} bytes"

LARGE_BYTES = 2**28  # of pixels: with more, one picture at a time is enough for the memory
ROW_BYTES = 2**24  # of a picture whose values are converted, at a time
_large_one = threading.Lock()

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


class Marks(IntFlag):
    """What was noted of a picture as it was read; kept with its vectors. 0: an earlier version, which noted nothing."""

    READ = 1
    ONE_COLOUR = 2
    ON_GREY = 4  # laid over GREY; earlier versions laid it over white


class Picture(NamedTuple):
    """pixels: (height, width, 3) RGB uint8."""

    pixels: np.ndarray
    marks: Marks


def read_bytes(path: Path) -> tuple[bytes, os.stat_result]:
    """Return the bytes of a regular file and its status; anything else (a folder, a pipe) is an ImageError.

    The status is that before the reading: of a file that changes meanwhile, it will not be the status later.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("is a folder" if stat.S_ISDIR(status.st_mode) else "is not a regular file")
        if status.st_size > MAX_BYTES:
            raise ImageError(f"has more than {MAX_BYTES:,} bytes")
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
    return _decoded(data, least)[0]


def decode_picture(data: bytes, least: int | None = None) -> Picture:
    """Decode as `decode_image` does, and note what is remarkable. Raises ImageError."""
    pixels, ground = _decoded(data, least)
    marks = Marks.READ
    if is_one_colour(pixels):
        marks |= Marks.ONE_COLOUR
    return Picture(pixels, marks if ground == WHITE else marks | Marks.ON_GREY)


def is_one_colour(pixels: np.ndarray) -> bool:
    """Tell whether all pixels of (height, width, 3) uint8 have one colour, but for what JPEG makes of it."""
    return all(int(np.ptp(part, axis=(0, 1)).max()) <= ALIKE for part in (pixels[::EVERY, ::EVERY], pixels))


def _decoded(data: bytes, least: int | None) -> tuple[np.ndarray, int]:
    """Return a picture, and the grey that it is laid over where it is transparent."""
    _check_size(data)
    if (plain := plain_pixels(data)) is not None:
        return plain, WHITE
    if data.startswith(JPEG_MAGIC):  # never transparent or deep, and OpenCV itself turns it upright
        if flags := _reduced(data, least) if least else 0:
            return np.asarray(cv2.cvtColor(_decode(data, flags), cv2.COLOR_BGR2RGB)), WHITE
        return _decode(data, cv2.IMREAD_COLOR_RGB), WHITE
    stored = _decode(data, cv2.IMREAD_UNCHANGED)
    if stored.ndim == 3 and stored.shape[2] == 4 and data.startswith(TIFF_MAGICS):
        pixels, ground = _four_channel_tiff(stored, data)
    else:
        pixels, ground = _to_rgb(to_uint8(stored))
    return _upright(pixels, data), ground


@contextmanager
def room_for(data: bytes) -> Iterator[None]:
    """Have a large picture wait, before it is decoded, until no other thread has one in its hands."""
    size = declared_size(data)
    with _large_one if (size.bytes if size else len(data)) > LARGE_BYTES else nullcontext():
        yield


def _check_size(data: bytes) -> None:
    """Refuse what would take too much memory before it takes any."""
    if (size := declared_size(data)) is None:
        return
    if size.pixels > MAX_PIXELS:
        raise ImageError(TOO_LARGE)
    if size.bytes > MAX_BYTES:
        raise ImageError(TOO_DEEP)


def bytes_of(path: ImagePath) -> bytes:
    """Return the bytes of an image, wherever it lies. Raises ImageError, whose text is the reason alone."""
    if isinstance(path, Source) and path.stamp is not None and path.stamp.size > MAX_BYTES:
        raise ImageError(f"has more than {MAX_BYTES:,} bytes")
    if not isinstance(path, Source):
        return read_bytes(path)[0]
    if not (data := path.read()):
        raise ImageError("the file is empty")
    return data


def read_image(path: ImagePath, least: int | None = None) -> np.ndarray:
    """Read an image file as (height, width, 3) RGB uint8.

    Args:
        least: Sufficient size of the shorter side in pixels: a JPEG may be decoded at a reduced size, down to that.

    Raises:
        ImageError: The image cannot be read; the message is only the reason.
    """
    return decode_image(bytes_of(path if isinstance(path, Source) else Path(path)), least)


def _reduced(data: bytes, least: int) -> int:
    """Return the flag by which the decoder leaves out the detail that a smaller picture would not show; 0: none."""
    short = min(jpeg_size(data))
    return next((flag for factor, flag in REDUCED.items() if short // factor >= least), 0)


def _decode(data: bytes, flags: int) -> np.ndarray:
    if data.startswith(PNG_MAGIC) and not is_whole_png(data):  # libpng would complain of it on stderr
        raise ImageError(why_undecodable(data))
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(TOO_LARGE if "MAX_IMAGE" in str(error) else why_undecodable(data)) from None
    if decoded is None or not decoded.size:
        raise ImageError(why_undecodable(data))
    if decoded.shape[0] * decoded.shape[1] > MAX_PIXELS:  # where OpenCV was loaded before this module, by a notebook
        raise ImageError(TOO_LARGE)
    return np.asarray(decoded)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Bring values of any number format to 0..255, by the rules above. Raises ImageError where some are not finite."""
    if image.dtype == np.uint8:
        return image
    if image.dtype == np.uint16:
        return _by_rows(lambda rows: (rows.astype(np.uint32) + 128) // 257, image)
    low, high = float(image.min()), float(image.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError("holds values that are not finite")
    share = 255.0 / ((high - low) or 1.0)
    return _by_rows(lambda rows: ((rows.astype(np.float64) - low) * share).round(), image)


def _by_rows(convert: Callable[[np.ndarray], np.ndarray], image: np.ndarray, channels: int | None = None) -> np.ndarray:
    """Convert values to uint8, some rows at a time: what is computed with takes several times the picture's memory."""
    out = np.empty(image.shape if channels is None else (*image.shape[:2], channels), np.uint8)
    step = max(1, ROW_BYTES // max(1, image[:1].nbytes))
    for start in range(0, len(image), step):
        out[start : start + step] = convert(image[start : start + step])
    return out


def _to_rgb(image: np.ndarray) -> tuple[np.ndarray, int]:
    channels = 1 if image.ndim == 2 else image.shape[2]
    if channels == 1:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), WHITE
    if channels == 3:
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), WHITE
    if channels not in (2, 4):
        raise ImageError(f"has {channels} channels; 1 to 4 can be read")
    ground = ground_of(image[..., :-1], image[..., -1])
    if channels == 2:
        return np.repeat(laid_over(image[..., :1], image[..., 1:], ground), 3, axis=2), ground
    return _by_rows(lambda rows: laid_over(rows[..., 2::-1], rows[..., 3:], ground), image, channels=3), ground


def _upright(image: np.ndarray, data: bytes) -> np.ndarray:
    """Turn a picture that was decoded unchanged; OpenCV does it only where it also throws transparency away."""
    if data.startswith(TIFF_MAGICS) or not any(marker in data for marker in EXIF_MARKERS):
        return image
    turn = UPRIGHT.get(_ask_pillow(data, lambda header: header.getexif().get(ORIENTATION_TAG)))
    return image if turn is None else np.ascontiguousarray(turn(image))


def _four_channel_tiff(stored: np.ndarray, data: bytes) -> tuple[np.ndarray, int]:
    """Mend what OpenCV hands out alike: four inks, and colours that libtiff has multiplied with their alpha (8-bit)."""
    if _ask_pillow(data, lambda header: header.mode) == "CMYK":
        return _to_rgb(to_uint8(_decode(data, cv2.IMREAD_COLOR)))
    if stored.dtype != np.uint8:
        return _to_rgb(to_uint8(stored))
    colour, alpha = stored[..., 2::-1], stored[..., 3:]
    ground = ground_of(colour, alpha[..., 0], multiplied=True)
    if ground == WHITE:
        return np.ascontiguousarray(colour + (WHITE - alpha)), ground  # colour * alpha + white * (1 - alpha)
    return np.ascontiguousarray(colour + laid_over(np.zeros_like(alpha), alpha, ground)), ground


def _ask_pillow(data: bytes, question: Callable[[Image.Image], Any]) -> Any:
    """Ask about a picture's header, which OpenCV keeps to itself. None where it is damaged: the pixels were not."""
    try:
        with Image.open(BytesIO(data)) as header:
            return question(header)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
