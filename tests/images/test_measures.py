"""Measures of pictures: their order on pictures degraded step by step, and what they do not depend on."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from imgcluster.images import FRAME, MEASURED, MEASURES, decode_picture, jpeg, measure, png, signature
from imgcluster.images.statistics import exact_pixels, uniform_border
from tests.benchmarks.degrade import KINDS, STRENGTHS


def photograph(height: int = 480, width: int = 640, seed: int = 0) -> np.ndarray:
    """Return noise on several scales with edges, (height, width, 3) RGB uint8: the spectrum of a photograph."""
    generator = np.random.default_rng(seed)
    picture = np.full((height, width, 3), 128, np.float32)
    for cells in (4, 8, 16, 32, 64, 128):
        layer = generator.normal(0, 140 / cells**0.6, (cells, cells, 3)).astype(np.float32)
        picture += cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(30):
        x, y = generator.integers(0, width), generator.integers(0, height)
        colour = tuple(int(value) for value in generator.integers(0, 255, 3))
        cv2.circle(picture, (int(x), int(y)), int(generator.integers(10, 60)), colour, -1)
    return np.asarray(picture.clip(0, 255), np.uint8)


def of(pixels: np.ndarray, name: str, data: bytes = b"") -> float:
    return float(measure(np.ascontiguousarray(pixels), data)[name])


@pytest.mark.parametrize(
    ("kind", "name", "sign"),
    [
        ("dark", "brightness_high", -1),
        ("bright", "brightness_low", 1),
        ("blurred", "sharpness", -1),
        ("low_information", "information", -1),
        ("grey", "colorfulness", -1),
    ],
)
def test_each_strength_measures_worse_than_the_one_before(kind: str, name: str, sign: int) -> None:
    picture = photograph()
    found = [of(picture, name), *(of(KINDS[kind](picture, strength), name) for strength in range(STRENGTHS))]
    assert all(sign * later > sign * earlier for earlier, later in pairwise(found)), found


def test_stronger_compression_has_more_blocks_and_any_has_more_than_none() -> None:
    picture = photograph()
    found = [of(decode_picture(jpeg(picture, quality)).pixels, "blocks") for quality in (90, 30, 10, 5)]
    assert found == sorted(found)
    assert found[-1] > 5 * max(0.01, of(picture, "blocks"))
    shifted = decode_picture(jpeg(picture, 5)).pixels[3:, 5:]
    assert of(shifted, "blocks") == pytest.approx(found[-1], rel=0.3)  # wherever the grid begins


def test_blocks_are_not_measured_where_reduction_has_averaged_them() -> None:
    data = jpeg(photograph(1600, 2000), 20)
    whole, half, quarter = (measure(decode_picture(data, least).pixels, data) for least in (None, 800, 400))
    assert whole["blocks"] > 0.05
    assert half["blocks"] > 0.05
    assert np.isnan(quarter["blocks"])
    assert {(int(each["width"]), int(each["height"])) for each in (whole, half, quarter)} == {(2000, 1600)}


@pytest.mark.parametrize("name", ["sharpness", "information", "colorfulness", "brightness", "border"])
def test_size_and_format_change_little(name: str) -> None:
    picture = photograph(960, 1280)
    smaller = cv2.resize(picture, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    wanted = of(picture, name)
    blurred = of(KINDS["blurred"](picture, 2), name)
    near = 0.25 * abs(wanted - blurred) if name == "sharpness" else 0.05 * max(1, abs(wanted))
    for other in (smaller, decode_picture(jpeg(picture, 90)).pixels, decode_picture(png(picture)).pixels):
        assert of(other, name) == pytest.approx(wanted, abs=near)


def test_noise_is_no_sharpness_and_flat_pictures_have_none() -> None:
    blurred = KINDS["blurred"](photograph(), 3)
    noisy = (blurred + np.random.default_rng(1).normal(0, 2, blurred.shape)).clip(0, 255).astype(np.uint8)
    assert of(noisy, "sharpness") < 0.6 * of(photograph(), "sharpness")
    assert np.isnan(of(np.full((200, 300, 3), 90, np.uint8), "sharpness"))
    bokeh = KINDS["blurred"](photograph(), 3)
    bokeh[150:330, 200:440] = photograph()[150:330, 200:440]
    assert of(bokeh, "sharpness") > 0.7 * of(photograph(), "sharpness")  # what is in focus counts


def test_borders_are_a_share_of_the_longer_of_both_ways() -> None:
    framed = photograph(400, 400)
    framed[:60] = framed[-40:] = 255
    assert of(framed, "border") == pytest.approx(0.25, abs=0.02)
    framed[:, :200] = 0
    assert of(framed[100:300], "border") == pytest.approx(0.5, abs=0.02)
    assert uniform_border(np.full((30, 40), 7, np.uint8)) == 1
    assert of(photograph(), "border") == 0


def screenshot() -> np.ndarray:
    page = np.full((480, 640, 3), 250, np.uint8)
    cv2.rectangle(page, (0, 0), (640, 60), (40, 90, 160), -1)
    for row in range(100, 460, 24):
        for column in range(30, 600, 14):
            cv2.rectangle(page, (column, row), (column + (row * column) % 9 + 2, row + 10), (20, 20, 20), -1)
    return page


def test_what_a_computer_draws_looks_like_a_screenshot() -> None:
    assert of(screenshot(), "screenshot") > 0.8
    assert of(photograph(), "screenshot") < 0.5  # its discs are flat, too
    assert of(np.full((99, 99, 3), 9, np.uint8), "screenshot") == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 2), (7, 9), (30, 3000), (257, 513)])
@pytest.mark.parametrize("value", [0, 255, None])
def test_any_shape_and_colour_is_measured(shape: tuple[int, int], value: int | None) -> None:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 255, (*shape, 3)) if value is None else np.full((*shape, 3), value)
    found = measure(pixels.astype(np.uint8), b"")
    assert (found["height"], found["width"], found["format"]) == (*shape, b"")
    assert all(np.isfinite(found[name]) for name in set(MEASURES) - {"sharpness", "blocks", "screenshot"})
    assert 0 <= found["information"] <= 1
    assert 0 <= found["border"] <= 1
    assert found["signature"].shape == (1024,)


def test_transparency_depth_and_grey() -> None:
    rgba = np.dstack([photograph(80, 100), np.full((80, 100), 255, np.uint8)])
    rgba[:20, :, 3] = 0
    data = cv2.imencode(".png", rgba)[1].tobytes()
    picture = decode_picture(data)
    assert picture.transparency == pytest.approx(0.25)
    found = measure(picture.pixels, data, picture.transparency)
    assert (found["transparency"], found["format"], found["bytes"]) == (0.25, b"PNG", len(data))
    deep = cv2.imencode(".png", photograph(80, 100).astype(np.uint16) * 257)[1].tobytes()
    assert decode_picture(deep).transparency == 0
    grey = cv2.imencode(".png", photograph(80, 100)[..., 0])[1].tobytes()
    assert of(decode_picture(grey).pixels, "colorfulness", grey) == 0


def test_a_frame_has_no_file_of_its_own() -> None:
    found = measure(photograph(20, 30), b"P6 30 20 255\n", is_frame=True)
    assert (found["format"].item().decode(), int(found["bytes"])) == (FRAME, 0)


def test_signatures_tell_copies_from_other_pictures() -> None:
    one, other = signature(photograph()), signature(photograph(seed=5))
    copy = signature(decode_picture(jpeg(cv2.resize(photograph(), (320, 240)), 40)).pixels)
    assert (one.shape, one.dtype) == ((1024,), np.float32)
    assert np.abs(one - copy).mean() < 3
    assert np.abs(one - other).mean() > 10
    np.testing.assert_array_equal(measure(photograph(), b"")["signature"], one.astype(np.uint8))


def test_a_record_is_whole_numbers_of_float32() -> None:
    assert MEASURED.itemsize % 4 == 0
    assert exact_pixels(np.zeros((1, 5), np.uint8), np.zeros((5, 1, 3), np.float32), 1.0).keys() == {
        "blocks",
        "screenshot",
    }
