"""Open the image collections of a config: local and remote folders, archives, or a list of these."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Protocol

from imgcluster.config import ImagesConfig, within
from imgcluster.errors import ConfigError, ImageError, ImgclusterError
from imgcluster.images.expansion import open_parts
from imgcluster.images.sources.archive import (
    ARCHIVES,
    Container,
    container,
    find_containers,
    is_archive,
    names_apart,
    names_of,
)
from imgcluster.images.sources.base import Lost, RemoteFile
from imgcluster.images.sources.debris import debris_in
from imgcluster.images.sources.filter import ImageFilter
from imgcluster.images.sources.local import LocalFolder, check_folder
from imgcluster.images.sources.members import Members
from imgcluster.images.sources.parquet import parquet_rows, place_of_row, row_again
from imgcluster.images.sources.remote import RemoteFolder
from imgcluster.images.sources.tar import TAR, tar_members
from imgcluster.images.sources.zip import ZIP, zip_members
from imgcluster.images.video.extra import endings_for, video_hint
from imgcluster.types import ImagePath, Source
from imgcluster.utils import AT_ONCE, DEFAULT_STORAGE, Storage, at_once, is_url, shown

PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")

Files = Mapping[str, Source]
Index = Callable[[Container], Files]
Part = Callable[[Container], Source]

# Archive formats: the scheme, which is also the ending, and the function that returns the images by name.
INDICES: dict[str, Index] = {TAR: tar_members, ZIP: zip_members}


class Holder(Protocol):
    """A collection of images by name, such as a folder. Names are relative paths with slashes."""

    wanted: ImageFilter

    def images(self) -> Mapping[str, ImagePath]:
        """Return all images by their names. Raises ConfigError, ImageError."""

    def names(self) -> Collection[str]:
        """Return the names of all images. Raises ConfigError, ImageError."""

    def find(self, names: Sequence[str]) -> Mapping[str, ImagePath]:
        """Return the images among these names that exist, filtered out or not. Raises ConfigError, ImageError."""

    def inside(self, name: str) -> str | None:
        """Return the name here for a relative or absolute path; None if it leads outside."""

    def near(self, names: Sequence[str]) -> Collection[str]:
        """Return names of images next to these files, as far as that needs no complete listing."""

    def tried(self, name: str) -> str:
        """Return the place where a name was looked up, for messages."""


def open_holder(config: ImagesConfig, storage: Storage = DEFAULT_STORAGE) -> Holder:
    """Open the images of a config. Raises ConfigError: missing, unreachable, or compressed as a whole (.tar.gz)."""
    hint = video_hint(config.video, in_folder=any(os.path.isdir(text) for text in config.folders))
    wanted = ImageFilter(config.include, config.exclude, endings=endings_for(config.video), video_hint=hint)
    if len(config.folders) == 1:
        return _open_one(config.folders[0], config, wanted, storage)
    places = [place for text in config.folders for place in _places_of(text, storage)]
    _check_apart([os.path.realpath(place) for place in places if not is_held(place)])
    prefixes = names_apart([_told_apart(place) for place in places])
    parts = zip(prefixes, places, strict=True)
    return _Joined({prefix: _open_one(place, config, wanted, storage, prefix) for prefix, place in parts})


def _check_apart(folders: list[str]) -> None:
    """Raise ConfigError if one folder lies in another: its images would be used twice."""
    for outer, inner in pairwise(sorted(f"{folder.rstrip('/')}/" for folder in folders)):
        if inner.startswith(outer):
            how = "is named twice" if inner == outer else f"lies in {outer!r}"
            raise ConfigError(f"images.folder: {inner!r} {how}, and its images would be taken twice; name one of them")


def _open_one(text: str, config: ImagesConfig, wanted: ImageFilter, storage: Storage, prefix: str = "") -> Holder:
    inner, colons, rest = text.partition("::")
    if is_archive(inner if colons else text, PACKED) or is_archive(rest, PACKED):
        raise ConfigError(
            f"images.folder: {shown(text)!r} is packed as a whole: no image in it can be read without all before it; "
            "unpack it into a .tar"
        )
    if colons and (scheme := next(filter(inner.startswith, INDICES), "")):
        inside = inner.removeprefix(scheme).strip("/")
        return _Archives(rest, _shards(rest, INDICES[scheme], storage), wanted, inside, prefix)
    if is_archive(text, ARCHIVES):
        return _Archives(text, _shards(text, _index_of(text, config), storage), wanted, prefix=prefix)
    if is_url(text):
        return RemoteFolder(text, wanted, prefix, storage)
    check_folder(text)
    return LocalFolder(text, wanted, prefix)


def _places_of(text: str, storage: Storage) -> list[str]:
    """Return the folder that a text names, or the files that its pattern matches."""
    is_several = is_archive(text, ARCHIVES) and "::" not in text
    return [each.place for each in find_containers(text, storage)] if is_several else [text]


def _told_apart(place: str) -> str:
    """Return the path that distinguishes a folder or file from others: without its ending."""
    inner, colons, rest = place.partition("::")
    if colons:
        return f"{rest.rpartition('.')[0]}/{inner.partition('://')[2].strip('/')}"
    if is_archive(place, ARCHIVES):
        return place.rpartition(".")[0]
    return place if is_url(place) else os.path.abspath(place)


def _index_of(text: str, config: ImagesConfig) -> Index:
    if text.lower().endswith(".parquet"):
        return partial(parquet_rows, id_column=config.id_column if config.ids is None else None, column=config.column)
    return INDICES[f"{text.lower().rpartition('.')[2]}://"]


def _shards(text: str, index: Index, storage: Storage) -> dict[str, Files]:
    """Return the members of each archive that a text names, by the prefix of their ids."""
    containers = find_containers(text, storage)
    with ThreadPoolExecutor(min(AT_ONCE, len(containers)), thread_name_prefix="imgcluster-index") as pool:
        return dict(zip(names_of(containers), pool.map(index, containers), strict=True))


class _Archives:
    """Images in archives: members by name; with several archives, after the name of their file."""

    def __init__(
        self,
        text: str,
        shards: Mapping[str, Files],
        wanted: ImageFilter,
        inside: str = "",
        prefix: str = "",
    ) -> None:
        self.wanted = wanted
        self._text = text
        self._inside = f"{inside}/" if inside else ""
        self._prefix = prefix
        self._shards = shards

    def images(self) -> Mapping[str, ImagePath]:
        """Return all members, each file's after the other's."""
        self.wanted.listed = True
        return {shard + name: source for shard, name, source in self._kept()}

    def _kept(self) -> Iterator[tuple[str, str, Source]]:
        self._count_others()
        for shard, name, source in self._members():
            is_debris = self.wanted.is_debris(name, self._prefix + shard)
            if not is_debris and self.wanted.keeps(name, self._prefix + shard + name):
                yield shard, name, source

    def _count_others(self) -> None:
        for shard, members in self._shards.items():
            for name, why in members.others.items() if isinstance(members, Members) else ():
                if name.startswith(self._inside):
                    self.wanted.leaves_out(name.removeprefix(self._inside), self._prefix + shard, why)

    def _members(self) -> Iterator[tuple[str, str, Source]]:
        for shard, members in self._shards.items():
            for name, source in members.items():
                if name.startswith(self._inside):
                    yield shard, name.removeprefix(self._inside), source

    def names(self) -> list[str]:
        """Return the names of the members as `find` takes them, without the archive's name, without duplicates."""
        self.wanted.listed = True
        return list(dict.fromkeys(name for _, name, _ in self._kept()))

    def near(self, names: Sequence[str]) -> list[str]:
        """Return the names of all members."""
        return [
            name
            for shard, name, _ in self._members()
            if debris_in(name) is None and self.wanted.allows(name, self._prefix + shard + name)
        ]

    def find(self, names: Sequence[str]) -> Mapping[str, Source]:
        """Return the members with these names from any of the files. Raises ImageError: found in more than one."""
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

    def inside(self, name: str) -> str | None:
        """Return the name in the form of member names; None if it leads outside."""
        return within(name)

    def tried(self, name: str) -> str:
        """Return the member and the files."""
        return f"{self._inside}{name} in {shown(self._text)}"


class _Joined:
    """Several folders and archives; the name of each image starts with the name of its folder."""

    def __init__(self, parts: Mapping[str, Holder]) -> None:
        self._parts = parts
        self.wanted = next(iter(parts.values())).wanted

    def images(self) -> Mapping[str, ImagePath]:
        """Return all images, folder by folder."""
        return {prefix + name: path for prefix, part in self._parts.items() for name, path in part.images().items()}

    def names(self) -> list[str]:
        """Return the names of all images, each after its folder's."""
        return [prefix + name for prefix, part in self._parts.items() for name in part.names()]

    def near(self, names: Sequence[str]) -> list[str]:
        """Return images next to these, folder by folder, under the names that were asked for."""
        asked = set(names)
        return [
            name if name in asked else prefix + name
            for prefix, part in self._parts.items()
            for name in part.near([each.removeprefix(prefix) for each in names])
        ]

    def find(self, names: Sequence[str]) -> Mapping[str, ImagePath]:
        """Return images by name, with or without the folder's name. Raises ImageError: found in two folders."""
        found: dict[str, ImagePath] = {}
        for prefix, part in self._parts.items():
            there = part.find(list(dict.fromkeys(name.removeprefix(prefix) for name in names)))
            for name in names:
                if (path := there.get(name.removeprefix(prefix))) is None:
                    continue
                if name in found:
                    raise ImageError(
                        f"images.folder: {name!r} is in two of the folders: {found[name]} and {path}; put the folder's "
                        "name before the id, or leave one of the folders out"
                    )
                found[name] = path
        return found

    def inside(self, name: str) -> str | None:
        """Return the name for a relative or absolute path in any of the folders; None: in none of them."""
        if not name.startswith("/") and "://" not in name:
            return within(name)
        there = ((prefix, part.inside(name)) for prefix, part in self._parts.items())
        return next((prefix + found for prefix, found in there if found is not None and found != name), None)

    def tried(self, name: str) -> str:
        """Return the place in the first folder where a name was looked up, and the number of others."""
        return f"{next(iter(self._parts.values())).tried(name)}, and in {len(self._parts) - 1:,} more"


def open_again(text: str, storage: Storage = DEFAULT_STORAGE) -> ImagePath:
    """Return the image for its text in a table: a path, a URL, a member of an archive, a row of Parquet.

    Never raises: for an image that no longer exists, reading it raises the reason.
    """
    return open_all_again([text], storage)[0]


def open_all_again(texts: Sequence[str], storage: Storage = DEFAULT_STORAGE) -> list[ImagePath]:
    """Return the images for their texts in a table, as `open_again` does; each file of several is opened once."""
    opened: dict[int, ImagePath] = {}
    held: dict[str, list[tuple[int, Part]]] = defaultdict(list)
    named = open_parts(text for text in texts if not is_url(text))
    for at, text in enumerate(texts):
        if text in named:
            opened[at] = named[text]
        elif (inside := _inside(text)) is None:
            opened[at] = RemoteFile(text, storage=storage) if is_url(text) else Path(text)
        else:
            held[inside[0]].append((at, inside[1]))

    def open_one(place: str) -> dict[int, ImagePath]:
        return {at: _again(texts[at], found, part) for found in [_found(place, storage)] for at, part in held[place]}

    for parts in at_once(open_one, held) if held else ():
        opened.update(parts)
    return [opened[at] for at in range(len(texts))]


def _inside(text: str) -> tuple[str, Part] | None:
    """Return the archive of an image and a function that opens the image there; None for a plain file."""
    inner, _, rest = text.partition("::")
    for scheme, index in INDICES.items():
        if inner.startswith(scheme) and rest:
            return rest, partial(_member, index, inner.removeprefix(scheme))
    if found := place_of_row(text):
        place, row, column = found
        return place, partial(row_again, row=row, column=column)
    return None


def _found(place: str, storage: Storage) -> Container | str:
    try:
        return container(place, storage)
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
    """Tell whether a text names an archive or a URL, which `open_holder` opens, and no local folder."""
    return is_url(text) or is_archive(text, ARCHIVES) or is_archive(text, PACKED)


def file_name(path: ImagePath) -> str:
    """Return the file name of an image's location."""
    return PurePosixPath(str(path).partition("::")[0]).name
