"""Which frames are taken, and when they are shown: as ffmpeg has it, wherever the container holds times."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgcluster.config import ImagesConfig, VideoSampling
from imgcluster.images import find_images, read_image
from imgcluster.images.video.movie import Movie
from imgcluster.images.video.track import Track
from tests.support.videos import cut_by_edit_list, encoded, grey, number_of, times_by_ffmpeg

UNEVEN = [0, 10, 40, 300, 310, 1000, 1400, 1410, 1990]


def taken(folder: Path, **video: Any) -> dict[str, int]:
    """Return the numbers of the frames that are taken, by their ids."""
    images = find_images(ImagesConfig(folder=str(folder), video=video)).images
    return {image.id: number_of(read_image(image.path)) for image in images}


def uneven(path: Path) -> Path:
    return encoded(path, [grey(number) for number in range(len(UNEVEN))], times=UNEVEN)


def test_frames_are_chosen_by_when_they_are_shown_and_not_by_their_number(tmp_path: Path) -> None:
    uneven(tmp_path / "a.mp4")
    assert taken(tmp_path, every="500 ms") == {
        "a.mp4#t=0.000": 0,
        "a.mp4#t=0.310": 4,
        "a.mp4#t=1.000": 5,
        "a.mp4#t=1.410": 7,
        "a.mp4#t=1.990": 8,
    }
    assert taken(tmp_path, every=1) == {"a.mp4#t=0.000": 0, "a.mp4#t=1.000": 5, "a.mp4#t=1.990": 8}


def test_a_number_of_frames_is_spread_over_the_time(tmp_path: Path) -> None:
    uneven(tmp_path / "a.mp4")
    assert list(taken(tmp_path, frames=2)) == ["a.mp4#t=0.310", "a.mp4#t=1.410"]
    assert list(taken(tmp_path, frames=1)) == ["a.mp4#t=1.000"]
    everything = [f"a.mp4#t={time / 1000:.3f}" for time in UNEVEN]
    assert list(taken(tmp_path, frames=1000)) == list(taken(tmp_path, frames="all")) == everything


def test_ids_have_as_many_digits_as_tell_frames_apart(tmp_path: Path) -> None:
    track = Track(np.array([0, 1, 2, 9000]), np.zeros(4, np.int64), Fraction(1, 9000), 0, 9001)
    assert track.texts == ["0.000000", "0.000111", "0.000222", "1.000000"]
    assert [track.shown_at(text) for text in track.texts] == [0, 1, 2, 3]
    assert [track.shown_at(text) for text in ("0", "0.0001111", "0.5", "7")] == [0, 1, 2, 3]


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(15)])
def test_every_frame_is_found_again_by_its_id(rate: Fraction) -> None:
    tick = Fraction(1, 90000)
    times = np.array([round(number / rate / tick) for number in range(1000)])
    track = Track(times, times, tick, 0, int(times[-1]) + 3000)
    assert [track.shown_at(text) for text in track.texts] == list(range(1000))


def test_a_step_is_kept_exactly_over_hours() -> None:
    tick, rate = Fraction(1, 90000), Fraction(30000, 1001)
    times = np.array([round(number / rate / tick) for number in range(0, 400_000, 7)])
    track = Track(times, times, tick, 0, int(times[-1]) + 3003)
    found = track.choose(VideoSampling(every="100 ms"))
    whole = [np.searchsorted(times, number * 9000, "right") - 1 for number in range(-(-track.end // 9000))]
    assert found == np.unique(whole).tolist()


MAKERS: dict[str, Callable[[Path], Path]] = {
    "uneven.mp4": uneven,
    "uneven.mkv": uneven,
    "reordered.mp4": lambda path: encoded(path, [grey(n) for n in range(20)], options={"bf": "3"}),
    "reordered.mkv": lambda path: encoded(path, [grey(n) for n in range(20)], options={"bf": "3"}),
    "reordered.ts": lambda path: encoded(path, [grey(n) for n in range(20)], options={"bf": "3"}),
    "edited.mp4": lambda path: cut_by_edit_list(
        encoded(path, [grey(n) for n in range(20)], options={"bf": "2", "g": "20"}), 280
    ),
    "av1.mp4": lambda path: encoded(path, [grey(n) for n in range(20)], "libsvtav1", options={"svtav1-params": "lp=1"}),
    "vp9.webm": lambda path: encoded(path, [grey(n) for n in range(20)], "libvpx-vp9"),
    "vp8.webm": lambda path: encoded(
        path, [grey(n) for n in range(20)], "libvpx", options={"auto-alt-ref": "1", "lag-in-frames": "10"}
    ),
    "mpeg2.mpg": lambda path: encoded(path, [grey(n) for n in range(20)], "mpeg2video", time_base=Fraction(1, 25)),
    "ten.mkv": lambda path: encoded(path, [grey(n) for n in range(20)], "libx265", "yuv420p10le"),
    "all_keys.mov": lambda path: encoded(path, [grey(n) for n in range(20)], "mjpeg", "yuvj420p"),
    "old.wmv": lambda path: encoded(path, [grey(n) for n in range(20)], "wmv2"),
    "old.flv": lambda path: encoded(path, [grey(n) for n in range(20)], "flv1"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_times_are_those_of_the_decoder_and_of_ffmpeg(name: str, tmp_path: Path) -> None:
    path = MAKERS[name](tmp_path / name)
    movie = Movie(str(path))
    track = movie.track()
    decoded = [time for time, _ in movie.frames(track, int(track.times[0]))]
    assert decoded == track.times.tolist()
    shown = [float((time - track.origin) * track.tick) for time in decoded]
    assert shown == pytest.approx(times_by_ffmpeg(path), abs=2e-3)


@pytest.mark.parametrize("name", MAKERS)
def test_pixels_belong_to_their_times(name: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path / name)
    numbers = list(taken(tmp_path, frames="all").values())
    first = 7 if name == "edited.mp4" else 0
    assert numbers == list(range(first, first + len(numbers)))
    assert len(numbers) >= 9


def test_the_cover_of_a_film_is_no_frame_of_it(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    film = encoded(tmp_path / "film.mp4", [grey(number) for number in range(10)], times=[*UNEVEN, 2500])
    path = tmp_path / "covered" / "a.mp4"
    path.parent.mkdir()
    with av.open(str(film)) as old, av.open(str(path), "w") as new:
        cover = new.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in [*cover.encode(av.VideoFrame.from_ndarray(grey(19))), *cover.encode(None)]:
            new.mux(packet)
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    found = taken(path.parent, frames="all")
    assert list(found.values()) == list(range(10))
    assert [float(id.partition("=")[2]) for id in found] == pytest.approx(times_by_ffmpeg(path), abs=2e-3)


def test_joined_streams_go_on_where_the_first_one_ends(tmp_path: Path) -> None:
    part = encoded(tmp_path / "part.ts", [grey(number) for number in range(10)])
    joined = tmp_path / "joined" / "a.ts"
    joined.parent.mkdir()
    joined.write_bytes(2 * part.read_bytes())
    found = taken(joined.parent, frames="all")
    assert list(found.values()) == [*range(10), *range(10)]
    assert list(found) == [f"a.ts#t={number * 0.04:.3f}" for number in range(20)]
    # Where the joint lies, to one frame, depends on ffmpeg's version.
    assert [number * 0.04 for number in range(20)] == pytest.approx(times_by_ffmpeg(joined), abs=0.0401)


def test_frames_of_avi_which_has_no_times_come_in_their_order(tmp_path: Path) -> None:
    encoded(tmp_path / "a.avi", [grey(number) for number in range(20)], options={"bf": "2"})
    found = taken(tmp_path, frames="all")
    assert list(found.items()) == [(f"a.avi#t={number * 0.04:.3f}", number) for number in range(20)]
