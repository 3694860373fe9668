"""Segments: consecutive frames of a video in one cluster."""

from __future__ import annotations

from pathlib import Path

from imgcluster.images.video.frames import VideoFile, VideoFrame
from imgcluster.runs.segments import Segment, segments_of
from imgcluster.types import ImageFile, Stamp


def film(name: str, *times: str, end: str = "9.500", id: str = "{}#t={}") -> list[ImageFile]:
    video = VideoFile(f"films/{name}", Stamp(name, 0, 0, 0), end)
    return [ImageFile(id.format(name, time), VideoFrame(video, time)) for time in times]


def test_a_segment_ends_where_the_next_one_begins_or_the_video_ends() -> None:
    picture = ImageFile("x.png", Path("x.png"))
    images = [*film("a.mp4", "0.000", "1.000", "2.000", "3.000"), picture, *film("b.mp4", "0.040")]
    assert segments_of(images, [5, 5, -1, 5, 5, 5]) == [
        Segment("a.mp4", "0.000", "2.000", 5),
        Segment("a.mp4", "2.000", "3.000", -1),
        Segment("a.mp4", "3.000", "9.500", 5),
        Segment("b.mp4", "0.040", "9.500", 5),
    ]


def test_a_segment_goes_on_over_a_frame_that_failed() -> None:
    images = film("a.mp4", "0.000", "1.000", "2.000")
    assert segments_of(images, [1, None, 1]) == [Segment("a.mp4", "0.000", "9.500", 1)]
    assert segments_of(images, [None, None, None]) == []


def test_frames_are_put_into_order_by_time() -> None:
    images = film("a.mp4", "10.000", "9.000", "2.000", end="11.000")
    assert segments_of(images, [1, 0, 0]) == [
        Segment("a.mp4", "2.000", "10.000", 0),
        Segment("a.mp4", "10.000", "11.000", 1),
    ]


def test_ids_of_their_own_leave_the_video_its_path() -> None:
    images = film("a.mp4", "0.000", id="frame of {} at {}")
    assert segments_of(images, [2]) == [Segment("films/a.mp4", "0.000", "9.500", 2)]


def test_frames_of_shots_stand_for_the_time_from_the_beginning_of_these() -> None:
    first, second = film("a.mp4", "2.000", "6.000")
    assert isinstance(second.path, VideoFrame)
    shot = ImageFile(second.id, VideoFrame(second.path.video, second.path.time, "5.000"))
    assert segments_of([first, shot], [0, 1])[1] == Segment("a.mp4", "5.000", "9.500", 1)
