"""The short way of reading everyday JPEG and PNG files: the same pixels and limits as the long one."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from imgcluster.config import AS_SHOWN
from imgcluster.errors import ImageError
from imgcluster.images.containers import jpeg, png
from imgcluster.images.decode import decode_image
from imgcluster.images.decoders import decode
from imgcluster.images.file_kinds import everyday_kind, kind_of
from imgcluster.images.pixel_check import picture
from imgcluster.images.rendering import render
from imgcluster.images.stored import Wanted

PICTURE = Image.fromarray(picture(48, 64))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def written(format: str, image: Image.Image = PICTURE, **options: object) -> bytes:
    out = BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


EVERYDAY: list[tuple[str, Callable[[], bytes]]] = [
    ("JPEG", lambda: written("JPEG")),
    ("JPEG", lambda: written("JPEG", progressive=True)),
    ("JPEG", lambda: written("JPEG", PICTURE.convert("L"))),
    ("JPEG", lambda: written("JPEG", PICTURE.convert("CMYK"))),
    ("JPEG", lambda: written("JPEG", comment=b"a comment")),
    ("PNG", lambda: written("PNG")),
    ("PNG", lambda: written("PNG", dpi=(300, 300))),
]
SPECIAL: list[tuple[str, Callable[[], bytes]]] = [
    ("JPEG", lambda: written("JPEG", icc_profile=SRGB)),
    ("PNG", lambda: written("PNG", icc_profile=SRGB)),
    ("PNG", lambda: written("PNG", PICTURE.convert("L"))),
    ("PNG", lambda: written("PNG", PICTURE.convert("RGBA"))),
    ("PNG", lambda: written("PNG", transparency=(0, 0, 0))),
]


def short_way(data: bytes, least: int | None = None) -> np.ndarray | None:
    return jpeg.read_plain(data, least) if everyday_kind(data) == "JPEG" else png.read_plain(data)


def long_way(data: bytes, least: int | None = None) -> np.ndarray:
    return render(decode(data, Wanted(least)), AS_SHOWN)[0]


@pytest.mark.parametrize(("kind", "make"), EVERYDAY)
@pytest.mark.parametrize("least", [None, 8])
def test_everyday_files_give_the_pixels_of_the_long_way(
    kind: str, make: Callable[[], bytes], least: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make()
    assert everyday_kind(data) == kind_of(data) == kind
    found = short_way(data, least)
    assert found is not None
    np.testing.assert_array_equal(found, decode_image(data, least))
    monkeypatch.setattr(jpeg, "read_plain", lambda data, least: None)
    np.testing.assert_array_equal(found, long_way(data, least))


@pytest.mark.parametrize(("kind", "make"), SPECIAL)
def test_others_go_the_long_way(kind: str, make: Callable[[], bytes]) -> None:
    data = make()
    assert everyday_kind(data) == kind
    assert short_way(data) is None
    np.testing.assert_array_equal(decode_image(data), long_way(data))


@pytest.mark.parametrize(("kind", "make"), EVERYDAY)
def test_what_breaks_off_is_an_error_whichever_way(kind: str, make: Callable[[], bytes]) -> None:
    data = make()
    for length in (10, 30, len(data) // 2):
        with pytest.raises(ImageError, match=f"^(truncated|damaged) {kind}$"):
            decode_image(data[:length])


@pytest.mark.parametrize(("kind", "at", "big"), [("JPEG", None, b"\xff\xff\xff\xff"), ("PNG", 16, b"\0\1\0\0" * 2)])
def test_too_large_a_picture_is_refused_before_decoding(kind: str, at: int | None, big: bytes) -> None:
    data = bytearray(written(kind))
    if at is None:
        at = data.index(b"\xff\xc0") + 5
    data[at : at + len(big)] = big
    with pytest.raises(ImageError, match=r"^has more than 268,435,456 pixels$"):
        short_way(bytes(data))


def test_a_dicom_whose_preamble_is_a_jpeg_is_no_jpeg() -> None:
    data = written("JPEG")[:128].ljust(128, b"\0") + b"DICM"
    assert everyday_kind(data) is None
    assert kind_of(data) == "DICOM"
