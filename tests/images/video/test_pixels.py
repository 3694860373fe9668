"""Frames look as viewers show them: colours, opacity, shape, orientation, dynamic range."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgcluster.images.video.hdr import PEAK, WHITE, pq_code, pq_light, to_sdr, tone_mapped
from imgcluster.images.video.movie import Movie
from tests.support.videos import encoded, pixels_by_ffmpeg, turned

BT709, BT601, BT2020 = 1, 6, 9
LIMITED, FULL = 1, 2
PQ, HLG = 16, 18
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [200, 120, 40]], np.uint8)
LUMA = {BT709: (0.2126, 0.0722), BT601: (0.299, 0.114), BT2020: (0.2627, 0.0593)}  # of red and blue (ITU-T H.273)


def frames(path: Path) -> list[np.ndarray]:
    movie = Movie(str(path))
    track = movie.track()
    return [movie.rgb(frame) for _, frame in movie.frames(track, int(track.times[0]))]


def bars(size: int = 32) -> np.ndarray:
    """Return squares of the colours, (size, size * 6, 3) uint8."""
    return np.repeat(np.repeat(COLOURS[None], size, 0), size, 1)


def yuv(rgb: np.ndarray, matrix: int, value_range: int, bits: int = 8) -> np.ndarray:
    """Return the planes of a picture, (3 * height, width) uint8 or uint16, by the formulas of ITU-T H.273."""
    red, blue = LUMA[matrix]
    r, g, b = np.moveaxis(rgb / 255.0, 2, 0)
    y = red * r + (1 - red - blue) * g + blue * b
    pb, pr = (b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))
    unit = 2 ** (bits - 8)
    if value_range == FULL:
        most = 2**bits - 1
        planes = [y * most, pb * most + 128 * unit, pr * most + 128 * unit]
    else:
        planes = [(219 * y + 16) * unit, (224 * pb + 128) * unit, (224 * pr + 128) * unit]
    return np.concatenate(planes).round().clip(0, 2**bits - 1).astype(np.uint8 if bits == 8 else np.uint16)


def stored(path: Path, planes: np.ndarray, pixel_format: str, **attributes: Any) -> Path:
    """Write planes as they are, without a loss."""
    av = pytest.importorskip("av", reason='needs PyAV: pip install "imgcluster[video]"')
    height, width = planes.shape[0] // 3, planes.shape[1]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        for name, value in attributes.items():
            setattr(stream.codec_context, name, value)
        frame = av.VideoFrame(width, height, pixel_format)
        for plane, values in zip(frame.planes, np.split(planes, 3), strict=True):
            rows = np.zeros((height, plane.line_size // values.itemsize), values.dtype)
            rows[:, :width] = values
            plane.update(rows)
        frame.pts = 0
        for name in ("colorspace", "color_range", "color_trc", "color_primaries"):
            if name in attributes:
                setattr(frame, name, attributes[name])
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


@pytest.mark.parametrize("value_range", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", [BT709, BT601, BT2020])
@pytest.mark.parametrize(("bits", "pixel_format"), [(8, "yuv444p"), (10, "yuv444p10le")])
def test_matrix_range_and_depth_are_those_of_the_stream(
    matrix: int, value_range: int, bits: int, pixel_format: str, tmp_path: Path
) -> None:
    planes = yuv(bars(), matrix, value_range, bits)
    path = stored(tmp_path / "a.mkv", planes, pixel_format, colorspace=matrix, color_range=value_range)
    assert np.abs(frames(path)[0].astype(int) - bars()).max() <= 3


@pytest.mark.parametrize(("size", "matrix"), [(32, BT601), (240, BT709)])
def test_a_stream_without_a_matrix_has_the_one_of_its_size(size: int, matrix: int, tmp_path: Path) -> None:
    path = stored(tmp_path / "a.mkv", yuv(bars(size), matrix, LIMITED), "yuv444p", color_range=LIMITED)
    assert np.abs(frames(path)[0].astype(int) - bars(size)).max() <= 3


def photo() -> np.ndarray:
    """Return colours of all hues, mostly within the gamut of sRGB, as BT.2020 has them, (64, 96, 3) uint8."""
    return np.random.default_rng(3).integers(60, 200, (8, 12, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)


def wide(path: Path, picture: np.ndarray) -> Path:
    planes = yuv(picture, BT2020, LIMITED, 10)
    return stored(
        path,
        planes,
        "yuv444p10le",
        colorspace=BT2020,
        color_range=LIMITED,
        color_trc=14,
        color_primaries=BT2020,
    )


def test_a_wide_gamut_of_standard_range_is_brought_to_srgb(tmp_path: Path) -> None:
    red = np.array([0.6274, 0.0691, 0.0164])  # that of BT.709, in linear BT.2020 (BT.2087-0, section 2)
    coded = np.where(red <= 0.0031308, 12.92 * red, 1.055 * red ** (1 / 2.4) - 0.055)
    found = frames(wide(tmp_path / "a.mkv", np.full((32, 32, 3), 255 * coded)))[0]
    assert np.abs(found.astype(int) - (255, 0, 0)).max() <= 8
    grey = frames(wide(tmp_path / "b.mkv", np.full((32, 32, 3), 120)))[0]
    assert np.abs(grey.astype(int) - 120).max() <= 1


def test_a_wide_gamut_is_shown_as_by_zscale(tmp_path: Path) -> None:
    path = wide(tmp_path / "a.mkv", photo())
    by_zscale = "zscale=pin=2020:tin=2020_10:min=2020_ncl:rin=limited:p=709:t=709:m=709:r=full,format=yuv444p"
    found, theirs = frames(path)[0].astype(int), pixels_by_ffmpeg(path, by_zscale)[0]
    assert np.abs(found - theirs).mean() <= 3
    assert np.abs(photo().astype(int) - theirs).mean() > 8


def moment(time: int) -> np.ndarray:
    """Return a pattern that moves, (96, 128, 3) uint8."""
    across = np.arange(128) - 4 * time
    return np.broadcast_to((127 + 100 * np.sin(across / 9))[:, None], (96, 128, 3)).astype(np.uint8)


def woven(count: int) -> list[np.ndarray]:
    pictures = [moment(2 * number) for number in range(count)]
    for number, picture in enumerate(pictures):
        picture[1::2] = moment(2 * number + 1)[1::2]
    return pictures


INTERLACED: dict[str, tuple[str, dict[str, str]]] = {
    "a.mkv": ("libx264", {"x264-params": "tff=1", "crf": "1"}),
    "a.mpg": ("mpeg2video", {"flags": "+ildct+ilme", "b": "20000000"}),
}


@pytest.mark.parametrize("name", INTERLACED)
def test_an_interlaced_frame_is_of_one_moment(name: str, tmp_path: Path) -> None:
    codec, options = INTERLACED[name]
    others = {"time_base": Fraction(1, 25)} if codec == "mpeg2video" else {}
    path = encoded(tmp_path / name, woven(6), codec, options=options, **others)
    for number, found in enumerate(frames(path)):
        first, second = (np.abs(found.astype(int) - moment(2 * number + field)).mean() for field in (0, 1))
        assert min(first, second) <= 3
        assert max(first, second) > 20
    theirs = pixels_by_ffmpeg(path, "bwdif=mode=send_frame")
    assert np.abs(np.stack(frames(path)).astype(int) - theirs).mean() <= 3


def test_progressive_frames_are_not_interpolated(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.mkv", woven(3), options={"crf": "1"})
    np.testing.assert_array_equal(np.stack(frames(path)), pixels_by_ffmpeg(path))


SUBSAMPLED: dict[str, tuple[str, str, dict[str, str]]] = {
    "h264.mp4": ("libx264", "yuv420p", {"crf": "1"}),
    "h265_10_bits.mp4": ("libx265", "yuv420p10le", {"x265-params": "log-level=none:crf=1"}),
    "av1.mp4": ("libsvtav1", "yuv420p", {"crf": "10", "svtav1-params": "lp=1"}),
    "av1_10_bits.mkv": ("libsvtav1", "yuv420p10le", {"crf": "10", "svtav1-params": "lp=1"}),
    "vp9.webm": ("libvpx-vp9", "yuv420p", {"crf": "1"}),
}


def waves() -> np.ndarray:
    """Return a picture without edges, (128, 192, 3) uint8."""
    down, across = np.mgrid[0:128, 0:192]
    return np.stack([127 + 100 * np.sin(down / a + across / b) for a, b in ((9, 13), (17, 8), (21, 30))], 2).astype(
        np.uint8
    )


@pytest.mark.parametrize("name", SUBSAMPLED)
def test_subsampled_colours_are_those_of_ffmpeg(name: str, tmp_path: Path) -> None:
    codec, pixel_format, options = SUBSAMPLED[name]
    squares = np.random.default_rng(0).integers(0, 255, (8, 12, 3)).astype(np.uint8).repeat(16, 0).repeat(16, 1)
    picture = squares if pixel_format == "yuv420p" else waves()
    path = encoded(tmp_path / name, [picture] * 3, codec, pixel_format, options=options)
    found, theirs = np.stack(frames(path)), pixels_by_ffmpeg(path)
    if pixel_format == "yuv420p":
        np.testing.assert_array_equal(found, theirs)
    else:  # older ffmpegs take no notice of where between the pixels the colours of H.265 lie
        assert np.abs(found.astype(int) - theirs).mean() <= 3


def corners() -> np.ndarray:
    """Return a picture whose corners differ: (32, 64, 3), red at the top left, green at the top right, blue below."""
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:16, :32], picture[:16, 32:], picture[16:, :32] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    return picture


TURNED: dict[str, tuple[tuple[int, int, int, int], Callable[[np.ndarray], np.ndarray]]] = {
    "right": ((0, 1, -1, 0), lambda picture: np.rot90(picture, -1)),
    "left": ((0, -1, 1, 0), np.rot90),
    "upside down": ((-1, 0, 0, -1), lambda picture: np.rot90(picture, 2)),
    "mirrored": ((-1, 0, 0, 1), np.fliplr),
    "flipped": ((1, 0, 0, -1), np.flipud),
    "right, mirrored": ((0, 1, 1, 0), lambda picture: np.fliplr(np.rot90(picture, -1))),
    "left, mirrored": ((0, -1, -1, 0), lambda picture: np.fliplr(np.rot90(picture))),
}


@pytest.mark.parametrize("how", TURNED)
def test_frames_are_turned_by_the_display_matrix(how: str, tmp_path: Path) -> None:
    matrix, turn = TURNED[how]
    path = turned(encoded(tmp_path / "a.mp4", [corners()] * 2, options={"crf": "1"}), *matrix)
    found = frames(path)[0]
    assert found.shape == turn(corners()).shape
    assert np.abs(found.astype(int) - turn(corners())).mean() <= 12  # the colours run into one another at the edges


@pytest.mark.parametrize("how", ["right", "left", "upside down"])
def test_frames_are_turned_as_ffmpeg_turns_them(how: str, tmp_path: Path) -> None:
    path = turned(encoded(tmp_path / "a.mp4", [corners()] * 2), *TURNED[how][0])
    assert np.abs(frames(path)[0].astype(int) - pixels_by_ffmpeg(path)[0]).mean() <= 3


@pytest.mark.parametrize(("aspect", "shape"), [(Fraction(16, 11), (48, 93)), (Fraction(1, 2), (96, 64))])
def test_pixels_become_square(aspect: Fraction, shape: tuple[int, int], tmp_path: Path) -> None:
    picture = np.full((48, 64, 3), 120, np.uint8)
    for name in ("a.mp4", "a.mkv"):
        path = encoded(tmp_path / name, [picture], sample_aspect_ratio=aspect)
        assert frames(path)[0].shape == (*shape, 3)


def test_a_turned_video_is_stretched_before_it_is_turned(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.mp4", [corners()], sample_aspect_ratio=Fraction(2))
    assert frames(turned(path, 0, 1, -1, 0))[0].shape == (128, 32, 3)


def faded() -> np.ndarray:
    """Return a red picture, (32, 64, 4) uint8, opaque at the left, clear at the right."""
    picture = np.zeros((32, 64, 4), np.uint8)
    picture[..., 0], picture[:, :32, 3] = 200, 255
    return picture


ALPHA = {
    "vp9.webm": ("libvpx-vp9", "yuva420p", {"alpha_mode": "1"}),
    "prores.mov": ("prores_ks", "yuva444p10le", {}),
    "animation.mov": ("qtrle", "argb", {}),
    "ffv1.mkv": ("ffv1", "rgba64le", {}),
    "png.mov": ("png", "rgba", {}),
}


@pytest.mark.parametrize("name", ALPHA)
def test_transparency_is_laid_over_white(name: str, tmp_path: Path) -> None:
    codec, pixel_format, tags = ALPHA[name]
    path = encoded(tmp_path / name, [faded()] * 3, codec, pixel_format, stored="rgba", tags=tags)
    for found in frames(path):
        assert np.abs(found[:, :28].astype(int) - (200, 0, 0)).max() <= 12
        assert np.abs(found[:, 36:].astype(int) - 255).max() <= 6


def test_white_drawings_on_transparency_are_laid_over_grey(tmp_path: Path) -> None:
    picture = np.full((32, 64, 4), 255, np.uint8)
    picture[:, 32:, 3] = 0
    found = frames(encoded(tmp_path / "a.mov", [picture], "png", "rgba", stored="rgba"))[0]
    assert (found[0, 0] == 255).all()
    assert (found[0, -1] == 128).all()


def hdr_grey(tmp_path: Path, code: float, transfer: int) -> float:
    """Return how a grey of BT.2020, by its code from 0 to 1, is shown."""
    planes = yuv(np.full((32, 32, 3), 255 * code), BT2020, LIMITED, 10)
    path = stored(
        tmp_path / f"{transfer}{code:.4f}.mkv",
        planes,
        "yuv444p10le",
        colorspace=BT2020,
        color_range=LIMITED,
        color_trc=transfer,
        color_primaries=BT2020,
    )
    found = frames(path)[0]
    assert np.ptp(found.reshape(-1, 3), axis=0).max() == 0
    assert np.ptp(found[0, 0].astype(int)) <= 1
    return float(found.mean())


def test_the_light_of_pq_is_that_of_the_standard() -> None:
    # BT.2408-7, table 1: of HDR reference white and of greys, the light and the signal in per cent.
    for light, signal in ((203, 58), (26, 38), (1000, 75), (10_000, 100)):
        assert 100 * pq_code(np.array(float(light))) == pytest.approx(signal, abs=0.6)
    assert pq_light(pq_code(np.array([0.0, 1.0, 203.0, 4000.0]))) == pytest.approx([0, 1, 203, 4000], abs=1e-6)


def test_dark_tones_stay_and_bright_ones_are_rolled_off() -> None:
    light = np.linspace(0, 4000, 2000)
    mapped = tone_mapped(light)
    assert mapped[light < 60] == pytest.approx(light[light < 60], rel=1e-6, abs=1e-6)
    assert (np.diff(mapped) >= -1e-9).all()
    assert mapped[light >= PEAK] == pytest.approx(WHITE)
    assert 120 < tone_mapped(np.array(203.0)) < WHITE


def test_greys_of_pq_and_hlg_that_are_alike_are_shown_alike(tmp_path: Path) -> None:
    # BT.2408-7, table 1: reference white is 58 % of PQ and 75 % of HLG, and an 18 % grey card 38 % of both.
    for pq, hlg in ((0.58, 0.75), (0.38, 0.38)):
        assert hdr_grey(tmp_path, pq, PQ) == pytest.approx(hdr_grey(tmp_path, hlg, HLG), abs=3)
    expected = 255 * (26 / WHITE) ** (1 / 2.4)
    assert hdr_grey(tmp_path, 0.38, PQ) == pytest.approx(expected, abs=4)
    assert hdr_grey(tmp_path, 0.0, PQ) == 0
    assert hdr_grey(tmp_path, 0.80, PQ) == 255


def test_hues_of_bt2020_become_those_of_bt709() -> None:
    # The red of BT.709 at 100 cd/m², in BT.2020 (BT.2087-0, section 2).
    light = np.array([0.6274, 0.0691, 0.0164]) * 100
    codes = (pq_code(light) * 65535).round().astype(np.uint16)
    found = to_sdr(np.broadcast_to(codes, (4, 4, 3)), "PQ")[0, 0].astype(int)
    assert found[0] > 150
    assert found[1:].max() <= 12
