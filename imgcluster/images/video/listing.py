"""The frames that stand for a video in a list of images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from imgcluster.errors import ImageError
from imgcluster.images.parts import Expanded
from imgcluster.images.sources.base import Lost
from imgcluster.images.video.animation import Animation
from imgcluster.images.video.frames import frames_of
from imgcluster.images.video.names import MOVING_SUFFIXES, frame_name, is_video_name
from imgcluster.images.video.track import Track
from imgcluster.types import ImageFile

if TYPE_CHECKING:
    from imgcluster.config import VideoSampling


def frames_in(image: ImageFile, sampling: VideoSampling) -> Expanded:
    """Return the frames that are asked for of a video, a moving GIF or WebP. Any other image is returned as it is."""
    path = image.path
    if not isinstance(path, Path) or not (is_video_name(path.name) or _is_moving(path)):
        return Expanded([image])
    try:
        frames = frames_of(str(path), _chooser(sampling))
        note = frames[0].video.track.note
    except ImageError as error:
        return Expanded([ImageFile(image.id, Lost(str(path), str(error)))])
    ids = (frame_name(image.id, frame.time) for frame in frames)
    return Expanded(
        [ImageFile(id, frame) for id, frame in zip(ids, frames, strict=True)], [f"{image.id} {note}"] * bool(note)
    )


def _chooser(sampling: VideoSampling) -> Callable[[Track], Iterable[str]]:
    return lambda track: [track.texts[number] for number in track.choose(sampling)]


def _is_moving(path: PurePath) -> bool:
    if path.suffix.lower() not in MOVING_SUFFIXES:
        return False
    try:
        return Animation(str(path)).is_moving
    except ImageError:  # reading it as an image will tell why
        return False
