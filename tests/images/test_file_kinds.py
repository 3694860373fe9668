"""What a file is, by its first bytes."""

from __future__ import annotations

import io
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgcluster.images.file_kinds import HEAD_BYTES, IMAGES, head_of, kind_of, why_no_image
from tests.support.bad_input.images import NO_IMAGES

POINTER = NO_IMAGES["a pointer of Git LFS"]
PAGE = NO_IMAGES["an HTML page"]


def encoded(format: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9), (200, 40, 40)).save(buffer, format)
    return buffer.getvalue()


def pickled_array() -> bytes:
    return pickle.dumps({"a": np.zeros(3)})


def saved_array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def safetensors() -> bytes:
    header = json.dumps({"vectors": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(2)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("JPEG2000", "JPEG 2000"),
        ("WEBP", "WebP"),
        ("PPM", "PNM"),
        *((name, name) for name in ("JPEG", "PNG", "GIF", "BMP", "TIFF")),
    ],
)
def test_a_format_that_is_read_is_known_and_nothing_is_said_against_it(name: str, kind: str) -> None:
    assert kind in IMAGES
    assert kind_of(encoded(name)[:HEAD_BYTES]) == kind
    assert why_no_image(encoded(name)) is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (POINTER, "a Git LFS pointer, not the image itself: run git lfs pull"),
        (PAGE, "an HTML page, not an image: the download failed"),
        (b"\xef\xbb\xbf\r\n  <!-- saved --> <html lang='en'>", "an HTML page, not an image: the download failed"),
        (NO_IMAGES["XML"], "XML, not an image: perhaps the error message of a failed download"),
        (NO_IMAGES["JSON"], "JSON, not an image: perhaps the error message of a failed download"),
        (NO_IMAGES["PSD"], "PSD, whatever its ending says: convert it to .jpg or .png"),
        (NO_IMAGES["OpenEXR"], "OpenEXR, whatever its ending says: convert it to .jpg or .png"),
        (
            b'<?xml version="1.0"?>\n<!-- made by hand -->\n' + NO_IMAGES["SVG"],
            "SVG, whatever its ending says: convert it to .jpg or .png",
        ),
        (NO_IMAGES["MP4"], "a video, not an image"),
        (b"\r\n" + encoded("JPEG"), "a JPEG with bytes before its beginning: remove them, or download it again"),
        (bytes(5000), "all zeros: the file was never written"),
        (b"hello", "a text file, not an image"),
        (("é" * HEAD_BYTES).encode(), "a text file, not an image"),
        (("x" + "é" * HEAD_BYTES).encode(), "a text file, not an image"),
    ],
)
def test_a_file_that_is_no_image_is_named_with_what_to_do(data: bytes, reason: str) -> None:
    assert why_no_image(data) == reason


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (safetensors(), "safetensors"),
        (pickled_array(), "a pickle"),
        (saved_array(), "a NumPy array"),
        (b"PAR1" + bytes(9), "Parquet"),
        (b"BMW, Audi, Opel\n", "a text file"),
    ],
)
def test_files_of_features_are_known_too(data: bytes, kind: str) -> None:
    assert kind_of(data) == kind


@pytest.mark.parametrize("data", [b"", b"\x01\x02\x03\x04", bytes(3) + b"\x01", bytes(range(256))])
def test_nothing_is_said_of_bytes_that_tell_nothing(data: bytes) -> None:
    assert kind_of(data) is None
    assert why_no_image(data) is None


def test_every_kind_of_the_catalogue_of_bad_input_is_known() -> None:
    assert [name for name, data in NO_IMAGES.items() if why_no_image(data) is None] == []


def test_first_bytes_of_a_file_and_of_what_is_none(tmp_path: Path) -> None:
    file, pipe = tmp_path / "file", tmp_path / "pipe"
    file.write_bytes(b"x" * (HEAD_BYTES + 1))
    os.mkfifo(pipe)  # opened without a writer, it would block
    with file.open("rb") as opened:
        assert head_of(file) == head_of(opened) == b"x" * HEAD_BYTES
    assert head_of(tmp_path) == head_of(pipe) == b""
    with pytest.raises(FileNotFoundError):
        head_of(tmp_path / "none")
