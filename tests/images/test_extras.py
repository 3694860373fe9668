"""Formats that need an extra: its command where it is missing, damaged files, sizes, and what is decided by hand."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgcluster.config import ImagesConfig, Reading
from imgcluster.errors import ImageError
from imgcluster.features.engines.dask import worker
from imgcluster.features.engines.dask.protocol import Job
from imgcluster.images import limits
from imgcluster.images.containers import heif, jpegxl, raw
from imgcluster.images.decode import decode_image
from imgcluster.images.extras import EXTRAS, decoders_by_ending
from imgcluster.images.file_kinds import IMAGES, kind_of
from imgcluster.images.listing import find_images
from imgcluster.types import ImageFile
from tests.support.extras import DECODERS, without

pytest.importorskip("imagecodecs", reason="it reads and writes JPEG XL")
pytest.importorskip("pillow_heif", reason="it writes HEIC")
pytest.importorskip("pydicom", reason="it reads and writes DICOM")
pytest.importorskip("rawpy", reason="it reads raw pictures")
pytest.importorskip("tifffile", reason="it writes DNG")

import imagecodecs
from pydicom.uid import JPEGLSLossless

from tests.support.formats.files import GREY, RGB, by_pillow, tiff
from tests.support.formats.rows_extras import CT, LARGE, PREVIEW, WINDOW
from tests.support.formats.writers import compressed, dataset, deep_heic, dicom, dng, heic, jxl, oriented_jxl, saved

WRITERS: dict[str, Callable[[], bytes]] = {
    "HEIC": lambda: heic(RGB),
    "HEIC, 10 bits": lambda: deep_heic(RGB.astype(np.uint16) * 257),
    "HEIC, turned": lambda: heic(RGB, orientation=6),
    "DNG": lambda: dng(LARGE, PREVIEW),
    "DNG without a preview": lambda: dng(LARGE[:64, :64], None),
    "JPEG XL": lambda: jxl(RGB),
    "JPEG XL in boxes": lambda: jxl(RGB.astype(np.uint16) * 257),
    "DICOM": lambda: dicom(CT, **WINDOW),
    "QOI": lambda: by_pillow("QOI", RGB),
    "PCX": lambda: by_pillow("PCX", RGB),
    "ICO": lambda: by_pillow("ICO", RGB, sizes=[(64, 48)]),
}
NEEDS = r'not read; pip install "imgcluster\[formats\]", or convert it to .png or .jpg$'


@pytest.mark.parametrize(
    ("name", "said"),
    [("HEIC", "HEIC: "), ("DNG", "a raw picture of a camera: "), ("JPEG XL", "JPEG XL: "), ("DICOM", "DICOM: ")],
)
def test_without_the_extra_the_reason_names_its_command(name: str, said: str) -> None:
    data = WRITERS[name]()
    with without(*DECODERS), pytest.raises(ImageError, match=f"^{said}{NEEDS}"):
        decode_image(data)


def test_a_dicom_of_a_compression_that_another_package_reads_names_the_command() -> None:
    data = compressed(GREY, bytes(imagecodecs.jpegls_encode(GREY)), JPEGLSLossless)
    with without("imagecodecs"), pytest.raises(ImageError, match=rf"^DICOM, JPEG-LS .*: {NEEDS}"):
        decode_image(data)


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_breaks_off_is_an_error(name: str) -> None:
    data = WRITERS[name]()
    for tenth in range(1, 10):
        with pytest.raises(ImageError, match=r"^[^\n]+$"):
            decode_image(data[: len(data) * tenth // 10])


@pytest.mark.parametrize("name", WRITERS)
def test_changed_bytes_give_a_picture_or_a_reason(name: str) -> None:
    data, dice = WRITERS[name](), random.Random(0)
    for _ in range(60):
        changed = bytearray(data)
        for _ in range(dice.choice((1, 3, 30))):
            changed[dice.randrange(min(len(data), 2_000))] = dice.randrange(256)
        with suppress(ImageError):
            assert decode_image(bytes(changed)).dtype == np.uint8


@pytest.mark.parametrize("name", [name for name in WRITERS if name not in ("DNG", "DNG without a preview")])
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = WRITERS[name]()
    monkeypatch.setattr(limits, "MAX_PIXELS", RGB[..., 0].size - 1)
    with pytest.raises(ImageError, match=r"^has more than [0-9,]+ pixels$"):
        decode_image(data)


@pytest.mark.parametrize("name", ["DNG", "DNG without a preview"])
def test_a_raw_picture_of_too_many_pixels_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = WRITERS[name]()
    monkeypatch.setattr(limits, "MAX_PIXELS", 64 * 64 - 1)
    with pytest.raises(ImageError, match=r"^has more than [0-9,]+ pixels$"):
        decode_image(data)


@pytest.mark.parametrize("size", [(70_000, 70_000), (65_535, 65_535)])
def test_a_dicom_that_declares_more_than_it_has_is_refused(size: tuple[int, int]) -> None:
    file = dataset(GREY)
    file.Rows, file.Columns = (min(side, 65_535) for side in size)
    with pytest.raises(ImageError, match=r"^has more than [0-9,]+ pixels$"):
        decode_image(saved(file))


@pytest.mark.parametrize("twelve", [False, True], ids=["10 bits", "12 bits"])
def test_a_dark_picture_of_more_bits_stays_dark(twelve: bool) -> None:
    """Its depth is declared, and not guessed from the values as that of 16 bits is."""
    dark = RGB.astype(np.uint16) * 257 // 32
    found = decode_image(deep_heic(dark, twelve=twelve))
    assert np.abs(found.astype(int) - RGB // 32).mean() <= 1


def test_a_raw_picture_without_a_sufficient_preview_is_developed() -> None:
    found = decode_image(dng(LARGE, None))
    assert found.shape == (300, 400, 3)
    grey, wanted = (each.mean(axis=2).ravel() for each in (found.astype(float), LARGE[::2, ::2].astype(float)))
    assert np.corrcoef(grey, wanted)[0, 1] > 0.85
    assert decode_image(dng(LARGE, None, 6)).shape == (400, 300, 3)
    small = PREVIEW[::4, ::4]
    assert decode_image(dng(LARGE, small)).shape == (300, 400, 3)
    assert decode_image(dng(LARGE, small), least=150).shape == small.shape
    assert decode_image(dng(LARGE, small), least=151).shape == (300, 400, 3)


def test_a_large_preview_is_decoded_at_a_fraction_of_its_size() -> None:
    assert decode_image(dng(LARGE, PREVIEW), least=150).shape == (150, 200, 3)


@pytest.mark.parametrize("ending", [".tif", ".jpg", ""])
def test_a_raw_picture_is_known_by_its_content(ending: str) -> None:
    assert kind_of(dng(LARGE, PREVIEW)) == "TIFF"
    assert raw.is_raw(dng(LARGE, PREVIEW))
    assert not raw.is_raw(tiff(RGB, "rgb"))
    assert not raw.is_raw(b"II*\0\xff\xff\xff\xff")
    pyramid = io.BytesIO()
    import tifffile

    with tifffile.TiffWriter(pyramid) as file:
        file.write(RGB, photometric="rgb", subifds=1, metadata=None)
        file.write(RGB[::2, ::2], photometric="rgb", subfiletype=1, metadata=None)
    assert not raw.is_raw(pyramid.getvalue())
    assert np.array_equal(decode_image(pyramid.getvalue()), RGB)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_header_of_a_turned_jpeg_xl_says_the_stored_size(orientation: int) -> None:
    header = jpegxl.read_header(oriented_jxl(jxl(RGB), orientation))
    assert (header.height, header.width, header.bits, header.has_alpha) == (48, 64, 8, False)


@pytest.mark.parametrize("shape", [(8, 8), (7, 300), (300, 7), (256, 256), (513, 1026), (1000, 9000), (2, 2)])
def test_the_header_of_a_jpeg_xl_says_its_size(shape: tuple[int, int]) -> None:
    header = jpegxl.read_header(jxl(np.zeros((*shape, 4), np.uint8)))
    assert (header.height, header.width, header.has_alpha, header.is_multiplied) == (*shape, True, False)


def test_a_window_of_a_dicom_of_several_frames_is_that_of_its_groups() -> None:
    from pydicom.dataset import Dataset

    def group(**elements: float) -> list[Dataset]:
        part = Dataset()
        for name, value in elements.items():
            setattr(part, name, value)
        return [part]

    wanted = decode_image(dicom(CT, **WINDOW))
    shared, own = Dataset(), Dataset()
    shared.PixelValueTransformationSequence = group(RescaleSlope=2, RescaleIntercept=-1024)
    shared.FrameVOILUTSequence = group(WindowCenter=0, WindowWidth=1)
    own.FrameVOILUTSequence = group(WindowCenter=40, WindowWidth=400)
    groups = {"SharedFunctionalGroupsSequence": [shared], "PerFrameFunctionalGroupsSequence": [own]}
    assert np.array_equal(decode_image(dicom(CT, NumberOfFrames=1, **groups)), wanted)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_a_window_is_applied_as_pydicom_applies_it(function: str) -> None:
    from pydicom.pixels import apply_modality_lut, apply_windowing, pixel_array

    file = dataset(CT, **{**WINDOW, "WindowCenter": 40, "WindowWidth": 400}, VOILUTFunction=function)
    data = saved(file)
    values = apply_windowing(apply_modality_lut(pixel_array(file), file), file)
    low, high = -(2**15) * 2 - 1024, (2**15 - 1) * 2 - 1024
    wanted = ((values - low) * 255 / (high - low)).round()
    assert np.abs(decode_image(data)[..., 0] - wanted).max() <= 1


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_a_dicom_that_says_twice_that_it_is_inverse_is_inverted_once(kind: str) -> None:
    found = decode_image(dicom(GREY, kind, PresentationLUTShape="INVERSE"))
    assert np.array_equal(found, decode_image(dicom(GREY, "MONOCHROME1")))


def test_a_window_of_the_least_width_is_a_threshold() -> None:
    found = decode_image(dicom(GREY, WindowCenter=100, WindowWidth=1))[..., 0]
    assert np.array_equal(found, np.where(GREY > 99.5, 255, 0))


def test_padding_of_a_dicom_does_not_count_in_its_range() -> None:
    padded = CT.copy()
    padded[:4] = -32_768
    found = decode_image(dicom(padded, PixelPaddingValue=-32_768))
    alone = decode_image(dicom(CT[4:]))
    assert np.array_equal(found[4:], alone)
    assert not found[:4].any()


def test_palettes_and_tables_of_a_dicom_are_applied() -> None:
    from pydicom.dataset import Dataset

    ramp = np.arange(256, dtype=np.uint16) * 257
    colours = {
        f"{name}PaletteColorLookupTableData": (ramp if name == "Red" else ramp[::-1]).tobytes()
        for name in ("Red", "Green", "Blue")
    }
    sizes = {f"{name}PaletteColorLookupTableDescriptor": [256, 0, 16] for name in ("Red", "Green", "Blue")}
    found = decode_image(dicom(GREY, "PALETTE COLOR", **sizes, **colours))
    assert np.array_equal(found, np.dstack([GREY, 255 - GREY, 255 - GREY]))
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [256, 0, 16], ramp[::-1].tobytes()
    found = decode_image(dicom(GREY, VOILUTSequence=[table]))
    assert np.array_equal(found[..., 0], 255 - GREY)


def test_the_real_files_of_pydicom_are_read_or_refused_by_name() -> None:
    pydicom = pytest.importorskip("pydicom")
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    reasons = {}
    for path in sorted(folder.glob("*.dcm")):
        try:
            decode_image(path.read_bytes())
        except ImageError as error:
            reasons[path.name] = str(error)
    shown = {path.name for path in folder.glob("*.dcm")} - set(reasons)
    assert {"CT_small.dcm", "MR_small_RLE.dcm", "JPEG-lossy.dcm", "examples_palette.dcm"} <= shown
    assert not [reason for reason in reasons.values() if "TIFF" in reason]
    assert reasons["rtplan.dcm"] == "DICOM without a picture (RTPLAN)"
    same = [
        decode_image((folder / f"MR_small{kind}.dcm").read_bytes())
        for kind in ("", "_RLE", "_jp2klossless", "_bigendian")
    ]
    assert all(np.array_equal(each, same[0]) for each in same)


def test_a_folder_of_a_phone_is_listed_and_read(tmp_path: Path) -> None:
    (tmp_path / "IMG_1.HEIC").write_bytes(WRITERS["HEIC, turned"]())
    (tmp_path / "IMG_2.dng").write_bytes(WRITERS["DNG"]())
    (tmp_path / "IMG_3").write_bytes(WRITERS["DICOM"]())
    (tmp_path / "IMG_1.AAE").touch()
    (tmp_path / "DICOMDIR").write_bytes(WRITERS["DICOM"]())
    listing = find_images(ImagesConfig(folder=str(tmp_path)))
    assert [image.id for image in listing.images] == ["IMG_1.HEIC", "IMG_2.dng", "IMG_3"]
    assert (listing.left_out, listing.files) == ({"sidecars": {".aae": 1, "DICOMDIR": 1}}, 5)
    for image in listing.images:
        assert isinstance(image.path, Path)
        decode_image(image.path.read_bytes())


def test_every_kind_of_an_extra_is_one_that_is_read() -> None:
    assert {kind for extra in EXTRAS for kind in extra.kinds} <= set(IMAGES)


def test_a_worker_with_another_decoder_takes_no_part() -> None:
    images = [ImageFile("1", Path("1.jpg")), ImageFile("2", Path("2.heic"))]
    job = Job("t", None, None, None, None, True)  # type: ignore[arg-type]
    worker._check_decoders(job, images)
    assert job.decoders == decoders_by_ending()
    job.decoders[".heic"] = "pi_heif 0.1"
    worker._check_decoders(job, images[:1])
    with pytest.raises(worker._Refusal, match=r"^reads .heic by \S+ \S+, and pi_heif 0.1 is needed$"):
        worker._check_decoders(job, images)


def boxed(name: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + name + content


@pytest.mark.parametrize(("name", "is_text"), [(b"a picture", True), ("Bild, schön".encode(), True), (b"\xe9", False)])
def test_items_of_heic_have_texts_alone(name: bytes, is_text: bool) -> None:
    heif._check_items(heic(RGB, orientation=6))
    item = boxed(b"infe", b"\2\0\0\0" + b"\0\1\0\0" + b"hvc1" + name + b"\0")
    boxes = boxed(b"meta", b"\0" * 4 + boxed(b"iinf", b"\0" * 4 + b"\0\1" + item))
    with nullcontext() if is_text else pytest.raises(ValueError, match="utf-8"):
        heif._check_items(boxes)


def enlarged(jpegls: bytes) -> bytes:
    """A JPEG-LS whose header says that it has 2**28 pixels."""
    at = jpegls.index(b"\xff\xf7") + 5
    return jpegls[:at] + b"\x40\x00\x40\x00" + jpegls[at + 4 :]


def test_a_jpeg_ls_of_few_bytes_and_many_pixels_reaches_no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    short = enlarged(bytes(imagecodecs.jpegls_encode(np.zeros((8, 8), np.uint8))))
    frame = compressed(GREY, short, JPEGLSLossless, Rows=16_384, Columns=16_384)
    monkeypatch.setattr(imagecodecs, "jpegls_decode", lambda _: pytest.fail("it reached the decoder"))
    with pytest.raises(ImageError, match=r"^truncated JPEG$"):
        decode_image(short)
    with pytest.raises(ImageError, match=r"^damaged DICOM$"):
        decode_image(frame)


@pytest.mark.parametrize("size", [(4096, 3), (3, 4096), (1, 40_000), (600, 40_000)])
def test_a_jpeg_ls_of_one_colour_is_read_however_few_its_bytes(size: tuple[int, int]) -> None:
    white = np.full(size, 255, np.uint8)
    assert (decode_image(bytes(imagecodecs.jpegls_encode(white))) == 255).all()


def test_pillow_has_our_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert 2 * Image.MAX_IMAGE_PIXELS == limits.MAX_PIXELS
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for name in ("QOI", "PCX"):
        with pytest.raises(ImageError, match=f"^{limits.TOO_LARGE}$"):
            decode_image(WRITERS[name]())


def test_a_range_of_the_config_replaces_the_window_of_a_dicom() -> None:
    units = CT.astype(float) * WINDOW["RescaleSlope"] + WINDOW["RescaleIntercept"]
    found = decode_image(dicom(CT, **WINDOW), reading=Reading(range=(-1000, 500)))
    wanted = ((units + 1000) * 255 / 1500).clip(0, 255).round()
    np.testing.assert_allclose(found[..., 0], wanted, atol=1)
    inverse = decode_image(dicom(CT, "MONOCHROME1", **WINDOW), reading=Reading(range=(-1000, 500)))
    np.testing.assert_array_equal(inverse, 255 - found)
    declared = decode_image(dicom(CT, **WINDOW), reading=Reading(range="declared"))
    np.testing.assert_array_equal(declared, decode_image(dicom(CT, **WINDOW)))


def test_padding_of_a_dicom_counts_in_no_range_and_is_white() -> None:
    padded = CT.copy()
    padded[:4] = -3000
    found = decode_image(dicom(padded, PixelPaddingValue=-3000), reading=Reading(range="percentile"))
    whole = decode_image(dicom(CT[4:]), reading=Reading(range="percentile"))
    np.testing.assert_array_equal(found[4:], whole)
    assert (found[:4] == 255).all()


def test_libraw_writes_nothing_about_a_damaged_file(capfd: pytest.CaptureFixture[str]) -> None:
    data = WRITERS["DNG without a preview"]()
    with pytest.raises(ImageError, match=r"^damaged TIFF$"):
        decode_image(data[: len(data) // 2])
    assert capfd.readouterr() == ("", "")
