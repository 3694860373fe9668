"""Frames are handed out by time, to any number of threads, from one pass over a video."""

from __future__ import annotations

import gc
import pickle
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgcluster.config import ImagesConfig
from imgcluster.errors import ImageError
from imgcluster.images import find_images, open_again, open_all_again, read_image
from imgcluster.images.video import reader as reading
from imgcluster.images.video.movie import Movie
from imgcluster.images.video.reader import Reader
from imgcluster.images.video.track import Track
from imgcluster.types import ImageFile
from tests.support.videos import cut_within, encoded, number_of, spoilt_within

COUNT = 240  # frames, with a key frame each 12
LEVELS = 20


def long_video(path: Path, count: int = COUNT, **options: str) -> Path:
    pictures = [np.full((32, 32, 3), 10 + 12 * (number % LEVELS), np.uint8) for number in range(count)]
    return encoded(path, pictures, options={"g": "12", "bf": "2", **options})


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return long_video(tmp_path / "a.mp4")


def listed(folder: Path, every: str = "40 ms") -> list[ImageFile]:
    return list(find_images(ImagesConfig(folder=str(folder), video={"every": every})).images)


def numbers(images: list[ImageFile]) -> list[int]:
    return [number_of(read_image(image.path)) for image in images]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows with each start of a decoder, by the number of frames that it decodes."""
    starts: list[int] = []
    frames = Movie.frames

    def counting(self: Movie, track: object, key: int) -> object:
        starts.append(0)
        for each in frames(self, track, key):  # type: ignore[arg-type]
            starts[-1] += 1
            yield each

    monkeypatch.setattr(Movie, "frames", counting)
    return starts


def test_one_pass_serves_threads_that_ask_in_any_near_order(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = counted(monkeypatch)
    images = listed(video.parent)
    order = np.random.default_rng(0).permuted(np.arange(COUNT).reshape(-1, 8), axis=1).ravel().tolist()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda place: number_of(read_image(images[place].path)), order))
    assert found == [place % LEVELS for place in order]
    assert starts == [COUNT]


def test_a_frame_that_was_passed_is_reached_from_its_key_frame(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = listed(video.parent)
    starts = counted(monkeypatch)
    for place in (230, 3, 120, 119, 10):
        assert numbers([images[place]]) == [place % LEVELS]
    assert sum(starts) < 5 * (12 + 1)


def test_far_frames_are_reached_by_a_jump(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = listed(video.parent)
    starts = counted(monkeypatch)
    assert numbers([images[0], images[5], images[239]]) == [0, 5, 239 % LEVELS]
    assert sum(starts) < 6 + 12 + 1


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.avi", "a.webm"])
def test_every_container_leads_to_the_same_frames_in_any_order(name: str, tmp_path: Path) -> None:
    pictures = [np.full((32, 32, 3), 10 + 12 * (number % LEVELS), np.uint8) for number in range(150)]
    if name == "a.webm":
        encoded(tmp_path / name, pictures, "libvpx-vp9", options={"g": "12"})
    else:
        encoded(tmp_path / name, pictures, options={"g": "12", "bf": "2"})
    images = listed(tmp_path)
    for place in (149, 7, 140, 30, 31):
        assert numbers([images[place]]) == [place % LEVELS]


def test_frames_of_open_groups_are_decoded_from_the_key_frame_before(tmp_path: Path) -> None:
    long_video(tmp_path / "a.mkv", 60, **{"x264-params": "open-gop=1:keyint=12:bframes=3:b-adapt=0:scenecut=0"})
    images = listed(tmp_path)
    for place in reversed(range(60)):
        assert numbers([images[place]]) == [place % LEVELS]


def test_what_is_kept_is_bounded(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_KEPT_BYTES", 10 * 32 * 32 * 2)
    track = Movie(str(video)).track()
    reader = Reader(str(video), track, track.times.tolist())
    most = 0
    keep = Reader._keep

    def watching(self: Reader, time: int, frame: object) -> None:
        nonlocal most
        keep(self, time, frame)
        most = max(most, len(self._kept))

    monkeypatch.setattr(Reader, "_keep", watching)
    assert number_of(reader.pixels(239)) == 239 % LEVELS
    assert number_of(reader.pixels(4)) == 4
    assert 0 < most <= 11


def test_a_frame_is_opened_again_by_its_text(video: Path) -> None:
    images = listed(video.parent, "1 s")
    texts = [str(image.path) for image in images]
    assert texts[2] == f"{video}#t=2.000"
    again = open_all_again([*texts, str(video)])
    assert again[:-1] == [image.path for image in images]
    assert [number_of(read_image(path)) for path in again[:-1]] == numbers(images)
    assert again[-1] == video
    assert number_of(read_image(open_again(f"{video}#t=1.03"))) == 25 % LEVELS  # the one on the screen then


def test_a_frame_of_a_video_that_is_gone_tells_so(video: Path) -> None:
    path = open_again(f"{video.with_name('b.mp4')}#t=1.000")
    with pytest.raises(ImageError, match="no such file"):
        read_image(path)


def test_no_frame_is_behind_the_end(video: Path) -> None:
    *_, last = listed(video.parent)
    assert str(last.path).endswith("#t=9.560")
    for time in ("9.560", "9.599"):  # the last frame is on the screen
        assert number_of(read_image(open_again(f"{video}#t={time}"))) == (COUNT - 1) % LEVELS
    first, *late = open_all_again([f"{video}#t={time}" for time in ("0", "9.6", "10.000", "99")])
    for path in late:
        with pytest.raises(ImageError, match=r"^the video ends at 9\.600 s$"):
            read_image(path)
    assert number_of(read_image(first)) == 0  # the others do no harm to it


def test_the_label_of_the_last_frame_is_not_behind_the_end() -> None:
    times = np.array([0, 1001, 2002], np.int64)
    short = Track(times, np.zeros_like(times), Fraction(1, 30_000_000), 0, 2003)  # ends with the same label
    assert short.texts[-1] == short.end_text
    assert [short.is_over_at(text) for text in (*short.texts, "0.0001")] == [False, False, False, True]


@pytest.mark.parametrize("time", ["-1", "1:05", "1e9", "", "1.5 s", "nan"])
def test_a_time_that_is_none_is_told_from_a_file_that_is_missing(video: Path, time: str) -> None:
    with pytest.raises(ImageError, match=r"^not a time in seconds, such as a\.mp4#t=1\.5$"):
        read_image(open_again(f"{video}#t={time}"))
    with pytest.raises(ImageError, match=r"^no such file$"):
        read_image(open_again(f"{video.with_name('b.mp4')}#t={time}"))
    file = video.with_name(f"{video.name}#t={time}")
    file.write_bytes(b"P5 1 1 255 x")
    assert open_again(str(file)) == file


def test_frames_travel_to_other_processes(video: Path) -> None:
    images = listed(video.parent, "1 s")
    assert numbers(pickle.loads(pickle.dumps(images))) == numbers(images)  # noqa: S301 (made here)


def test_a_changed_video_has_other_stamps(video: Path) -> None:
    before = [image.path.stamp for image in listed(video.parent, "1 s")]  # type: ignore[union-attr]
    assert before == [image.path.stamp for image in listed(video.parent, "1 s")]  # type: ignore[union-attr]
    assert len(set(before)) == len(before)
    long_video(video, crf="30")
    after = [image.path.stamp for image in listed(video.parent, "1 s")]  # type: ignore[union-attr]
    assert not set(before) & set(after)


def test_another_decoder_makes_other_stamps(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = listed(video.parent, "1 s")[0].path
    before = path.stamp  # type: ignore[union-attr]
    monkeypatch.setattr("imgcluster.images.video.frames.decoder_version", lambda: "99")
    assert path.stamp != before  # type: ignore[union-attr]


NOISE = [np.random.default_rng(number).integers(0, 255, (96, 128, 3)).astype(np.uint8) for number in range(40)]
CODECS: dict[str, tuple[str, str, dict[str, str]]] = {  # by the names of files: encoder, pixel format, options
    "h264.mp4": ("libx264", "yuv420p", {"g": "6", "bf": "0"}),
    "h264b.mkv": ("libx264", "yuv420p", {"g": "12", "bf": "3"}),
    "h264b.ts": ("libx264", "yuv420p", {"g": "12", "bf": "3"}),
    "slices.ts": ("libx264", "yuv420p", {"g": "12", "bf": "3", "x264-params": "slices=2"}),
    "h265.mkv": ("libx265", "yuv420p", {"g": "12", "x265-params": "log-level=none"}),
    "mpeg2.ts": ("mpeg2video", "yuv420p", {"g": "6", "bf": "2"}),
    "mpeg4.avi": ("mpeg4", "yuv420p", {"g": "6", "bf": "2"}),
    "vp8.webm": ("libvpx", "yuv420p", {"g": "6"}),
    "vp9.webm": ("libvpx-vp9", "yuv420p", {"g": "6"}),
    "av1.mkv": ("libsvtav1", "yuv420p", {"g": "6", "svtav1-params": "lp=1"}),
    "ffv1.mkv": ("ffv1", "yuv420p", {}),
    "mjpeg.mkv": ("mjpeg", "yuvj420p", {}),
}


class Unflagged:
    """A frame without its flags of damage, as FFmpeg returns it where another thread has not set them yet."""

    is_corrupt = False

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    def __getattr__(self, name: str) -> Any:
        return getattr(self._frame, name)


def of_codec(folder: Path, name: str) -> Path:
    codec, pixel_format, options = CODECS[name]
    others = {"time_base": Fraction(1, 25)} if codec.startswith("mpeg") else {}
    return encoded(folder / name, NOISE, codec, pixel_format, options=options, **others)


def decoded(path: Path, *, threads: bool = True) -> tuple[list[int], int]:
    """Return the times of the frames, and how many packets and frames were damaged."""
    movie = Movie(str(path))
    if not threads:
        movie._is_threaded = False
        movie._reopen()
    track = movie.track()
    return [time for time, _ in movie.frames(track, int(track.times[0]))], movie.damaged


def without_late_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = Movie._decode

    def unflagged(self: Movie, packet: object) -> list[Any]:
        found = decode(self, packet)
        return [Unflagged(frame) for frame in found] if self._is_threaded else found

    monkeypatch.setattr(Movie, "_decode", unflagged)


@pytest.mark.parametrize("name", CODECS)
def test_whole_videos_are_decoded_by_several_threads_to_their_end(name: str, tmp_path: Path) -> None:
    path = of_codec(tmp_path, name)
    movie = Movie(str(path))
    track = movie.track()
    assert [time for time, _ in movie.frames(track, int(track.times[0]))] == track.times.tolist()
    assert not movie.damaged
    assert movie._is_threaded


@pytest.mark.parametrize("name", ["h264.mp4", "h264b.mkv", "h264b.ts", "slices.ts", "mpeg2.ts"])
@pytest.mark.parametrize("seed", range(3))
def test_damage_is_found_although_threads_flag_it_late(
    name: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = of_codec(tmp_path, name)
    data = bytearray(path.read_bytes())
    for at in np.random.default_rng(seed).integers(len(data) // 4, len(data) * 3 // 4, 12):
        data[at] ^= 0xFF
    path.write_bytes(data)
    expected = decoded(path, threads=False)
    assert expected[1]
    without_late_flags(monkeypatch)
    assert decoded(path) == expected


@pytest.mark.parametrize("name", ["h264b.ts", "slices.ts"])
def test_a_torn_last_frame_is_found_although_threads_flag_it_late(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cut_within(of_codec(tmp_path, name), 31)
    without_late_flags(monkeypatch)
    times, damaged = decoded(path)
    assert (len(times), damaged) == (31, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", CODECS)
def test_damaged_videos_have_the_same_frames_at_every_run(name: str, tmp_path: Path) -> None:
    path = of_codec(tmp_path, name)
    data = path.read_bytes()
    (path := tmp_path / f"cut-{name}").write_bytes(data[: len(data) * 2 // 3])
    if name == "h264.mp4":
        path = spoilt_within(of_codec(tmp_path, name), (20, 39))
    with ThreadPoolExecutor(4) as pool:
        found = set(map(str, pool.map(lambda _: decoded(path), range(200))))
    assert len(found) == 1


def shape_of(image: ImageFile) -> tuple[int, ...]:
    return read_image(image.path).shape


def resident() -> float:
    """Return the memory of this process in MiB."""
    status = Path("/proc/self/status")
    if not status.is_file():
        pytest.skip("needs /proc")
    return int(status.read_text().partition("VmRSS:")[2].split()[0]) / 1024


def test_memory_does_not_grow_with_the_length_of_a_video(tmp_path: Path) -> None:
    pictures = [np.full((360, 640, 3), 10 + number % 200, np.uint8) for number in range(400)]
    encoded(tmp_path / "a.mp4", pictures, options={"preset": "ultrafast"})
    images = listed(tmp_path)
    gc.disable()  # frames that waited for it would take 130 MiB
    try:
        with ThreadPoolExecutor(2) as pool:
            assert set(pool.map(shape_of, images[:100])) == {(360, 640, 3)}
            before = resident()
            assert set(pool.map(shape_of, images[100:])) == {(360, 640, 3)}
            assert resident() - before < 40
    finally:
        gc.enable()
