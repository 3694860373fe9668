"""Whether videos are read, and what to do where they are not."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from imgcluster.errors import ImageError
from imgcluster.images.video.names import VIDEO_SUFFIXES, frame_name, is_video_name
from imgcluster.types import ImagePath
from imgcluster.utils import install_command

if TYPE_CHECKING:
    from imgcluster.config import VideoSampling

INSTALL = install_command("video")
FETCH = "to take frames of them, unpack or download them into a folder, and name it in images.folder"


def is_installed() -> bool:
    """Tell whether PyAV is installed."""
    return find_spec("av") is not None


def endings_for(sampling: VideoSampling | None) -> frozenset[str]:
    """Return the endings of the files that a local folder is searched for beside images."""
    return VIDEO_SUFFIXES if sampling is not None and is_installed() else frozenset()


def video_hint(sampling: VideoSampling | None, *, in_folder: bool = True) -> str:
    """Return what to do about videos that are left out. in_folder: some may lie in a local folder."""
    if not in_folder:
        return FETCH
    steps = [] if is_installed() else [INSTALL]
    if sampling is None:
        steps.append("set images.video, such as {every: 1 s}")
    if not steps:
        return FETCH
    return f"to take frames of them: {' and '.join(steps)}"


def check_no_video(path: ImagePath) -> None:
    """Refuse a video where one picture is needed. Raises ImageError, which says how to name a frame."""
    if isinstance(path, Path) and is_video_name(path.name) and path.is_file():
        raise ImageError(
            f"{str(path)!r} is a video; name one of its frames, such as {frame_name(path.name, '1.500')!r} for the one "
            "at 1.5 s, or take many in a run with images.video, such as {every: 1 s}"
        )
