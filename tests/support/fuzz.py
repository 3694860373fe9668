"""`python -m tests.support.fuzz [MINUTES]`: damaged bytes of images through the reader, until the time is over.

The reader works in a process of its own, which a fault may end: then the bytes are kept as a file, to be made a case of
tests/bad_input. What may come of any bytes is a picture of RGB, or an ImageError.
"""

from __future__ import annotations

import io
import os
import random
import re
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from imgcluster.errors import ImageError
from imgcluster.images.decode import decode_image
from tests.support.formats.table import ALL
from tests.support.warm import Program, Running

BATCH = 400  # images in one process
SECONDS_AN_IMAGE = 20
MOST_MB = 2048
EXTREMES = tuple(map(bytes.fromhex, ("0000", "ffff", "7fffffff", "ffffffff", "00000000", "80000000")))
KEPT = Path("fuzz")


def whole_images() -> list[bytes]:
    """Return small images of many kinds, all of which can be read."""
    noise = np.random.default_rng(0).integers(0, 255, (40, 56, 4), np.uint8)
    rgb, rgba = Image.fromarray(noise[..., :3]), Image.fromarray(noise)
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation
    images = [
        (rgb, "jpeg", {"exif": exif}), (rgb, "jpeg", {"progressive": True}), (rgb.convert("CMYK"), "jpeg", {}),
        (rgb.convert("L"), "jpeg", {}), (rgb, "png", {}), (rgba, "png", {}), (rgb.convert("P"), "png", {}),
        (rgb.convert("1"), "png", {}), (rgb, "webp", {}), (rgba, "webp", {"lossless": True}), (rgb, "tiff", {}),
        (rgb, "tiff", {"compression": "tiff_lzw"}), (rgb.convert("P"), "gif", {}), (rgb, "bmp", {}), (rgb, "ppm", {}),
    ]  # fmt: skip
    found = [_saved(image, kind, **options) for image, kind, options in images]
    deep = noise[..., :3].astype(np.uint16) * 257
    found += [cv2.imencode(ending, deep)[1].tobytes() for ending in (".png", ".tiff")]
    return found + [each.make() for each in ALL if each.truth is not None and "orientation" not in each.name]


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


# ---- damage


def damaged(images: list[bytes], number: int) -> bytes:
    """Return the bytes of an image with some damage; the same for the same number."""
    generator = random.Random(number)
    data = bytearray(generator.choice(images))
    for _ in range(generator.choice((1, 1, 2, 4, 16))):
        generator.choice(DAMAGES)(data, generator, images)
    return bytes(data)


def _flip(data: bytearray, generator: random.Random, _: list[bytes]) -> None:
    if data:
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)


def _flip_in_head(data: bytearray, generator: random.Random, _: list[bytes]) -> None:
    if data:
        data[generator.randrange(min(64, len(data)))] = generator.randrange(256)


def _overwrite(data: bytearray, generator: random.Random, _: list[bytes]) -> None:
    extreme, start = generator.choice(EXTREMES), generator.randrange(len(data) + 1)
    data[start : start + len(extreme)] = extreme


def _cut(data: bytearray, generator: random.Random, _: list[bytes]) -> None:
    del data[generator.randrange(len(data) + 1) :]


def _leave_out(data: bytearray, generator: random.Random, _: list[bytes]) -> None:
    start = generator.randrange(len(data) + 1)
    del data[start : start + generator.randrange(64)]


def _repeat(data: bytearray, generator: random.Random, _: list[bytes]) -> None:
    start = generator.randrange(len(data) + 1)
    data[start:start] = data[start : start + generator.randrange(64)]


def _splice(data: bytearray, generator: random.Random, images: list[bytes]) -> None:
    other = generator.choice(images)
    data[generator.randrange(len(data) + 1) :] = other[generator.randrange(len(other)) :]


DAMAGES: tuple[Callable[[bytearray, random.Random, list[bytes]], None], ...] = (
    _flip, _flip, _flip_in_head, _overwrite, _cut, _leave_out, _repeat, _splice,
)  # fmt: skip


# ---- read


def read_damaged(first: int, count: int) -> None:
    """Read so many, and tell of each before it is begun. Raises what is neither a picture nor an ImageError."""
    images = whole_images()
    for number in range(first, first + count):
        print(number, flush=True)
        signal.alarm(SECONDS_AN_IMAGE)
        with suppress(ImageError):
            picture = decode_image(damaged(images, number), random.Random(number).choice((None, 16)))
            assert (picture.dtype, picture.ndim, picture.shape[2]) == (np.uint8, 3, 3)
            assert picture.size
        assert (most := most_memory()) < MOST_MB, f"{most:.0f} MB"


def most_memory() -> float:
    """Return the most megabytes that this process has had; what it began with as a fork is not counted."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def batch(first: int, count: int = BATCH, **environment: str) -> str | None:
    """Read so many in a process of its own; returns what has gone wrong, and with which number."""
    reading = Running(Program("tests.support.fuzz", ("--read", str(first), str(count)), Path.cwd(), environment))
    told, errors = reading.communicate()
    if reading.wait() == 0:
        return None
    number = int(told.split()[-1])
    KEPT.mkdir(exist_ok=True)
    (KEPT / str(number)).write_bytes(damaged(whole_images(), number))
    last = (errors.strip() or "nothing said").splitlines()[-1]
    return f"number {number}: ended with {reading.wait()}: {last}; its bytes are in {KEPT / str(number)}"


def main() -> None:
    """Read damaged images for so many minutes, from another number on each time; exit with 1 where one was too much."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    first = int.from_bytes(os.urandom(6), "big")
    ends, read, wrong = time.monotonic() + 60 * minutes, 0, 0
    while time.monotonic() < ends:
        if told := batch(first + read):
            print(told)
            wrong += 1
        read += BATCH
    print(f"{read:,} damaged images, from number {first} on: {wrong} batches ended before their time")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    if "--read" in sys.argv:
        read_damaged(*map(int, sys.argv[2:]))
    else:
        main()
