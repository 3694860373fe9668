"""Videos in a folder: taken, failed with the reason, or left out with what to do."""

from __future__ import annotations

import logging
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgcluster.config import ImagesConfig
from imgcluster.errors import ImageError
from imgcluster.images import Listing, find_images, read_image
from tests.conftest import write_picture
from tests.support.videos import encoded, grey, number_of

TEXT = {
    "empty.mp4": (b"", "the file is empty"),
    "noise.mkv": (b"\x93\x11" * 3000, "damaged, or not a video"),
    "program.ts": (b"export const answer: number = 42;\n" * 20, "a text file, not a video"),
    # FFmpeg would read on at the places that these name.
    "playlist.mp4": (
        b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\na.ts\n#EXT-X-ENDLIST\n",
        "a text file, not a video",
    ),
    "list.mkv": (b"ffconcat version 1.0\nfile a.ts\n", "a text file, not a video"),
    "page.webm": (b"<!doctype html><html></html>", "an HTML page, not a video"),
}


def listed(folder: Path, **video: Any) -> Listing:
    return find_images(ImagesConfig(folder=str(folder), video=video or None))


def reasons(listing: Listing) -> dict[str, str]:
    """Return why images cannot be read, by their ids."""
    found = {}
    for image in listing.images:
        try:
            read_image(image.path)
        except ImageError as error:
            found[image.id] = str(error)
    return found


def noise(count: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 255, (48, 64, 3)).astype(np.uint8) for _ in range(count)]


def test_pictures_and_videos_are_mixed_in_natural_order(tmp_path: Path) -> None:
    for name in ("10.png", "2.png"):
        write_picture(tmp_path / name, grey(3))
    (tmp_path / "below").mkdir()
    encoded(tmp_path / "below" / "3.mp4", [grey(n) for n in range(4)])
    encoded(tmp_path / "9.mkv", [grey(n) for n in range(4)])
    found = listed(tmp_path, every="80 ms")
    ids = ["2.png", "9.mkv#t=0.000", "9.mkv#t=0.080", "10.png", "below/3.mp4#t=0.000", "below/3.mp4#t=0.080"]
    assert [image.id for image in found.images] == ids
    assert [number_of(read_image(image.path)) for image in found.images] == [3, 0, 2, 3, 0, 2]
    assert not found.notes
    assert not found.left_out


def test_without_the_key_videos_are_left_out_with_what_to_write(tmp_path: Path) -> None:
    pytest.importorskip("av")
    write_picture(tmp_path / "a.png", grey(3))
    for name in ("b.mp4", "c.MOV", "d.mp4", "program.ts"):
        (tmp_path / name).write_bytes(b"any")
    found = listed(tmp_path)
    assert [image.id for image in found.images] == ["a.png"]
    assert found.notes == [
        "skipped 3 videos (.mov, .mp4); to take frames of them: set images.video, such as {every: 1 s}",
        "skipped 1 file that is not a picture (.ts)",
    ]
    assert found.left_out == {"videos": {".mov": 1, ".mp4": 2}, "no_picture": {".ts": 1}}


def test_without_the_extra_videos_are_left_out_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgcluster.images.video.extra.is_installed", lambda: False)
    write_picture(tmp_path / "a.png", grey(3))
    (tmp_path / "b.mp4").write_bytes(b"any")
    found = listed(tmp_path, every=1)
    assert [image.id for image in found.images] == ["a.png"]
    assert found.notes == ['skipped 1 video (.mp4); to take frames of them: pip install "imgcluster[video]"']


def test_a_folder_of_videos_alone_says_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "b.mp4").write_bytes(b"any")
    with pytest.raises(ImageError, match=r"no image .* 1 video \(\.mp4\).*images\.video"):
        listed(tmp_path)


@pytest.mark.parametrize("name", TEXT)
def test_what_is_no_video_fails_with_the_reason(name: str, tmp_path: Path) -> None:
    data, reason = TEXT[name]
    encoded(tmp_path / "a.ts", [grey(0)])
    (tmp_path / name).write_bytes(data)
    assert reasons(listed(tmp_path, every=1)) == {name: reason}


def test_a_song_with_a_cover_and_sound_alone_fail_with_the_reason(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason='needs PyAV: pip install "imgcluster[video]"')
    for name in ("song.mp4", "sound.mkv"):
        with av.open(str(tmp_path / name), "w") as container:
            sound = container.add_stream("aac", rate=44100)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.float32), "fltp", "mono")
            frame.sample_rate = 44100
            cover = None
            if name == "song.mp4":
                cover = container.add_stream("mjpeg", rate=1)
                cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
                cover.disposition = av.stream.Disposition.attached_pic
            for packet in [*sound.encode(frame), *sound.encode(None)]:
                container.mux(packet)
            if cover is not None:
                for packet in [*cover.encode(av.VideoFrame.from_ndarray(grey(5))), *cover.encode(None)]:
                    container.mux(packet)
    assert reasons(listed(tmp_path, every=1)) == {
        "song.mp4": "has no video: its only picture is a cover",
        "sound.mkv": "has no video stream",
    }


def test_a_file_that_breaks_off_tells_after_how_many_frames(tmp_path: Path) -> None:
    for name in ("a.mkv", "b.ts", "c.mp4"):
        path = encoded(tmp_path / name, noise(50), options={"g": "5"})
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = listed(tmp_path, frames="all")
    assert found.notes == ["a.mkv breaks off after 24 frames, at 0.960 of 2.000 s"]
    assert reasons(found) == {
        "b.ts#t=0.960": "the video breaks off after 24 frames",
        "c.mp4": "truncated or damaged video",
    }
    assert len(found.images) == 24 + 25 + 1


def test_a_damaged_packet_is_counted_and_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    av = pytest.importorskip("av")
    path = encoded(tmp_path / "a.webm", noise(20), "libvpx-vp9", options={"g": "4"})
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][9]
        damaged = bytes(packet)
    data = path.read_bytes()
    assert data.count(damaged) == 1
    path.write_bytes(data.replace(damaged, b"\xff" * len(damaged)))
    with caplog.at_level(logging.WARNING):
        found = reasons(listed(tmp_path, frames="all"))
    assert set(found.values()) == {"damaged: no frame can be decoded at this time"}
    assert next(iter(found)) == "a.webm#t=0.360"
    assert len(found) <= 3  # up to the next key frame
    assert "'a.webm': skipped" in caplog.text


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_damage_anywhere_leaves_the_other_frames(name: str, tmp_path: Path) -> None:
    path = encoded(tmp_path / name, noise(60), options={"g": "6"})
    data = bytearray(path.read_bytes())
    for at in np.random.default_rng(1).integers(len(data) // 3, len(data) // 2, 20):
        data[at] ^= 0xFF
    path.write_bytes(data)
    first = reasons(listed(tmp_path, frames="all"))
    assert 0 < len(first) < 25
    assert set(first.values()) == {"damaged: no frame can be decoded at this time"}
    assert reasons(listed(tmp_path, frames="all")) == first


@pytest.mark.parametrize("side", [9_000, 100_000])
def test_a_video_of_too_many_pixels_is_refused(side: int, tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.avi", [grey(1)], "ffv1", "bgr0")
    data = bytearray(path.read_bytes())
    at = data.index(b"strf") + 4 + 4 + 4
    data[at : at + 8] = struct.pack("<2i", side, side)
    path.write_bytes(data)
    refused = {"a.avi": "has frames of more than 67,108,864 pixels"}
    beyond_ffmpeg = {"a.avi#t=0.000": "damaged: no frame can be decoded at this time"}
    assert reasons(listed(tmp_path, every=1)) in (refused, beyond_ffmpeg)


def moving(path: Path, durations: list[int], **options: Any) -> Path:
    pictures = [Image.fromarray(grey(number)) for number in range(len(durations))]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=durations, loop=0, **options)
    return path


@pytest.mark.parametrize("name", ["a.gif", "a.webp"])
def test_moving_pictures_are_videos_by_their_durations(name: str, tmp_path: Path) -> None:
    moving(tmp_path / name, [100, 300, 50, 1000])
    found = listed(tmp_path, every="200 ms")
    times = ["0.000", "0.100", "0.400", "0.450"]
    assert [image.id for image in found.images] == [f"{name}#t={time}" for time in times]
    assert [number_of(read_image(image.path)) for image in found.images] == [0, 1, 2, 3]
    assert [number_of(read_image(image.path)) for image in reversed(found.images)] == [3, 2, 1, 0]


@pytest.mark.parametrize("name", ["a.gif", "a.webp"])
def test_moving_pictures_stay_pictures_without_the_key(name: str, tmp_path: Path) -> None:
    moving(tmp_path / name, [100, 300])
    found = listed(tmp_path)
    assert [image.id for image in found.images] == [name]
    assert number_of(read_image(found.images[0].path)) == 0


def test_a_gif_that_stands_still_is_a_picture(tmp_path: Path) -> None:
    Image.fromarray(grey(4)).save(tmp_path / "a.gif")
    assert [image.id for image in listed(tmp_path, every=1).images] == ["a.gif"]


def test_hasty_frames_of_a_gif_are_slowed_as_browsers_do(tmp_path: Path) -> None:
    moving(tmp_path / "a.gif", [0, 10, 20])
    assert [image.id.partition("=")[2] for image in listed(tmp_path, frames="all").images] == [
        "0.000",
        "0.100",
        "0.200",
    ]


def test_names_that_ffmpeg_would_take_for_protocols_are_names(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.mp4", [grey(2)])
    for name in ("concat:a.mp4", "10:30 %d.mp4", "a#t=1.000.mp4", "ü 猫.mp4"):
        (tmp_path / name).write_bytes(path.read_bytes())
    assert not reasons(listed(tmp_path, every=1))


def test_names_that_are_no_text_are_read(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.mp4", [grey(2)])
    path.rename(Path(str(tmp_path) + "/a\udcff.mp4"))
    found = listed(tmp_path, every=1)
    assert not reasons(found)
    assert found.images[0].id == "a\\xff.mp4#t=0.000"


@pytest.mark.parametrize("video", [None, {"every": 1}])
def test_videos_in_archives_are_counted_with_the_reason(tmp_path: Path, video: dict[str, int] | None) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.mp4", b"")
        archive.writestr("b.png", b"")
    found = find_images(ImagesConfig(folder=str(tmp_path / "a.zip"), video=video))  # type: ignore[arg-type]
    assert found.notes == [
        "skipped 1 video (.mp4); to take frames of them, unpack or download them into a folder, and name it in "
        "images.folder"
    ]
    assert found.left_out == {"videos": {".mp4": 1}}
