"""Cache keys of images, from size, mtime and version: of a local file's status, or a remote listing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from imgcluster.errors import ImageError
from imgcluster.features.store.store import ImageKey, image_key
from imgcluster.images import (
    RemoteFile,
    asked_again,
    bytes_of,
    decoder_of,
    ending_of,
    head_of,
    kind_of,
    known_by_listing,
    number_of,
    read_bytes,
)
from imgcluster.types import ImagePath, Source
from imgcluster.utils import at_once, digest_bytes

MAX_REMOTE_IMAGES_PROBED = 8
HEADER_BYTES = 2**16  # of a JPEG, with the thumbnail and the colour profile that a camera puts before the pixels


def known_key(path: ImagePath) -> ImageKey | None:
    """Return the key of an image without reading it; None where only its bytes show whether it has changed."""
    return known_keys([path])[0]


def known_keys(paths: Iterable[ImagePath]) -> list[ImageKey | None]:
    """Return the `known_key` of each image; links in the path of a folder are followed once for all of its images."""
    real_folders: dict[str, str] = {}
    return [
        _local_key(path, real_folders)
        if isinstance(path, Path)
        else (None if path.stamp is None else _by_decoder(ImageKey(*path.stamp), path))
        for path in paths
    ]


def _local_key(path: Path, real_folders: dict[str, str]) -> ImageKey | None:
    folder, name = os.path.split(path)
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode) or name in ("", ".", ".."):
            return _by_decoder(image_key(path, path.stat()), path)
        if folder not in real_folders:
            real_folders[folder] = os.path.realpath(folder)
    except (OSError, ValueError):
        return None  # reading it will raise the reason
    real = os.path.join(real_folders[folder], name)  # noqa: PTH118 (a million paths are texts)
    return _by_decoder(ImageKey(real, status.st_size, status.st_mtime_ns, status.st_ctime_ns), path)


def _by_decoder(key: ImageKey, path: ImagePath) -> ImageKey:
    """Return the key of an image that an optional package decodes, for the version of that; any other as it is.

    By the ending of its name, or without one, of a local file, by its first bytes; where an ending is wrong, features
    stay those of the first version.
    """
    ending = ending_of(str(path).partition("::")[0])
    decoder = decoder_of(ending or _kind_of(path))
    if not decoder:
        return key
    digest = digest_bytes(f"{key.digest} {decoder}".encode()) if key.digest else ""
    return replace(key, ctime_ns=key.ctime_ns ^ number_of(decoder), digest=digest)


def _kind_of(path: ImagePath) -> str:
    """Return what a local file is by its first bytes; "" where they do not tell, or are not here."""
    try:
        return "" if isinstance(path, Source) else kind_of(head_of(path)) or ""
    except (OSError, ValueError):
        return ""


def read_with_key(path: ImagePath) -> tuple[bytes, ImageKey]:
    """Return the bytes of an image, and its key with their digest. Raises ImageError, whose text is the reason alone.

    Size and times are those before the reading, so that an image that changes meanwhile has another key later.
    """
    if not isinstance(path, Source):
        data, status = read_bytes(path)
        return data, _by_decoder(image_key(path, status, data), path)
    data = bytes_of(path)
    digest = digest_bytes(data)
    if path.stamp is None:  # the digest stands in for the unknown mtime, so that other bytes have another key
        return data, _by_decoder(ImageKey(str(path), len(data), 0, number_of(digest), digest), path)
    return data, _by_decoder(ImageKey(*path.stamp, digest), path)


def known_as_read_before(path: ImagePath, marks: int) -> bool:
    """Tell whether an image still gives the pixels that an earlier version made its vector of; of local files alone.

    marks: of the vector; 0: it was laid over white, whatever its colours.
    """
    from imgcluster.images import is_opaque, reads_as_before  # with OpenCV

    if isinstance(path, Source):
        return False
    try:
        with path.open("rb") as file:
            beginning = file.read(HEADER_BYTES)
    except (OSError, ValueError):
        return False
    return reads_as_before(beginning) and (marks != 0 or is_opaque(beginning))


def any_there(paths: Sequence[ImagePath]) -> bool:
    """Tell whether any of these images still exists; of remote ones, only the first few are read."""
    if any(not isinstance(path, Source) and path.exists() for path in paths):
        return True
    far = [path for path in paths if isinstance(path, Source)][:MAX_REMOTE_IMAGES_PROBED]
    return any(at_once(_can_be_read, far))


def _can_be_read(path: ImagePath) -> bool:
    try:
        return bool(bytes_of(path))
    except ImageError:
        return False


def with_stamps(paths: Sequence[ImagePath]) -> list[ImagePath]:
    """Complete images of which only the URL is known, as in a run's table, by their stamps from the remote listing."""
    unknown = [path for path in paths if isinstance(path, RemoteFile) and path.known is None]
    if not unknown:
        return list(paths)
    known = known_by_listing(unknown)
    return list(at_once(asked_again, [known.get(str(path), path) for path in paths]))
