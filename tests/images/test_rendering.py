"""What samples become: bands, range, profile, transparency, whatever the format."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from imgcluster.config import AS_SHOWN, Reading
from imgcluster.errors import ImageError
from imgcluster.images.rendering import render
from imgcluster.images.stored import Alpha, Stored

BANDS = np.arange(5 * 12, dtype=np.uint8).reshape(3, 4, 5)
RAMP = np.array([[0, 1000, 2000, 4000]], np.uint16)


def shown(samples: np.ndarray, reading: Reading = AS_SHOWN, **meaning: object) -> np.ndarray:
    return render(Stored(samples, **meaning), reading)[0]  # type: ignore[arg-type]


def greys(samples: np.ndarray, **options: object) -> list[int]:
    """The first row of what is grey, under a reading."""
    found = shown(samples, Reading(**options))  # type: ignore[arg-type]
    assert (found[..., :1] == found).all()
    return [int(value) for value in found[0, :, 0]]


def test_bands_are_counted_from_one() -> None:
    np.testing.assert_array_equal(shown(BANDS), BANDS[..., :3])
    np.testing.assert_array_equal(shown(BANDS, Reading(bands=(4, 3, 2))), BANDS[..., [3, 2, 1]])
    np.testing.assert_array_equal(shown(BANDS, Reading(bands=(5,))), np.repeat(BANDS[..., 4:], 3, axis=2))
    np.testing.assert_array_equal(shown(BANDS[..., :2]), np.repeat(BANDS[..., :1], 3, axis=2))


def test_a_band_that_is_missing_is_named() -> None:
    with pytest.raises(ImageError, match=r"^images\.bands asks for band 6; it has 5$"):
        shown(BANDS, Reading(bands=(6, 1, 2)))


def test_opacity_that_is_asked_for_as_a_band_is_one() -> None:
    rgba = np.dstack([BANDS[..., :3], np.full((3, 4), 100, np.uint8)])
    found = shown(rgba, Reading(bands=(4, 3, 2)), alpha=Alpha.STRAIGHT)
    np.testing.assert_array_equal(found, rgba[..., [3, 2, 1]])


@pytest.mark.parametrize(
    ("values", "white"),
    [
        ((0, 255), 255),
        ((0, 256), 1023),
        ((5, 1023), 1023),
        ((0, 1024), 4095),
        ((0, 4096), 16_383),
        ((0, 16_384), 65_535),
    ],
)
def test_sixteen_bits_are_those_in_use(values: tuple[int, int], white: int) -> None:
    samples = np.array([values], np.uint16)
    assert greys(samples) == [round(value * 255 / white) for value in values]
    assert greys(samples, range="declared") == [round(value * 255 / 65_535) for value in values]


def test_a_declared_white_needs_no_guess() -> None:
    assert shown(RAMP, white=8191)[0, :, 0].tolist() == [0, 31, 62, 125]


def test_a_range_of_the_run_is_the_same_for_all_files() -> None:
    assert greys(RAMP, range=(0, 4000)) == [0, 64, 128, 255]
    assert greys(RAMP, range=(1000, 2000)) == [0, 0, 255, 255]
    assert greys(RAMP[:, :2], range=(0, 4000)) == [0, 64]
    assert greys(RAMP.astype(np.float32), range=(0, 4000)) == [0, 64, 128, 255]
    assert greys(np.array([[0, 100, 200]], np.uint8), range=(100, 200)) == [0, 0, 255]


def test_percentiles_leave_out_what_is_rare() -> None:
    samples = np.full((10, 100), 500, np.float64)
    samples[:, ::2] = 100
    samples[0, 0], samples[0, 1] = -1e9, 1e9
    assert shown(samples, Reading(range="percentile"))[0, :4, 0].tolist() == [0, 255, 0, 255]


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.uint32, np.float16, np.float32, np.float64])
def test_other_formats_are_stretched(kind: type) -> None:
    assert greys(np.array([[10, 20, 30]], kind)) == [0, 128, 255]


@pytest.mark.parametrize("nodata", [-9999.0, float("nan")])
@pytest.mark.parametrize("range", ["auto", "declared", "percentile", (10, 30)])
def test_pixels_without_data_count_in_no_range_and_are_white(nodata: float, range: object) -> None:
    samples = np.array([[10, 20, nodata, 30]], np.float32)
    found = shown(samples, Reading(range=range), nodata=nodata)[0, :, 0]  # type: ignore[arg-type]
    assert found[2] == 255
    assert np.abs(found[[0, 1, 3]].astype(int) - [0, 128, 255]).max() <= 6


@pytest.mark.parametrize(
    ("kind", "nodata"),
    [
        *(("u2", value) for value in (-9999.0, -1.0, 65_536.0, 0.5)),
        ("i2", 40_000.0),
        *((kind, value) for kind in ("u2", "i2", "i4", "u8", "i8") for value in (1e300, np.nan, np.inf, -np.inf)),
    ],
)
def test_a_value_that_the_samples_cannot_hold_hides_no_pixel(kind: str, nodata: float) -> None:
    samples = np.array([[0, 1, 2, 3, 500]], kind)
    if np.isfinite(nodata) and nodata < 1e300:
        samples[0, 0] = np.array(int(nodata)).astype(kind)  # what a cast makes of it
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(shown(samples, nodata=nodata), shown(samples))


def test_a_value_without_data_beyond_float32_raises_no_warning() -> None:
    samples = np.array([[0, 1, np.inf]], np.float32)
    with np.errstate(all="raise"):
        assert shown(samples, nodata=1e300)[0, :, 0].tolist() == [0, 255, 255]


def test_a_picture_without_any_data_is_white() -> None:
    assert shown(np.full((2, 2), -1, np.float32), nodata=-1.0).min() == 255


def test_a_pixel_has_data_where_one_band_has() -> None:
    samples = np.array([[[0, 0, 0], [0, 0, 65_535]]], np.uint16)
    assert shown(samples, nodata=0.0)[0].tolist() == [[255, 255, 255], [0, 0, 255]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("range", ["auto", "percentile"])
def test_values_that_are_not_finite_are_refused(value: float, range: str) -> None:
    samples = np.full((9, 9), 7.0)
    samples[:5] = value
    with pytest.raises(ImageError, match="not finite"):
        shown(samples, Reading(range=range))


def test_a_fixed_range_takes_infinite_values_and_refuses_those_that_are_no_number() -> None:
    assert greys(np.array([[-np.inf, 0, 1, np.inf]], np.float32), range=(0, 1)) == [0, 0, 255, 255]
    with pytest.raises(ImageError, match="not finite"):
        shown(np.array([[0, np.nan]], np.float32), Reading(range=(0, 1)))


def test_white_is_zero() -> None:
    assert shown(np.array([[0, 255]], np.uint8), white_is_zero=True)[0, :, 0].tolist() == [255, 0]


def test_colours_that_exceed_their_opacity_do_not_wrap() -> None:
    rgba = np.array([[[200, 10, 0, 100]]], np.uint8)
    assert shown(rgba, alpha=Alpha.MULTIPLIED)[0, 0].tolist() == [255, 165, 155]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_that_of_pillow(orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(BANDS[..., :3])
    image.info["exif"] = exif.tobytes()
    wanted = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(shown(BANDS[..., :3], orientation=orientation), wanted)


def test_bands_of_inks_are_shown_as_they_are() -> None:
    np.testing.assert_array_equal(shown(BANDS[..., :4], Reading(bands=(1, 2, 3)), inks=True), BANDS[..., :3])


@pytest.mark.parametrize(("kind", "opaque"), [(np.float32, 1), (np.int16, 2**15 - 1), (np.uint32, 2**32 - 1)])
def test_opacity_of_any_format_is_not_stretched(kind: type, opaque: int) -> None:
    samples = np.zeros((2, 2, 4), kind)
    samples[0, ..., 0], samples[..., 3] = opaque, opaque
    assert shown(samples, alpha=Alpha.STRAIGHT).tolist() == [[[255, 0, 0]] * 2, [[0, 0, 0]] * 2]
    samples[1, ..., 3] = 0
    assert shown(samples, alpha=Alpha.STRAIGHT)[1].tolist() == [[255] * 3] * 2
