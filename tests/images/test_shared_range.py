"""`images.range: shared`: the same range for all images of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from imgcluster import config_from_dict, run
from imgcluster.config import Config, Reading, config_as_used
from imgcluster.config.reading import reading_of
from imgcluster.errors import ImageError
from imgcluster.images import bytes_of, find_images, range_notes, read_image, shared_range, with_shared_range
from imgcluster.images.shared_range import MAX_IMAGES
from imgcluster.labels.assignment import assign
from imgcluster.runs import read_run
from imgcluster.types import ImageFile, ImagePath

Limits = tuple[float, float]


def config_of(folder: Path, range: object = "shared", **images: object) -> Config:
    return config_from_dict(
        {
            "images": {"folder": str(folder / "tiles"), "range": range, **images},
            "features": {"backbone": "efficientnet_lite0", "store": str(folder / "store")},
            "clusters": {"n_clusters": 2},
            "outputs": {"folder": str(folder / "out"), "submission": None},
        }
    )


def write_ramp(file: Path, low: float, high: float, dtype: type = np.uint16) -> None:
    """Write a picture whose values are evenly spread."""
    file.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(file), np.linspace(low, high, 1024).reshape(32, 32).astype(dtype))


def listed(config: Config) -> Sequence[ImageFile]:
    return find_images(config.images).images


def limits_of(config: Config) -> Limits | None:
    return with_shared_range(config, listed(config)).images.reading.limits


def test_dim_and_bright_tiles_of_a_scene_keep_their_brightness(tmp_path: Path) -> None:
    write_ramp(tmp_path / "tiles/dim.tif", 0, 1000)  # as 10 bits, it would be as bright as the other
    write_ramp(tmp_path / "tiles/bright.tif", 0, 4000)
    config = config_of(tmp_path)
    found = with_shared_range(config, find_images(config.images).images)
    dim, bright = (
        read_image(tmp_path / f"tiles/{name}.tif", reading=found.images.reading) for name in ("dim", "bright")
    )
    assert found.images.reading.limits == (0, 4000)
    assert found.features.reading == found.images.reading
    assert (int(dim.max()), int(bright.max())) == (64, 255)
    assert read_image(tmp_path / "tiles/dim.tif").max() == 249
    assert range_notes(found, listed(config)) == ["images.range: shared is [0, 4000]"]


def test_pictures_of_eight_bits_neither_give_nor_take_a_range(tmp_path: Path) -> None:
    write_ramp(tmp_path / "tiles/a.tif", 1000, 2000)
    write_ramp(tmp_path / "tiles/b.png", 0, 255, np.uint8)
    config = config_of(tmp_path)
    found = with_shared_range(config, find_images(config.images).images)
    assert found.images.reading.limits == (1000, 2000)
    plain = read_image(tmp_path / "tiles/b.png", reading=found.images.reading)
    np.testing.assert_array_equal(plain, read_image(tmp_path / "tiles/b.png"))


def test_without_deep_pictures_there_is_no_range(tmp_path: Path) -> None:
    write_ramp(tmp_path / "tiles/b.png", 0, 255, np.uint8)
    (tmp_path / "tiles/broken.tif").write_bytes(b"II*\0")
    config = config_of(tmp_path)
    found = with_shared_range(config, find_images(config.images).images)
    assert found.images.reading.limits is None
    assert range_notes(found, listed(config)) == [
        "images.range: shared has no effect: no image of more than 8 bits was found"
    ]
    write_ramp(tmp_path / "late.tif", 0, 4000)  # a later one is read as by `auto`
    late = read_image(tmp_path / "late.tif", reading=found.images.reading)
    np.testing.assert_array_equal(late, read_image(tmp_path / "late.tif"))


@pytest.mark.parametrize(
    ("range", "limits"),
    [({"shared": [0, 100]}, (0, 1000)), ({"shared": [10, 90]}, (90, 900)), ("auto", None), ("percentile", None)],
)
def test_percentiles_are_those_of_the_config(tmp_path: Path, range: object, limits: Limits | None) -> None:
    write_ramp(tmp_path / "tiles/a.tif", 0, 1000)
    assert limits_of(config_of(tmp_path, range)) == limits


def test_a_few_hot_pixels_change_nothing(tmp_path: Path) -> None:
    values = np.linspace(100, 1100, 100 * 100).reshape(100, 100).astype(np.uint16)
    values[3, 3:6] = 65_000
    (tmp_path / "tiles").mkdir()
    cv2.imwrite(str(tmp_path / "tiles/a.tif"), values)
    assert limits_of(config_of(tmp_path)) == (100, 1100)


def test_only_the_bands_shown_count_and_no_values_that_are_not_finite(tmp_path: Path) -> None:
    bands = np.zeros((32, 32, 3), np.float32)
    bands[..., 2] = np.linspace(0, 1, 1024).reshape(32, 32)  # red: OpenCV writes blue, green, red
    bands[..., 0], bands[0, 0, 2] = 50, np.nan
    (tmp_path / "tiles").mkdir()
    cv2.imwrite(str(tmp_path / "tiles/a.tif"), bands)
    assert limits_of(config_of(tmp_path, bands=[1])) == (0, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("range", ["auto", "shared"])
def test_a_picture_with_values_that_are_not_finite_is_a_failure(tmp_path: Path, range: str, value: float) -> None:
    pixels = np.linspace(0, 1, 1024, dtype=np.float32).reshape(32, 32)
    (tmp_path / "tiles").mkdir()
    cv2.imwrite(str(tmp_path / "tiles/good.tif"), pixels)
    pixels[3, 4] = value
    cv2.imwrite(str(tmp_path / "tiles/bad.tif"), pixels)
    config = config_of(tmp_path, range)
    reading = with_shared_range(config, find_images(config.images).images).images.reading
    read_image(tmp_path / "tiles/good.tif", reading=reading)
    with pytest.raises(ImageError, match=r"^holds values that are not finite$"):
        read_image(tmp_path / "tiles/bad.tif", reading=reading)


def test_a_range_of_the_config_shows_infinity_as_white(tmp_path: Path) -> None:
    pixels = np.zeros((32, 32), np.float32)
    pixels[3, 4] = np.inf
    cv2.imwrite(str(tmp_path / "a.tif"), pixels)
    assert read_image(tmp_path / "a.tif", reading=Reading(range=(0, 1))).max() == 255


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ((1e6, 1e6 + 1), "[1000000, 1000001]"),
        ((0.1, 123_456.75), "[0.1, 123456.75]"),
        ((-1000, 3095), "[-1000, 3095]"),
        ((1e-7, 2e20), "[1e-07, 2e+20]"),
    ],
)
def test_the_note_has_all_digits_of_a_range(tmp_path: Path, limits: Limits, text: str) -> None:
    assert range_notes(config_of(tmp_path).with_limits(limits), []) == [f"images.range: shared is {text}"]


def test_values_of_dicoms_are_in_their_units(tmp_path: Path) -> None:
    pytest.importorskip("pydicom", reason='needs pydicom: pip install "imgcluster[formats]"')
    pytest.importorskip("imagecodecs", reason='needs imagecodecs: pip install "imgcluster[formats]"')
    pytest.importorskip("tifffile", reason="it writes files of other formats")
    from tests.support.formats.writers import dicom

    values = np.linspace(0, 2000, 1024).reshape(32, 32).astype(np.int16)
    (tmp_path / "tiles").mkdir()
    units = {"RescaleSlope": 1, "RescaleIntercept": -1000, "WindowCenter": 40, "WindowWidth": 400}
    (tmp_path / "tiles/a.dcm").write_bytes(dicom(values, **units))
    assert limits_of(config_of(tmp_path, {"shared": [0, 100]})) == (-1000, 1000)


def test_a_sample_is_spread_over_the_list(tmp_path: Path) -> None:
    for number in range(2 * MAX_IMAGES):
        write_ramp(tmp_path / f"tiles/{number}.tif", 0, 1000 if number < MAX_IMAGES else 2000)
    assert limits_of(config_of(tmp_path, {"shared": [0, 100]})) == (0, 2000)


def write_shallow(folder: Path, count: int, ending: str = "png") -> None:
    """Write pictures of 8 bits, whose names begin with digits."""
    folder.mkdir(exist_ok=True)
    _, encoded = cv2.imencode(f".{ending}", np.full((4, 4, 3), 7, np.uint8))
    for number in range(count):
        (folder / f"{number:05}.{ending}").write_bytes(encoded.tobytes())


@pytest.mark.parametrize("ending", ["png", "tif", "ppm"])
def test_a_few_deep_pictures_among_many_of_eight_bits_are_found(tmp_path: Path, ending: str) -> None:
    write_shallow(tmp_path / "tiles", 200, ending)
    write_ramp(tmp_path / "tiles/00070a.png", 0, 1000)
    write_ramp(tmp_path / "tiles/00131a.png", 0, 4000)
    config = config_of(tmp_path, {"shared": [0, 100]})
    assert limits_of(config) == (0, 4000)
    assert limits_of(config) == (0, 4000)  # remembered
    (tmp_path / "tiles/00131a.png").unlink()
    assert limits_of(config) == (0, 1000)


def test_pictures_of_eight_bits_are_told_by_their_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for ending in ("png", "tif", "ppm"):
        write_shallow(tmp_path / "tiles", 50, ending)
    write_ramp(tmp_path / "tiles/00020a.tif", 0, 1000)
    read: list[str] = []

    def noted(path: ImagePath) -> bytes:
        read.append(Path(str(path)).name)
        return bytes_of(path)

    monkeypatch.setattr(shared_range, "bytes_of", noted)
    assert limits_of(config_of(tmp_path, {"shared": [0, 100]})) == (0, 1000)
    assert {*read} == {"00020a.tif"}


def test_of_very_many_files_the_note_says_how_many_were_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shallow(tmp_path / "tiles", 200)
    monkeypatch.setattr(shared_range, "MAX_COST", 150)
    found = with_shared_range(config := config_of(tmp_path), listed(config))
    says = "images.range: shared has no effect: no image of more than 8 bits was found in 150 files out of 200"
    assert range_notes(found, listed(config)) == [says]


def test_as_many_deep_pictures_count_however_many_of_eight_bits_lie_between(tmp_path: Path) -> None:
    write_shallow(tmp_path / "tiles", 150)
    for number in range(2 * MAX_IMAGES):
        write_ramp(tmp_path / f"tiles/{number:05}a.png", 0, 1000 + number)
    config = config_of(tmp_path)
    paths = shared_range._spread(listed(config))
    assert len(paths) == len({*paths}) == 150 + 2 * MAX_IMAGES
    _, is_enough = shared_range._limits(paths, config.images.reading, (0, 100))
    assert is_enough


def test_a_run_records_its_range_and_new_images_get_it(tmp_path: Path) -> None:
    for number in range(6):
        write_ramp(tmp_path / f"tiles/{number}.tif", 0, 1000 * (1 + number % 2))
    config = config_of(tmp_path)
    result = run(config, show=False)
    record = json.loads((tmp_path / "out/run.json").read_text())
    assert record["shared_range"] == [0, 2000]
    assert "images.range: shared is [0, 2000]" in record["notes"]
    assert read_run(tmp_path / "out").config.images.reading == result.config.images.reading
    write_ramp(tmp_path / "new/dim.tif", 0, 1000)
    write_ramp(tmp_path / "new/brighter.tif", 0, 9000)
    placed = assign(tmp_path / "out", tmp_path / "new", show=False)
    assert placed.features.origins[0].fingerprint == result.features.origins[0].fingerprint
    like = {image.id: row for row, image in enumerate(result.features.images)}
    dim = [image.id for image in placed.features.images].index("dim.tif")
    np.testing.assert_allclose(placed.features.vectors[dim], result.features.vectors[like["0.tif"]], atol=1e-6)
    write_ramp(tmp_path / "tiles/6.tif", 0, 8000)  # another range: none of the features can be used again
    assert run(config, show=False, force=True).features.origins[0].reused == 0


def test_the_same_range_shares_features(tmp_path: Path) -> None:
    for number in range(4):
        write_ramp(tmp_path / f"tiles/{number}.tif", 0, 2000)
    run(config_of(tmp_path), show=False)
    write_ramp(tmp_path / "tiles/4.tif", 3, 1990)
    assert run(config_of(tmp_path), show=False).features.origins[0].reused == 4


def test_the_config_as_used_after_a_fallback_keeps_the_range(tmp_path: Path) -> None:
    config = config_of(tmp_path).with_limits((100, 1200))
    origin = {"backbone": "vgg16", "fallback": {"wanted": "efficientnet_lite0", "taken": "vgg16"}, "stores": ["a"]}
    used = config_as_used(config, [origin])
    assert (used.features.backbone, used.features.reading.limits) == ("vgg16", (100, 1200))


def test_what_is_kept_of_a_reading_gives_it_again() -> None:
    for reading in (Reading(range="shared", limits=(0.5, 2)), Reading(range="percentile", percentiles=(1, 99))):
        assert reading_of(json.loads(json.dumps(reading.changes()))) == reading
