"""A frame of a video as an image of a run."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from imgcluster.errors import ImageError
from imgcluster.images.parts import parts_again
from imgcluster.images.plain import plain_file
from imgcluster.images.sources.base import Lost, local_stamp, number_of, reason_of
from imgcluster.images.video.extra import INSTALL, is_installed
from imgcluster.images.video.movie import decoder_version
from imgcluster.images.video.names import frame_name, is_video_name, split_frame, without_time
from imgcluster.images.video.reader import MAX_OPEN, Reader, track_of
from imgcluster.images.video.track import Track
from imgcluster.types import ImageFile, ImagePath, Source, Stamp

RULES = 2  # of how frames become pixels: raise it when one of them changes


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A video of this machine as it was at a stamp.

    end: when it ends. wanted: the times of the frames that will be read. Both in seconds, as ids have them.
    """

    place: str
    stamp: Stamp
    end: str = field(default="", compare=False, repr=False)
    wanted: Sequence[str] = field(default=(), compare=False, repr=False)

    @property
    def track(self) -> Track:
        """Its frames. Raises ImageError."""
        return track_of(self.place, self.stamp)


@dataclass(frozen=True, slots=True)
class VideoFrame(Source):
    """The frame on the screen at a time, in seconds as a decimal. shot: when the shot begins that it stands for."""

    video: VideoFile
    time: str
    shot: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        return frame_name(self.video.place, self.time)

    @property
    def stamp(self) -> Stamp:
        """That of the video, at this time. The decoder is in it, so that frames of another one are read anew."""
        path, size, mtime_ns, version = self.video.stamp
        return Stamp(frame_name(path, self.time), 0, mtime_ns, number_of(f"{size} {version} {_pixels_depend_on(path)}"))

    @property
    def since(self) -> str:
        """The time from which on it stands for the video."""
        return self.shot or self.time

    @property
    def is_far(self) -> bool:
        """False: videos are local files."""
        return False

    @property
    def order(self) -> str:
        """The video, and the place in it."""
        whole, _, part = self.time.partition(".")
        return f"{self.video.place}\0{whole:>012}.{part}"

    def read(self) -> bytes:
        """Return the frame as an uncompressed image file. Raises ImageError."""
        return plain_file(_reader_of(self.video).pixels(self.video.track.shown_at(self.time)))

    def absolute(self) -> VideoFrame:
        """Return it with an absolute path, for a process in another folder."""
        return replace(self, video=replace(self.video, place=str(Path(self.video.place).absolute())))


def frames_of(place: str, choose: Callable[[Track], Iterable[str]]) -> list[VideoFrame]:
    """Return the frames of a video that `choose` names by their times. Raises ImageError: none can be read."""
    if is_video_name(place) and not is_installed():
        raise ImageError(f"PyAV is not installed: {INSTALL}")
    try:
        video = VideoFile(place, local_stamp(place))
    except (OSError, ValueError) as error:
        raise ImageError(reason_of(error)) from None
    track = video.track
    video = replace(video, end=track.end_text, wanted=tuple(choose(track)))
    return [VideoFrame(video, time) for time in video.wanted]


def frames_again(texts: Iterable[str]) -> dict[str, ImagePath]:
    """Return the frames that texts name, `a.mp4#t=1.000`, by these.

    Reading one of a lost video raises the reason, as does one behind the end, or without a time, `a.mp4#t=1:05`.
    """
    named = list(texts)
    found = parts_again(named, split_frame, _frames_at)
    return found | {text: Lost(text, why) for text in named if (why := _why_no_time(text))}


def _frames_at(place: str, times: Iterable[str]) -> dict[str, ImagePath]:
    """Return the frames of a video by their times. One behind its end is lost: no stored features are taken for it."""
    found: dict[str, ImagePath] = {}
    for frame in frames_of(place, lambda _: times):
        track = frame.video.track
        is_over = track.is_over_at(frame.time)
        found[frame.time] = Lost(str(frame), f"the video ends at {track.end_text} s") if is_over else frame
    return found


def _why_no_time(text: str) -> str | None:
    """Return why a text names no frame of a video that is there; None where it names one, or a file."""
    place = without_time(text)
    if place is None or not os.path.isfile(place) or os.path.lexists(text):
        return None
    return f"not a time in seconds, such as {frame_name(Path(place).name, '1.5')}"


def video_starts(images: Iterable[ImageFile]) -> np.ndarray:
    """Return the rows, (m,) int64, at which a video begins, or pictures after one; none where all are pictures."""
    videos = [image.path.video.place if isinstance(image.path, VideoFrame) else None for image in images]
    if not any(videos):
        return np.empty(0, np.int64)
    return np.array([row for row, video in enumerate(videos) if not row or video != videos[row - 1]], np.int64)


_readers: OrderedDict[VideoFile, Reader] = OrderedDict()
_readers_lock = threading.Lock()


def _reader_of(video: VideoFile) -> Reader:
    """Return the one reader of a video; the least recently used of too many is forgotten. Raises ImageError."""
    with _readers_lock:
        reader = _readers.pop(video, None)
        if reader is None:
            track = video.track
            wanted = (int(track.times[track.shown_at(time)]) for time in video.wanted)
            reader = Reader(video.place, track, wanted)
        _readers[video] = reader
        while len(_readers) > MAX_OPEN:
            _readers.popitem(last=False)
    return reader


def _pixels_depend_on(path: str) -> str:
    return f"{f'FFmpeg {decoder_version()}' if is_video_name(path) else 'Pillow'} {RULES}"
