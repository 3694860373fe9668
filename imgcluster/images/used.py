"""The optional packages that decode the images of a run, for its record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from imgcluster.images.extras import extra_of
from imgcluster.images.file_kinds import head_of, kind_of
from imgcluster.images.listing import FolderImages
from imgcluster.images.refusals import SCIENTIFIC_PACKAGES
from imgcluster.images.sources.endings import ending_of
from imgcluster.images.video.frames import VideoFrame
from imgcluster.images.video.movie import decoder_version
from imgcluster.images.video.names import VIDEO_SUFFIXES
from imgcluster.types import ImageFile, ImagePath
from imgcluster.utils import installed

MAX_FILES_READ = 100  # of those without an ending


def decoders_used(images: Sequence[ImageFile], *, scientific: bool) -> dict[str, str]:
    """Return the versions of the optional packages that images are decoded by, as endings or first bytes tell.

    scientific: whether the extra of that name read some of them, which no ending tells.
    """
    endings = images.endings() if isinstance(images, FolderImages) else {_ending(image.path) for image in images}
    names = {*endings, *(_kinds_without_ending(images) if "" in endings else ())}
    packages = {*(SCIENTIFIC_PACKAGES if scientific else ())}
    packages |= {package for name in names if (extra := extra_of(name)) is not None for package in extra.packages}
    found = {package: installed(package) for package in sorted(packages)}
    return found | ({"av": installed("av"), "ffmpeg": decoder_version()} if endings & VIDEO_SUFFIXES else {})


def _ending(path: ImagePath) -> str:
    return ending_of(path.video.place if isinstance(path, VideoFrame) else str(path))


def _kinds_without_ending(images: Sequence[ImageFile]) -> Iterator[str]:
    places = (image.path for image in images if isinstance(image.path, Path) and not ending_of(image.path.name))
    for path in islice(places, MAX_FILES_READ):
        try:
            kind = kind_of(head_of(path))
        except OSError:  # one of the failures
            continue
        if kind is not None:
            yield kind
