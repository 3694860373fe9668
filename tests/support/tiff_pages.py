"""TIFFs of several pages, and changes to their directories (little-endian, no BigTIFF)."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NEW_SUBFILE, STRIP_OFFSETS, STRIP_LENGTHS = 254, 273, 279


def scan(pictures: Sequence[np.ndarray], **options: Any) -> bytes:
    """Return a TIFF of pages, by Pillow."""
    first, *others = map(Image.fromarray, pictures)
    file = io.BytesIO()
    first.save(file, "tiff", save_all=True, append_images=others, **options)
    return file.getvalue()


def directories(data: bytes) -> list[int]:
    """Return where the directories begin."""
    found = [struct.unpack_from("<I", data, 4)[0]]
    while (at := struct.unpack_from("<I", data, next_of(data, found[-1]))[0]) != 0:
        found.append(at)
    return found


def next_of(data: bytes, directory: int) -> int:
    """Return the place at which a directory names the next one."""
    return directory + 2 + 12 * int(struct.unpack_from("<H", data, directory)[0])


def followed_by(data: bytes, page: int, other: int) -> bytes:
    """Return a file in which a page, counted from 0, is followed by another one."""
    out, places = bytearray(data), directories(data)
    struct.pack_into("<I", out, next_of(data, places[page]), places[other])
    return bytes(out)


def with_value(data: bytes, page: int, tag: int, value: int, length: int = 1) -> bytes:
    """Return a file with another value, or place of the values, in a tag that a page has."""
    out, directory = bytearray(data), directories(data)[page]
    places = range(directory + 2, next_of(data, directory), 12)
    at = next(at for at in places if struct.unpack_from("<H", data, at)[0] == tag)
    struct.pack_into("<HHII", out, at, tag, 4, length, value)
    return bytes(out)


def with_count(data: bytes, page: int, count: int) -> bytes:
    """Return a file in which a page says that it has so many tags, and has bytes for them."""
    out = bytearray(data) + bytes(12 * 65_536)
    struct.pack_into("<H", out, directories(data)[page], count)
    return bytes(out)


def of_one_strip(data: bytes, page: int, count: int = 65_536) -> bytes:
    """Return a file with a page of so many strips of so many bytes each, which all lie in nearly one place."""
    end = len(data)
    lists = struct.pack(f"<{count}I", *range(count)) + struct.pack(f"<{count}I", *[count] * count)
    data = with_value(data, page, STRIP_OFFSETS, end, count)
    return with_value(data, page, STRIP_LENGTHS, end + 4 * count, count) + lists


def nested(steps: int, tags: int = 4000) -> bytes:
    """Return a file of directories of which each begins four bytes behind the one before, and names the next."""
    out = bytearray(b"II*\0" + struct.pack("<I", 8) + bytes(12 * tags + 4 * steps + 100))
    for at in range(8, 8 + 4 * steps, 4):
        struct.pack_into("<H", out, at, tags)
        struct.pack_into("<I", out, at + 2 + 12 * tags, at + 4)
    return bytes(out)


def many(count: int) -> bytes:
    """Return a file of so many pages, each a directory of one tag."""
    step = 2 + 12 + 4
    places = range(8 + step, 8 + step * count, step)
    return b"II*\0\x08\0\0\0" + b"".join(
        struct.pack("<HHHIII", 1, NEW_SUBFILE, 4, 1, 0, following) for following in (*places, 0)
    )


def write_scan(path: Path, pictures: Sequence[np.ndarray], **options: Any) -> Path:
    """Write a TIFF of pages."""
    path.write_bytes(scan(pictures, **options))
    return path
