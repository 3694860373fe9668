"""One image file to RGB uint8: every written rule, on pictures whose right answer is known."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from imgcluster.config.recipe import STAGE, Recipe, named_recipe
from imgcluster.errors import ImageError
from imgcluster.images import decode as reading
from imgcluster.images import libraries, rendering
from imgcluster.images.convert import to_rgb
from imgcluster.images.decode import Marks, decode_image, decode_picture, read_image, room_for
from imgcluster.images.headers import declared_size, is_opaque
from imgcluster.images.preprocess import prepare
from imgcluster.images.transparency import GREY, NEARLY_WHITE
from tests.support.bad_input.images import NO_IMAGES, tiff
from tests.support.formats.profiles import wide_profile

# A picture in which every corner differs, so that no turn and no swap of channels goes unnoticed.
RGB = cv2.resize(
    np.array([[[250, 20, 30], [20, 240, 40]], [[30, 40, 230], [240, 230, 20]]], np.uint8),
    (48, 32),
    interpolation=cv2.INTER_NEAREST,
)
ORIENTATION = 0x0112
NAMES = {"WEBP": "WebP", "PPM": "PNM", "JPEG2000": "JPEG 2000"}  # in reasons, of Pillow's


def encoded(format: str, picture: Image.Image | np.ndarray, **options: object) -> bytes:
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def assert_close(found: np.ndarray, wanted: np.ndarray, most: int = 0) -> None:
    assert found.dtype == np.uint8
    assert found.shape == wanted.shape
    # The median, not the maximum: lossy formats blur the edges between the four colours.
    assert np.median(np.abs(found.astype(int) - wanted)) <= most


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM", "GIF"])
def test_lossless_formats_give_the_exact_pixels(format: str) -> None:
    np.testing.assert_array_equal(decode_image(encoded(format, RGB)), RGB)


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "JPEG2000"])
def test_lossy_formats_give_the_pixels_closely(format: str) -> None:
    assert_close(decode_image(encoded(format, RGB)), RGB, most=6)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = encoded(format, RGB, exif=exif)
    from PIL import ImageOps

    wanted = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    assert_close(decode_image(data), wanted, most=6)


def test_exif_orientation_is_applied_where_there_is_transparency_too() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    opaque = Image.fromarray(RGB).convert("RGBA")
    np.testing.assert_array_equal(decode_image(encoded("PNG", opaque, exif=exif)), np.rot90(RGB, -1))


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_transparency_is_laid_over_white(format: str) -> None:
    picture = np.dstack([np.full((4, 4, 3), 100, np.uint8), np.zeros((4, 4), np.uint8)])
    picture[0, :, 3], picture[1, :, 3] = 255, 51
    found = decode_image(encoded(format, picture))
    assert found[0, 0].tolist() == [100, 100, 100]
    assert found[1, 0].tolist() == [224, 224, 224]  # 100 * 0.2 + 255 * 0.8
    assert found[2, 0].tolist() == [255, 255, 255]


def drawing(colour: int, height: int = 40, width: int = 60) -> Image.Image:
    """A cross of one grey, soft at its edges, on transparency."""
    opacity = np.zeros((height, width), np.uint8)
    opacity[height // 2 - 4 : height // 2 + 4], opacity[:, width // 2 - 4 : width // 2 + 4] = 255, 255
    opacity[height // 2 + 4] = 128
    return Image.merge("LA", (Image.new("L", (width, height), colour), Image.fromarray(opacity)))


@pytest.mark.parametrize(
    ("format", "mode"), [("PNG", "RGBA"), ("PNG", "LA"), ("WEBP", "RGBA"), ("TIFF", "RGBA"), ("JPEG2000", "RGBA")]
)
def test_a_white_drawing_on_transparency_stays_visible(format: str, mode: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    found = decode_image(encoded(format, drawing(255).convert(mode), **options))
    assert found[20, 30].tolist() == [255, 255, 255]
    assert found[0, 0].tolist() == [GREY] * 3
    assert abs(int(found[24, 0, 0]) - 192) <= 1


@pytest.mark.parametrize("colour", [0, 128, NEARLY_WHITE - 1])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_drawings_of_other_colours_stay_over_white(format: str, colour: int) -> None:
    found = decode_image(encoded(format, drawing(colour).convert("RGBA")))
    assert (found[20, 30].tolist(), found[0, 0].tolist()) == ([colour] * 3, [255] * 3)


def test_a_white_drawing_stays_visible_in_a_palette_and_with_16_bits() -> None:
    palette = Image.new("P", (20, 20), 0)
    palette.putpalette([255, 255, 255, 254, 254, 254])
    palette.paste(1, (5, 5, 15, 15))
    deep = np.full((20, 20, 4), 65_535, np.uint16)
    deep[:5, :, 3] = 0
    for data in (encoded("GIF", palette, transparency=0), cv2.imencode(".png", deep)[1].tobytes()):
        found = decode_image(data)
        assert (found[0, 0].tolist(), int(found[10, 10, 0])) == ([GREY] * 3, 254 if data[:3] == b"GIF" else 255)


def test_strokes_thinner_than_what_is_looked_at_count_too() -> None:
    picture = np.zeros((2001, 2001, 4), np.uint8)
    picture[3::40] = 255  # every step-th row of these is transparent
    assert decode_image(encoded("PNG", picture))[0, 0].tolist() == [GREY] * 3


@pytest.mark.parametrize("seen", [{"opaque": 255}, {"opaque": 0}])
def test_white_that_is_opaque_or_not_to_be_seen_stays_white(seen: dict[str, int]) -> None:
    picture = np.full((9, 9, 4), 255, np.uint8)
    picture[..., 3] = seen["opaque"]
    assert decode_image(encoded("PNG", picture)).min() == 255


def test_a_white_drawing_with_a_dark_outline_stays_over_white() -> None:
    picture = np.zeros((40, 40, 4), np.uint8)
    picture[9:31, 9:31] = (0, 0, 0, 255)
    picture[10:30, 10:30] = 255
    assert decode_image(encoded("PNG", picture))[0, 0].tolist() == [255, 255, 255]


def test_arrays_and_pillow_images_are_laid_over_the_same() -> None:
    white = drawing(255).convert("RGBA")
    wanted = decode_image(encoded("PNG", white))
    np.testing.assert_array_equal(to_rgb(white), wanted)
    np.testing.assert_array_equal(to_rgb(np.asarray(white)), wanted)


# --- what is noted of a picture ---


NOTED = Marks.READ | Marks.BY_HEADER


def marks_of(picture: Image.Image | np.ndarray, format: str = "PNG") -> Marks:
    return decode_picture(encoded(format, picture)).marks


def test_what_is_noted_of_a_picture() -> None:
    assert marks_of(RGB) == NOTED
    assert marks_of(drawing(0)) == NOTED
    assert marks_of(drawing(255)) == NOTED | Marks.ON_GREY
    assert marks_of(np.full((9, 9, 3), 77, np.uint8)) == NOTED | Marks.ONE_COLOUR
    assert marks_of(np.zeros((9, 9, 4), np.uint8)) == NOTED | Marks.ONE_COLOUR  # all of it is transparent


@pytest.mark.parametrize("quality", [10, 50, 95])
def test_one_colour_is_known_through_jpeg(quality: int) -> None:
    data = encoded("JPEG", np.full((50, 70, 3), (200, 130, 7), np.uint8), quality=quality)
    assert decode_picture(data).marks & Marks.ONE_COLOUR


def test_a_small_spot_is_no_single_colour() -> None:
    picture = np.full((200, 200, 3), 200, np.uint8)
    picture[101:104, 51:54] = 190
    assert marks_of(picture) == NOTED


def test_transparent_colour_of_a_palette_is_white() -> None:
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([255, 0, 0, 0, 255, 0])
    picture.putpixel((1, 1), 1)
    for format in ("GIF", "PNG"):
        found = decode_image(encoded(format, picture, transparency=0))
        assert found[0, 0].tolist() == [255, 255, 255], format
        assert found[1, 1].tolist() == [0, 255, 0], format


def test_grey_and_grey_with_alpha_become_three_channels() -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    np.testing.assert_array_equal(decode_image(encoded("PNG", grey)), np.dstack([grey] * 3))
    with_alpha = Image.merge("LA", (Image.fromarray(grey), Image.new("L", (8, 8), 255)))
    np.testing.assert_array_equal(decode_image(encoded("PNG", with_alpha)), np.dstack([grey] * 3))


def test_one_bit_pictures_are_black_and_white() -> None:
    picture = Image.new("1", (4, 4), 0)
    picture.putpixel((0, 0), 1)
    found = decode_image(encoded("PNG", picture))
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[1, 1].tolist() == [0, 0, 0]


def test_sixteen_bit_values_are_divided_by_257() -> None:
    deep = np.array([[0, 257, 65535, 32768]], np.uint16)
    data = cv2.imencode(".png", deep)[1].tobytes()
    assert decode_image(data)[0, :, 0].tolist() == [0, 1, 255, 128]


def test_float_pictures_are_stretched_from_their_own_range() -> None:
    data = cv2.imencode(".tif", np.array([[-1.0, 0.0, 1.0]], np.float32))[1].tobytes()
    assert decode_image(data)[0, :, 0].tolist() == [0, 128, 255]
    constant = cv2.imencode(".tif", np.full((2, 2), 7.0, np.float32))[1].tobytes()
    assert decode_image(constant).max() == 0
    broken = cv2.imencode(".tif", np.array([[np.nan, 0.0]], np.float32))[1].tobytes()
    with pytest.raises(ImageError, match="not finite"):
        decode_image(broken)


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(format: str) -> None:
    inks = Image.fromarray(RGB).convert("CMYK")
    assert_close(decode_image(encoded(format, inks)), RGB, most=8)


def test_of_an_animation_the_first_frame_counts() -> None:
    other = Image.fromarray(255 - RGB)
    for format in ("GIF", "PNG"):
        data = encoded(format, RGB, save_all=True, append_images=[other])
        np.testing.assert_array_equal(decode_image(data), RGB, err_msg=format)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000"])
@pytest.mark.parametrize("tenths", [1, 5, 9])
def test_a_file_that_breaks_off_is_an_error(format: str, tenths: int) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    data = encoded(format, noise)
    assert decode_image(data).shape == (60, 80, 3)
    with pytest.raises(ImageError, match=rf"^truncated {NAMES.get(format, format)}$"):
        decode_image(data[: len(data) * tenths // 10])


def declaring(width: int, height: int) -> bytes:
    """A PNG whose header says more than its data hold."""
    data = bytearray(encoded("PNG", RGB))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


@pytest.mark.parametrize(
    ("side", "reason"),
    [
        (17_000, "has more than 268,435,456 pixels"),  # OpenCV's own bound is four times ours
        (2_000, "damaged PNG"),
    ],
)
def test_declared_size_is_bounded(tmp_path: Path, side: int, reason: str) -> None:
    path = tmp_path / "declares.png"
    path.write_bytes(declaring(side, side))
    # In a process of its own: OpenCV takes the bound when it is loaded, and here it was loaded by the tests.
    read = f"imgcluster.read_image({str(path)!r})"
    script = f"import imgcluster\ntry: {read}\nexcept imgcluster.ImgclusterError as error: print(error)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == f"{reason}\n"


def test_the_bound_holds_where_opencv_was_loaded_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "MAX_PIXELS", RGB.shape[0] * RGB.shape[1] - 1)
    with pytest.raises(ImageError, match="has more than"):
        decode_image(encoded("PNG", RGB))


def test_reasons_name_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nothing.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    reasons = {
        "folder.jpg": "is a folder",
        "empty.jpg": "the file is empty",
        "text.jpg": "a text file, not an image",
        "link.jpg": "broken link",
        "pipe.jpg": "is not a regular file",
        "absent.jpg": "no such file",
    }
    for name, reason in reasons.items():
        with pytest.raises(ImageError) as raised:
            read_image(tmp_path / name)
        assert str(raised.value) == reason, name


def test_no_permission_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(encoded("PNG", RGB))

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)  # the mode of the file would not keep root out
    with pytest.raises(ImageError, match=r"^no permission to read it$"):
        read_image(path)


@pytest.mark.parametrize("name", ["über/straße.png", "写真.png", "emoji 🚀.png", "e\u0301.png"])
def test_paths_with_any_unicode(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(encoded("PNG", RGB))
    np.testing.assert_array_equal(read_image(path), RGB)


# --- JPEGs at a reduced scale ---


def photograph(height: int, width: int, quality: int = 90) -> bytes:
    """A JPEG with shapes, soft shades and noise."""
    rows, columns = np.mgrid[:height, :width]
    shades = np.stack([rows * 255 / height, columns * 255 / width, (rows + columns) % 256], axis=-1)
    shades[height // 4 : height // 2, width // 4 : width // 2] = (250, 20, 90)
    noise = np.random.default_rng(0).normal(0, 6, shades.shape)
    encoded = cv2.imencode(".jpg", (shades + noise).clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded[1].tobytes()


@pytest.mark.parametrize(
    ("size", "least", "wanted"),
    [
        ((800, 600), None, (800, 600)),
        ((800, 600), 301, (800, 600)),
        ((800, 600), 300, (400, 300)),
        ((800, 600), 151, (400, 300)),
        ((803, 605), 152, (402, 303)),
        ((800, 600), 75, (100, 75)),
        ((800, 600), 1, (100, 75)),
        ((7, 5), 1, (2, 2)),
    ],
)
def test_a_jpeg_is_decoded_no_larger_than_needed(
    size: tuple[int, int], least: int | None, wanted: tuple[int, int]
) -> None:
    assert decode_image(photograph(*size), least).shape == (*wanted, 3)


@pytest.mark.parametrize("size", [(512, 700), (1000, 900), (2400, 1800)])
@pytest.mark.parametrize("name", ["backbone", "squash"])
def test_the_pixels_of_a_reduced_jpeg_differ_by_little(size: tuple[int, int], name: str) -> None:
    recipe = named_recipe(name, Recipe((("resize", 128), ("center_crop", 112))))
    whole, reduced = np.zeros((2, 1, recipe.side, recipe.side, 3), np.uint8)
    data = photograph(*size)
    assert decode_image(data, recipe.least).shape[0] < size[0]
    prepare(decode_image(data), recipe, whole)
    prepare(decode_image(data, recipe.least), recipe, reduced)
    difference = np.abs(whole.astype(int) - reduced)
    assert difference.mean() < 1
    assert np.percentile(difference, 99.9) <= 8


def test_recipes_that_crop_first_want_every_pixel() -> None:
    assert STAGE.least is None
    assert named_recipe("letterbox", STAGE).least is None
    assert named_recipe("backbone", Recipe((("resize", 256), ("center_crop", 224)))).least == 512


def test_a_reduced_jpeg_is_turned_upright_and_a_broken_one_is_damaged(tmp_path: Path) -> None:
    picture = Image.open(io.BytesIO(photograph(800, 600)))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = io.BytesIO()
    picture.save(turned, "JPEG", exif=exif)
    assert decode_image(turned.getvalue(), 100).shape == (150, 200, 3)
    with pytest.raises(ImageError, match=r"^truncated JPEG$"):
        decode_image(photograph(800, 600)[:20_000], 100)


@pytest.mark.parametrize("data", [b"\xff\xd8\xff", b"\xff\xd8\xff\xe0\x00\x10JFIF", b"\xff\xd8\xff\xff\xff\xff" * 9])
def test_a_header_that_breaks_off_is_damaged(data: bytes) -> None:
    with pytest.raises(ImageError, match=r"^truncated JPEG$"):
        decode_image(data, 100)


def test_the_bound_on_pixels_is_that_of_the_stored_picture() -> None:
    huge = bytearray(photograph(64, 64))
    at = huge.index(b"\xff\xc0")
    huge[at + 5 : at + 9] = struct.pack(">HH", 17_000, 17_000)
    for least in (None, 100):
        with pytest.raises(ImageError, match="has more than 268,435,456 pixels"):
            decode_image(bytes(huge), least)


# --- what a header declares ---


@pytest.mark.parametrize(
    ("format", "mode", "depth", "options"),
    [
        ("JPEG", "RGB", 3, {}),
        ("PNG", "L", 1, {}),
        ("PNG", "RGB", 3, {}),
        ("PNG", "RGBA", 4, {}),
        ("PNG", "P", 4, {}),
        ("GIF", "P", 4, {}),
        ("WEBP", "RGB", 3, {}),
        ("WEBP", "RGB", 4, {"lossless": True}),
        ("WEBP", "RGBA", 4, {}),
        ("JPEG2000", "RGB", 3, {}),
        ("TIFF", "1", 1, {}),
        ("TIFF", "CMYK", 4, {}),
        ("TIFF", "F", 4, {}),
        ("TIFF", "RGB", 3, {"big_tiff": True}),
    ],
)
def test_the_size_is_known_from_the_header(format: str, mode: str, depth: int, options: dict[str, object]) -> None:
    assert declared_size(encoded(format, Image.new(mode, (48, 32)), **options)) == (32, 48, depth)


def test_the_depth_of_a_header_is_that_of_deep_pictures() -> None:
    for ending, kind, depth in ((".png", np.uint16, 6), (".tif", np.uint16, 6), (".tif", np.float64, 24)):
        data = cv2.imencode(ending, np.zeros((32, 48, 3), kind))[1].tobytes()
        assert declared_size(data) == (32, 48, depth), (ending, kind)


def test_a_header_that_is_damaged_or_not_known_declares_nothing() -> None:
    for format in ("PNG", "GIF", "WEBP", "JPEG2000", "TIFF"):
        assert declared_size(encoded(format, RGB)[:9]) is None, format
    assert declared_size(encoded("BMP", RGB)) is None


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_values_are_converted_alike_in_parts(kind: type, channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 65_536, (37, 11, channels)).astype(kind)
    data = cv2.imencode(".tif" if kind is np.float32 else ".png", values)[1].tobytes()
    whole = decode_image(data)
    monkeypatch.setattr(rendering, "ROW_BYTES", 100)
    np.testing.assert_array_equal(decode_image(data), whole)


def test_large_pictures_are_in_hand_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = encoded("PNG", RGB), encoded("PNG", np.zeros((99, 99, 3), np.uint8))
    monkeypatch.setattr(reading, "LARGE_BYTES", RGB.size)
    with room_for(large):
        assert reading._large_one.locked()
    with room_for(small), room_for(small):
        assert not reading._large_one.locked()


def test_a_file_larger_than_any_image_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse.jpg").open("wb") as file:
        file.truncate(2**30 + 1)
    with pytest.raises(ImageError, match=r"^has more than 1,073,741,824 bytes$"):
        read_image(tmp_path / "sparse.jpg")


# --- why a file cannot be decoded ---


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (NO_IMAGES["a pointer of Git LFS"], "a Git LFS pointer, not the image itself: run git lfs pull"),
        (NO_IMAGES["an HTML page"], "an HTML page, not an image: the download failed"),
        (NO_IMAGES["PSD"], "PSD, whatever its ending says: convert it to .jpg or .png"),
        (bytes(900), "all zeros: the file was never written"),
        (
            tiff(bytes(3), t259=32_809),
            "TIFF, 3 samples of 8 bits, compression 32809: not read; convert it to .png or .jpg",
        ),
        (tiff(bytes(3), t256=0), "damaged TIFF"),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + bytes(200), "damaged AVIF"),
        (
            encoded("PNG", RGB).replace(b"\r\n", b"\n"),
            "PNG changed by a transfer in text mode: transfer it again, in binary mode",
        ),
        (b"\x01\x02\x03\x04" * 9, "cannot be decoded: damaged, or not an image"),
        (b"\xff", "cannot be decoded: damaged, or not an image"),
        (b"GIF89a", "truncated GIF"),
    ],
)
def test_what_cannot_be_decoded_is_named(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError) as raised:
        decode_image(data)
    assert str(raised.value) == reason


def test_damage_in_the_middle_is_not_called_truncated() -> None:
    data = bytearray(encoded("PNG", RGB))
    data[len(data) // 2 : len(data) // 2 + 20] = bytes(20)
    with pytest.raises(ImageError, match=r"^damaged PNG$"):
        decode_image(bytes(data))


# --- what the beginning of a file says of transparency ---


@pytest.mark.parametrize(
    ("data", "opaque"),
    [
        (encoded("JPEG", RGB), True),
        (encoded("PPM", RGB), True),
        (encoded("PNG", RGB), True),
        (encoded("PNG", drawing(0)), False),
        (encoded("PNG", Image.fromarray(RGB), transparency=(250, 20, 30)), False),
        (encoded("GIF", RGB), False),
        (encoded("TIFF", RGB), False),
        (encoded("PNG", RGB)[:30], False),
        (b"", False),
    ],
)
def test_opaque_is_only_what_surely_is(data: bytes, opaque: bool) -> None:
    assert is_opaque(data) is opaque


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("kind", ["text", "zeros", "cut", "head alone", "of other channels"])
def test_a_damaged_profile_changes_nothing(format: str, kind: str) -> None:
    profile = wide_profile()
    damaged = {
        "text": b"no profile",
        "zeros": bytes(200),
        "cut": profile[:-20],
        "head alone": profile[:128],
        "of other channels": profile.replace(b"RGB ", b"CMYK"),
    }
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8))
    with_profile, without = io.BytesIO(), io.BytesIO()
    picture.save(with_profile, format, icc_profile=damaged[kind])
    picture.save(without, format)
    np.testing.assert_array_equal(decode_image(with_profile.getvalue()), decode_image(without.getvalue()))
