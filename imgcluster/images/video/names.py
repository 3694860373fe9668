"""Names of videos and of their frames: `clips/a.mp4#t=12.480`."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

VIDEO_SUFFIXES = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".mj2", ".mkv", ".webm", ".avi", ".divx", ".wmv", ".asf"),
        *(".flv", ".f4v", ".mpg", ".mpeg", ".mpe", ".m2v", ".vob", ".ts", ".mts", ".m2ts", ".ogv", ".ogm", ".mxf"),
    )
)
ALSO_TYPESCRIPT = frozenset((".ts", ".mts"))  # sources of programs, where nobody asks for videos
MOVING_SUFFIXES = frozenset((".gif", ".webp"))  # of images that may be animations
TIME_MARK = "#t="
FRAME = re.compile(rf"(?P<place>.*){TIME_MARK}(?P<time>[0-9]+(?:\.[0-9]{{1,9}})?)", re.DOTALL)


def is_video_name(name: str) -> bool:
    """Tell whether a file is a video by its ending."""
    return PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES


def frame_name(place: str, time: str) -> str:
    """Return the name of the frame that is shown at a time, in seconds as a decimal."""
    return f"{place}{TIME_MARK}{time}"


def split_frame(name: str) -> tuple[str, str] | None:
    """Return the video and the time of a frame's name; None for any other name."""
    found = FRAME.fullmatch(name)
    return (found["place"], found["time"]) if found is not None and _has_frames(found["place"]) else None


def without_time(name: str) -> str | None:
    """Return the video of a name that has something else in the place of a frame's time; None for any other name."""
    place, mark, _ = name.rpartition(TIME_MARK)
    return place if mark and split_frame(name) is None and _has_frames(place) else None


def _has_frames(place: str) -> bool:
    return PurePosixPath(place).suffix.lower() in VIDEO_SUFFIXES | MOVING_SUFFIXES
