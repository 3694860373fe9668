"""What holds images, beside a folder of this machine: a folder behind a URL; tar, zip and Parquet files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Protocol

from imgcluster.config import ImagesConfig
from imgcluster.containers import Container, container, find_containers, is_archive, names_of
from imgcluster.errors import ConfigError, ImageError, ImgclusterError
from imgcluster.parquet_rows import parquet_rows, place_of_row, row_again
from imgcluster.remote_folder import RemoteFolder
from imgcluster.sources import ImagePath, RemoteFile, Source, Stamp
from imgcluster.storage import AT_ONCE, at_once, is_url, shown
from imgcluster.tar_files import TAR, tar_members
from imgcluster.zip_files import ZIP, zip_members

SHARDS = (".tar", ".zip", ".parquet")
PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")

Index = Callable[[Container], Mapping[str, Source]]
Part = Callable[[Container], Source]


class Holder(Protocol):
    """What holds images under names, as a folder does."""

    def images(self) -> Mapping[str, Source]:
        """Return all images by their names. Raises ConfigError, ImageError."""

    def find(self, names: Sequence[str]) -> Mapping[str, Source]:
        """Return those of the names that are there. Raises ConfigError, ImageError."""

    def tried(self, name: str) -> str:
        """Return where a name was looked for, for messages."""


def open_holder(config: ImagesConfig) -> Holder | None:
    """Return what holds the images of a config; None for a folder of this machine. Raises ConfigError."""
    text = config.folder
    inner, colons, rest = text.partition("::")
    if is_archive(inner if colons else text, PACKED) or is_archive(rest, PACKED):
        raise ConfigError(
            f"images.folder: {shown(text)!r} is packed as a whole: no image in it can be read without all before it; "
            "unpack it into a .tar"
        )
    if colons and inner.startswith((TAR, ZIP)):
        scheme = TAR if inner.startswith(TAR) else ZIP
        return _Archives(rest, _INDICES[scheme], inner.removeprefix(scheme).strip("/"))
    if is_archive(text, SHARDS):
        return _Archives(text, _index_of(text, config))
    return RemoteFolder(text) if is_url(text) else None


def _index_of(text: str, config: ImagesConfig) -> Index:
    if text.lower().endswith(".parquet"):
        return partial(parquet_rows, id_column=config.id_column if config.ids is None else None, column=config.column)
    return _INDICES[TAR if text.lower().endswith(".tar") else ZIP]


_INDICES: dict[str, Index] = {TAR: tar_members, ZIP: zip_members}


class _Archives:
    """Files that hold images: their members by name, those of several after the name of their file."""

    def __init__(self, text: str, index: Index, inside: str = "") -> None:
        self._text = text
        self._inside = f"{inside}/" if inside else ""
        containers = find_containers(text)
        with ThreadPoolExecutor(min(AT_ONCE, len(containers)), thread_name_prefix="imgcluster-index") as pool:
            indices = list(pool.map(index, containers))
        self._shards = dict(zip(names_of(containers), indices, strict=True))

    def images(self) -> Mapping[str, Source]:
        """Return all members, each file's after the other's."""
        return {
            shard + name.removeprefix(self._inside): source
            for shard, members in self._shards.items()
            for name, source in members.items()
            if name.startswith(self._inside)
        }

    def find(self, names: Sequence[str]) -> Mapping[str, Source]:
        """Return the members of these names, in whichever file they are. Raises ImageError: in more than one."""
        wanted = {self._inside + name: name for name in names}
        found: dict[str, Source] = {}
        doubled: dict[str, None] = {}
        for members in self._shards.values():
            for name, source in members.items():
                if name in found:
                    doubled[name] = None
                elif name in wanted:
                    found[name] = source
        if doubled:
            raise ImageError(
                f"images.folder: {len(doubled):,} names stand in more than one of the files of {shown(self._text)!r}, "
                f"the first: {next(iter(doubled))!r}: leave images.ids out, or take the files one by one"
            )
        return {wanted[name]: source for name, source in found.items()}

    def tried(self, name: str) -> str:
        """Return the member and the files."""
        return f"{self._inside}{name} in {shown(self._text)}"


class Lost(Source):
    """An image whose place cannot be opened any more, and why."""

    __slots__ = ("_reason", "_text")

    def __init__(self, text: str, reason: str) -> None:
        self._text, self._reason = text, reason

    def __str__(self) -> str:
        return self._text

    @property
    def stamp(self) -> Stamp | None:
        """Nothing is known of it."""
        return None

    @property
    def is_far(self) -> bool:
        """It is nowhere."""
        return False

    def read(self) -> bytes:
        """Say why not."""
        raise ImageError(self._reason)


def open_again(text: str) -> ImagePath:
    """Return the image that a table has under this text: a path, a URL, a member of an archive, a row of Parquet.

    Raises nothing: of one that is not there any more, reading it tells why.
    """
    return open_all_again([text])[0]


def open_all_again(texts: Sequence[str]) -> list[ImagePath]:
    """Return the images that a table has under these texts, as `open_again`; a file that holds many is asked once."""
    opened: dict[int, ImagePath] = {}
    held: dict[str, list[tuple[int, Part]]] = defaultdict(list)
    for at, text in enumerate(texts):
        if (inside := _inside(text)) is None:
            opened[at] = RemoteFile(text) if is_url(text) else Path(text)
        else:
            held[inside[0]].append((at, inside[1]))

    def open_one(place: str) -> dict[int, ImagePath]:
        return {at: _again(texts[at], found, part) for found in [_found(place)] for at, part in held[place]}

    for parts in at_once(open_one, held) if held else ():
        opened.update(parts)
    return [opened[at] for at in range(len(texts))]


def _inside(text: str) -> tuple[str, Part] | None:
    """Return the file in which the image of a text is, and what opens it there; None where it is a file itself."""
    inner, _, rest = text.partition("::")
    for scheme, index in _INDICES.items():
        if inner.startswith(scheme) and rest:
            return rest, partial(_member, index, inner.removeprefix(scheme))
    if found := place_of_row(text):
        place, row, column = found
        return place, partial(row_again, row=row, column=column)
    return None


def _found(place: str) -> Container | str:
    try:
        return container(place)
    except ImgclusterError as error:
        return str(error)


def _again(text: str, found: Container | str, part: Part) -> Source:
    try:
        return Lost(text, found) if isinstance(found, str) else part(found)
    except ImgclusterError as error:
        return Lost(text, str(error))


def _member(index: Index, name: str, found: Container) -> Source:
    members = index(found)
    member = members.get(name) or members.get(name.replace("%3A%3A", "::"))
    if member is None:
        raise ImageError(f"no such file in {found.place}")
    return member


def is_held(text: str) -> bool:
    """Tell whether a text names no file or folder of this machine, but what `open_holder` opens."""
    return is_url(text) or is_archive(text, SHARDS) or is_archive(text, PACKED)


def file_name(path: ImagePath) -> str:
    """Return the last part of where an image lies."""
    return PurePosixPath(str(path).partition("::")[0]).name
