"""Read an image file as RGB uint8, or raise an ImageError with the reason.

`decoders.DECODERS` reads the samples and what the header says of them; `rendering.render` makes RGB of these. Of an
animation, or of several pages, the first picture counts. A file that breaks off is an error, as is one of more than
2**28 pixels or 2**30 bytes, in the file or as pixels. A JPEG of which only a much smaller picture is wanted is decoded
at a half, a quarter or an eighth of its size.
"""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from enum import IntFlag
from os import stat_result
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imgcluster.config import AS_SHOWN, Reading
from imgcluster.errors import ImageError
from imgcluster.images.headers import declared_size
from imgcluster.images.limits import MAX_BYTES
from imgcluster.images.plain import plain_pixels
from imgcluster.images.transparency import WHITE
from imgcluster.types import ImagePath, Source

RULES = 2  # part of the fingerprint: raise it where most files are read otherwise; of fewer, a mark and `earlier` tell
ALIKE = 2  # so far apart may the values of a channel be in a picture of one colour: a JPEG of white is not all 255
EVERY = 64  # of the pixels, in both directions, tell of nearly every picture that it has several colours
LARGE_BYTES = 2**28  # of pixels: with more, one picture at a time is enough for the memory
_large_one = threading.Lock()


class Marks(IntFlag):
    """What was noted of a picture as it was read; kept with its vectors. 0: an earlier version, which noted nothing."""

    READ = 1
    ONE_COLOUR = 2
    ON_GREY = 4  # laid over GREY; earlier versions laid it over white
    BY_HEADER = 8  # read by what the header says; earlier versions took the stored samples for that
    SCIENTIFIC = 16  # decoded by the packages of the extra `scientific`


NOTHING_REMARKABLE = Marks.READ | Marks.BY_HEADER


class Picture(NamedTuple):
    """pixels: (height, width, 3) RGB uint8. transparency: the share that shows what it is laid over, from 0 to 1."""

    pixels: np.ndarray
    marks: Marks
    transparency: float = 0.0


def read_bytes(path: Path) -> tuple[bytes, stat_result]:
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


def decode_image(data: bytes, least: int | None = None, reading: Reading = AS_SHOWN) -> np.ndarray:
    """Decode the bytes of one image file into (height, width, 3) RGB uint8.

    Args:
        data: The file.
        least: Sufficient size of the shorter side in pixels: a JPEG may be decoded at a reduced size, down to that.
        reading: Which bands and range are shown, and whether colour profiles are applied.

    Raises:
        ImageError: The image cannot be read; the message is only the reason.
    """
    return _decoded(data, least, reading).pixels


def decode_picture(data: bytes, least: int | None = None, reading: Reading = AS_SHOWN) -> Picture:
    """Decode as `decode_image` does, and note what is remarkable. Raises ImageError."""
    picture = _decoded(data, least, reading)
    return picture._replace(marks=picture.marks | Marks.ONE_COLOUR) if is_one_colour(picture.pixels) else picture


def is_one_colour(pixels: np.ndarray) -> bool:
    """Tell whether all pixels of (height, width, 3) uint8 have one colour, but for what JPEG makes of it."""
    return all(int(np.ptp(part, axis=(0, 1)).max()) <= ALIKE for part in (pixels[::EVERY, ::EVERY], pixels))


def _decoded(data: bytes, least: int | None, reading: Reading) -> Picture:
    if (plain := plain_pixels(data)) is not None:
        return Picture(plain, NOTHING_REMARKABLE)
    from imgcluster.images.shown import shown  # with OpenCV and Pillow

    found = shown(data, least, reading)
    marks = NOTHING_REMARKABLE if found.ground == WHITE else NOTHING_REMARKABLE | Marks.ON_GREY
    return Picture(found.pixels, marks | Marks.SCIENTIFIC if found.is_scientific else marks, found.transparency)


@contextmanager
def room_for(data: bytes) -> Iterator[None]:
    """Have a large picture wait, before it is decoded, until no other thread has one in its hands."""
    size = declared_size(data)
    with _large_one if (size.bytes if size else len(data)) > LARGE_BYTES else nullcontext():
        yield


def bytes_of(path: ImagePath) -> bytes:
    """Return the bytes of an image, wherever it lies. Raises ImageError, whose text is the reason alone."""
    if isinstance(path, Source) and path.stamp is not None and path.stamp.size > MAX_BYTES:
        raise ImageError(f"has more than {MAX_BYTES:,} bytes")
    if not isinstance(path, Source):
        return read_bytes(path)[0]
    if not (data := path.read()):
        raise ImageError("the file is empty")
    return data


def read_image(path: ImagePath, least: int | None = None, reading: Reading = AS_SHOWN) -> np.ndarray:
    """Read an image file as (height, width, 3) RGB uint8; the arguments, and what is raised, as for `decode_image`."""
    return decode_image(bytes_of(path if isinstance(path, Source) else Path(path)), least, reading)
