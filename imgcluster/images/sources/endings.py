"""Tell the files of a folder apart: images that are taken, and what the others are, by ending and first bytes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from imgcluster.images.extras import ENDINGS as EXTRA_ENDINGS
from imgcluster.images.extras import extra_of
from imgcluster.images.file_kinds import CONVERTED, IMAGES, kind_of
from imgcluster.images.sources.archive import ARCHIVES
from imgcluster.images.sources.debris import is_hidden
from imgcluster.images.sources.names import SUFFIXES
from imgcluster.images.video.names import ALSO_TYPESCRIPT, VIDEO_SUFFIXES

# Why a file is left out, as `left_out` of run.json has it.
REASONS = NEEDS_EXTRA, UNREAD, SIDECAR, VIDEO, ARCHIVE, OF_A_RUN, LINK, NO_PICTURE = (
    "needs_extra", "formats", "sidecars", "videos", "archives", "of_a_run", "links", "no_picture",
)  # fmt: skip
DICOM_INDEX = "DICOMDIR"  # a file beside the pictures, with their format and without a picture (PS3.10, 8.6)
GDAL_METADATA = ".aux.xml"  # statistics and georeferencing beside a picture
NO_ENDING = "none"  # stands for the ending of a file that has none

# Pictures that are not read; convert them.
UNREAD_ENDINGS = (
    *(".svg", ".svgz", ".psd", ".psb", ".ai", ".eps", ".ps", ".pdf", ".tga", ".exr", ".hdr", ".pfm", ".dds", ".xcf"),
    *(".kra", ".cur", ".icns", ".wmf", ".emf", ".sgi", ".rgb", ".xbm", ".xpm", ".dpx", ".cin", ".jls", ".jxr", ".wdp"),
    *(".djvu", ".fits", ".fit", ".nii", ".czi", ".lif", ".nd2", ".svs", ".ndpi", ".mrxs", ".insp", ".raw"),
)
SIDECAR_ENDINGS = (
    *(".xmp", ".aae", ".thm", ".lrv", ".pp3", ".dop", ".cos", ".on1", ".arp", ".vrd", ".pto", ".exif", ".icc"),
    *(".tfw", ".jgw", ".pgw", ".bpw", ".wld", ".jpgw", ".tifw", ".prj", ".ovr", ".aux"),
)
ARCHIVE_ENDINGS = (*ARCHIVES, ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")
_REASONS = {
    **dict.fromkeys(UNREAD_ENDINGS, UNREAD),
    **dict.fromkeys(SIDECAR_ENDINGS, SIDECAR),
    **dict.fromkeys(VIDEO_SUFFIXES - ALSO_TYPESCRIPT, VIDEO),
    **dict.fromkeys(ARCHIVE_ENDINGS, ARCHIVE),
}
OTHER_PICTURES = EXTRA_ENDINGS | frozenset(UNREAD_ENDINGS)  # which a name in `images.ids` reaches


class LeftOut(NamedTuple):
    """Why a file is left out, and which of these it is: its ending, or what it is by its content."""

    reason: str
    detail: str


@cache
def taken_endings() -> frozenset[str]:
    """Return the endings of all formats that can be read here, with what is installed."""
    return SUFFIXES | {ending for ending in EXTRA_ENDINGS if _is_read(ending)}


def is_image_name(name: str) -> bool:
    """Tell whether a name below a folder, with slashes, is an image's, and neither it nor a folder above is hidden."""
    return ending_of(name) in taken_endings() and not any(map(is_hidden, name.split("/")))


def left_out_as(
    name: str, head: Callable[[], bytes] | None = None, also: frozenset[str] = frozenset()
) -> LeftOut | None:
    """Return why a file is left out; None where it is an image that can be read.

    head: reads the first bytes, or raises OSError. Called only where the name has no ending: it costs more than the
    name, and an ending that is wrong is told by reading. also: further endings of files that are taken.
    """
    if (ending := ending_of(name)) in taken_endings() or ending in also:
        return None
    if name.endswith(DICOM_INDEX):
        return LeftOut(SIDECAR, DICOM_INDEX)
    if name.lower().endswith(GDAL_METADATA):
        return LeftOut(SIDECAR, GDAL_METADATA)
    return _by_content(head) if ending == "" and head is not None else _by_ending(ending)


@cache
def _by_ending(ending: str) -> LeftOut:
    reason = NEEDS_EXTRA if ending in EXTRA_ENDINGS else _REASONS.get(ending, NO_PICTURE)
    return LeftOut(reason, ending or NO_ENDING)


def _by_content(head: Callable[[], bytes]) -> LeftOut | None:
    try:
        kind = kind_of(head())
    except OSError:
        kind = None
    if kind is None or kind not in (*IMAGES, *CONVERTED):
        return LeftOut(NO_PICTURE, NO_ENDING)
    if kind in CONVERTED:
        return LeftOut(UNREAD, kind)
    return None if extra_of(kind) is None or _is_read(kind) else LeftOut(NEEDS_EXTRA, kind)


def _is_read(name: str) -> bool:
    extra = extra_of(name)
    return extra is not None and extra.module is not None


def ending_of(name: str) -> str:
    """Return the ending of a name in lower case; "" for none, or one of digits, as of a DICOM's UID or a frame.

    What folders before it are called does not count.
    """
    stem, dot, ending = name.rpartition("/")[2].rpartition(".")
    if not dot or not stem.strip(".") or ending.isdecimal():
        return ""
    return f".{ending}".lower()
