"""What the store knows an image by, wherever it lies: asked of a file's status, or of a listing."""

from __future__ import annotations

from collections.abc import Sequence

from imgcluster.errors import ImageError
from imgcluster.features.store.store import ImageKey, image_key
from imgcluster.images import RemoteFile, asked_again, bytes_of, is_opaque, known_by_listing, number_of, read_bytes
from imgcluster.types import ImagePath, Source
from imgcluster.utils import at_once, digest_bytes

ASKED = 8
HEAD = 4096
JPEG_ENDINGS = (".jpg", ".jpeg", ".jpe")


def known_key(path: ImagePath) -> ImageKey | None:
    """Return the key of an image without reading it; None where nothing but its bytes tells whether it has changed."""
    if isinstance(path, Source):
        return None if path.stamp is None else ImageKey(*path.stamp)
    try:
        return image_key(path, path.stat())
    except (OSError, ValueError):
        return None  # reading it will tell why


def read_with_key(path: ImagePath) -> tuple[bytes, ImageKey]:
    """Return the bytes of an image, and its key with their digest. Raises ImageError, whose text is the reason alone.

    The key is of what was known before the reading: of an image that changes meanwhile, it will not be the key later.
    """
    if not isinstance(path, Source):
        data, status = read_bytes(path)
        return data, image_key(path, status, data)
    data = bytes_of(path)
    digest = digest_bytes(data)
    if path.stamp is None:  # the digest stands for all that is not known: other bytes are never taken for these
        return data, ImageKey(str(path), len(data), 0, number_of(digest), digest)
    return data, ImageKey(*path.stamp, digest)


def known_as_opaque(path: ImagePath) -> bool:
    """Tell whether an image has no transparency, by its first bytes; of one that is no file here, by its name."""
    if isinstance(path, Source):
        return str(path).lower().endswith(JPEG_ENDINGS)
    try:
        with path.open("rb") as file:
            return is_opaque(file.read(HEAD))
    except (OSError, ValueError):
        return False


def any_there(paths: Sequence[ImagePath]) -> bool:
    """Tell whether any of some images is where it was; of those behind a network, the first few are asked for."""
    if any(not isinstance(path, Source) and path.exists() for path in paths):
        return True
    far = [path for path in paths if isinstance(path, Source)][:ASKED]
    return any(at_once(_can_be_read, far))


def _can_be_read(path: ImagePath) -> bool:
    try:
        return bool(bytes_of(path))
    except ImageError:
        return False


def with_stamps(paths: Sequence[ImagePath]) -> list[ImagePath]:
    """Return images with their stamps, where only the URL is known, as of a run's table: by a listing, or by asking."""
    unknown = [path for path in paths if isinstance(path, RemoteFile) and path.known is None]
    if not unknown:
        return list(paths)
    known = known_by_listing(unknown)
    return list(at_once(asked_again, [known.get(str(path), path) for path in paths]))
