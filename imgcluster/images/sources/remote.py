"""Folders behind URLs: one listing, or look-ups of single files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import takewhile
from typing import Any
from urllib.parse import quote, unquote

from imgcluster.config import within
from imgcluster.errors import ConfigError, ImageError, ImgclusterError
from imgcluster.images.sources.base import RemoteFile, stamp_of
from imgcluster.images.sources.debris import debris_in
from imgcluster.images.sources.endings import is_image_name, left_out_as
from imgcluster.images.sources.filter import ImageFilter
from imgcluster.types import Source
from imgcluster.utils import DEFAULT_STORAGE, Storage, at_once, in_words, shown

ENOUGH_TO_LIST = 1_000  # ids: a listing brings so many with a request
WEB = ("http", "https")


def known_by_listing(files: Sequence[RemoteFile]) -> dict[str, RemoteFile]:
    """Return files behind URLs with what a listing of the folder above all of them says, by URL, as far as it does.

    Nothing where they are few enough to be asked for one by one, or on the web, whose pages say nothing.
    """
    if len(files) < ENOUGH_TO_LIST or files[0].url.partition("://")[0] in WEB:
        return {}
    first, last = (each(file.url for file in files).split("/")[:-1] for each in (min, max))
    shared = [here for here, there in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))]
    try:
        found = RemoteFolder("/".join(shared), storage=files[0].storage).images() if len(shared) > 2 else {}
    except ImgclusterError:
        return {}
    return {str(file): file for file in found.values() if isinstance(file, RemoteFile)}


class RemoteFolder:
    """The images below a URL. Raises ConfigError where its file system is not there."""

    def __init__(
        self,
        url: str,
        wanted: ImageFilter | None = None,
        prefix: str = "",
        storage: Storage = DEFAULT_STORAGE,
    ) -> None:
        self.url = url.rstrip("/")
        self.wanted = wanted or ImageFilter()
        self._prefix = prefix
        self._storage = storage
        self._path = storage.file_system(self.url)[1]
        self._is_web = self.url.partition("://")[0] in WEB
        self._end = "/" if self._is_web else ""  # where a web server's pages of a folder are

    def images(self) -> dict[str, Source]:
        """Return all images below the folder by their names, by one listing. Raises ConfigError."""
        names = self.names()
        if self._is_web:  # whose pages tell neither times nor sizes
            return self._there(names)
        return {name: self._file(name, self._listed[name]) for name in names}

    def names(self) -> list[str]:
        """Return the names of all images below the folder, by one listing. Raises ConfigError."""
        self.wanted.listed = True
        return [name for name in self._listed if self._is_wanted(name)]

    def _is_wanted(self, name: str) -> bool:
        left_out = self.wanted.leaves_out(name, self._prefix, left_out_as(name))
        return not left_out and self.wanted.keeps(name, self._prefix + name)

    def near(self, names: Sequence[str]) -> list[str]:
        """Return the names of all images, where a listing has told them already."""
        if "_listed" not in self.__dict__:
            return []
        found = (name for name in self._listed if is_image_name(name) and debris_in(name) is None)
        return [name for name in found if self.wanted.allows(name, self._prefix + name)]

    def find(self, names: Sequence[str]) -> dict[str, Source]:
        """Return those of the files that are there, by their names. Raises ConfigError, ImageError."""
        if len(names) >= ENOUGH_TO_LIST and not self._is_web:
            wanted = set(names)
            return {name: self._file(name, info) for name, info in self._listed.items() if name in wanted}
        found = self._there(names)
        if names and not found and not self._is_web:
            self._check_there()
        return found

    def inside(self, name: str) -> str | None:
        """Return the name below the folder that a name or a URL is; None where it leads outside."""
        return within(name.removeprefix(f"{self.url}/"))

    def tried(self, name: str) -> str:
        """Return where a file was looked for."""
        return f"{self.url}/{name}"

    def _file(self, name: str, info: Mapping[str, Any] | None) -> RemoteFile:
        url = f"{self.url}/{quote(name) if self._is_web else name}"
        return RemoteFile(url, None if info is None else stamp_of(url, info), self._storage)

    @cached_property
    def _listed(self) -> dict[str, Any]:
        """What the file system tells of each file below the folder, by its name."""
        found = self._told(self._find_all)
        names = {self._name(path): info for path, info in found.items() if info.get("type") != "directory"}
        names.pop("", None)  # a marker that the folder is there, or a file in its place
        if not names:
            self._check_there()
        return names

    def _find_all(self, system: Any, path: str) -> dict[str, Any]:
        system.invalidate_cache()
        path += self._end
        if self._is_web:
            system.ls(path, detail=False)  # which says what is the matter; `find` passes over that
        found: dict[str, Any] = system.find(path, detail=True)
        system.invalidate_cache()  # all of it once more, and never looked at again
        return found

    def _name(self, path: str) -> str:
        name = path.removeprefix(self._path).lstrip("/")
        return unquote(name) if self._is_web else name

    def _check_there(self) -> None:
        if not self._is_web and not self._told(lambda system, path: system.isdir(path)):
            raise ConfigError(f"images.folder: {shown(self.url)!r} is not a folder, or its bucket is not there")

    def _there(self, names: Iterable[str]) -> dict[str, Source]:
        names = list(names)
        asked = zip(names, at_once(self._ask, names), strict=True)
        return {name: source for name, source in asked if source is not None}

    def _ask(self, name: str) -> RemoteFile | None:
        blank = self._file(name, None)
        try:
            info = self._storage.request(blank.url, lambda system, path: system.info(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ImageError(f"images.folder: {shown(blank.url)!r}: {in_words(error)}") from None
        return self._file(name, info) if info.get("type") != "directory" else None

    def _told(self, call: Callable[[Any, str], Any]) -> Any:
        try:
            return self._storage.request(self.url, call)
        except OSError as error:
            raise ConfigError(f"images.folder: {shown(self.url)!r}: {in_words(error)}") from None
