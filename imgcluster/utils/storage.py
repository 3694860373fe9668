"""Files behind URLs (`s3://`, `gs://`, `http://`, `zip://`, ...) through fsspec: access, retries, plain errors."""

from __future__ import annotations

import copy
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from imgcluster.errors import ConfigError, ImgclusterError, first_line

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

ATTEMPTS = 5
FIRST_PAUSE = (
    0.2  # seconds; each further one is twice as long, and all of them vary, so that many do not return at once
)
PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp", "https": "aiohttp"}
# Where folders are parts of names alone, and to make one would be to make a bucket that somebody has misspelt.
OF_BUCKETS = frozenset(("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "b2"))
AT_ONCE = 32  # requests: each waits for the network nearly all of its time
WHOLE_BYTES = 32 * 2**20  # of a file that is fetched whole to read a part of it
# botocore opens ten connections by default, for which the other readers would wait, and asks five times, each time that
# `_retried` asks: a missing server would be reported after a minute. s3fs takes the options of s3 for s3a too.
DEFAULTS: dict[str, dict[str, Any]] = {
    "s3": {"config_kwargs": {"max_pool_connections": 2 * AT_ONCE, "retries": {"max_attempts": 1}}}
}

# Failures that may pass. Libraries that need not be installed are known by the names of their classes.
PASSING_STATUS = (408, 425, 429)  # of the 4xx
PASSING_ERRORS = frozenset(
    (
        "asyncio.exceptions.TimeoutError",  # no OSError before Python 3.11
        "http.client.HTTPException",
        "aiohttp.client_exceptions.ClientConnectionError",
        "aiohttp.client_exceptions.ClientPayloadError",
        "aiohttp.client_exceptions.ClientResponseError",
        "botocore.exceptions.HTTPClientError",
        "botocore.exceptions.ConnectionError",
        "botocore.exceptions.IncompleteReadError",
        "urllib3.exceptions.HTTPError",
        "google.auth.exceptions.TransportError",
        "azure.core.exceptions.ServiceRequestError",
        "azure.core.exceptions.ServiceResponseError",
        "paramiko.ssh_exception.SSHException",
    )
)
FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError, ValueError)
MISSING_STATUS = (404, 410)
BUGS = (AssertionError, AttributeError, NameError, TypeError)  # of a program, whatever the file does

Item = TypeVar("Item")
Result = TypeVar("Result")
Options = Mapping[str, Mapping[str, Any]]

_systems: dict[tuple[int, Storage, str], AbstractFileSystem] = {}
_lock = threading.RLock()


@dataclass(frozen=True)
class Storage:
    """Access to files behind URLs, with the options of a config's section `storage`. Any thread and process may use it.

    options: by protocol, as its file system takes them. They are laid over those of the environment (fsspec takes
    `FSSPEC_S3_KEY` for the option `key` of `s3`), and these over DEFAULTS. Equal ones share their connections.
    """

    options: Options = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", copy.deepcopy(dict(self.options)))

    def place(self, text: str) -> Path | RemotePath:
        """Return the path of this machine, or the place behind a URL, that a text of a config names."""
        return RemotePath(text, self) if is_url(text) else Path(text)

    def file_system(self, url: str) -> tuple[AbstractFileSystem, str]:
        """Return the file system of a URL, one for all threads of the process, and the URL's path in it.

        Raises ConfigError: no such protocol, its package is not installed, an archive in the URL cannot be opened.
        """
        if "::" in url:  # each archive is a file system of its own
            return self._opened(url)
        from fsspec.core import strip_protocol

        protocol, _, rest = url.partition("://")
        # fsspec makes one for each thread, and each would open connections of its own.
        key = os.getpid(), self, f"{protocol}://{rest.partition('/')[0]}"
        with _lock:
            if key not in _systems:
                _systems[key] = self._opened(url)[0]
            system = _systems[key]
        return system, str(strip_protocol(url))

    def request(self, url: str, call: Callable[[AbstractFileSystem, str], Result]) -> Result:
        """Return the result of `call(file system, path in it)`, called again with growing pauses where failures pass.

        Raises OSError with the reason in words: FileNotFoundError only where the file is missing, PermissionError;
        ConfigError as `file_system`.
        """
        system, path = self.file_system(url)
        try:
            return _retried(lambda: call(system, path))
        except ImgclusterError:
            raise
        except Exception as error:  # each file system has errors of its own: here they become those of Python
            if isinstance(error, BUGS) and not self.options:  # or they may be of an option that it cannot use
                raise
            raise _os_error(error) from None

    def read_whole(self, url: str) -> bytes:
        """Return the bytes of a file. Raises as `request`."""
        return bytes(self.request(url, lambda system, path: system.cat_file(path)))

    def read_range(self, url: str, start: int, end: int) -> bytes:
        """Return a file's bytes from `start` to before `end`, fewer where it ends earlier. Raises as `request`."""
        data = bytes(self.request(url, lambda system, path: system.cat_file(path, start=start, end=end)))
        if len(data) <= end - start:
            return data
        if len(data) > WHOLE_BYTES:
            raise OSError("its server sends no parts of a file, and all of it each time would take too long")
        return data[start:end]  # a web server that knows of no ranges sends all of it

    def make_folder(self, url: str) -> None:
        """Make the folder of a URL where its file system has folders. Raises as `request`."""

        def make(system: AbstractFileSystem, path: str) -> None:
            with suppress(NotImplementedError):
                system.makedirs(path, exist_ok=True)

        if url.partition("://")[0] not in OF_BUCKETS:
            self.request(url, make)

    def _opened(self, url: str) -> tuple[AbstractFileSystem, str]:
        from fsspec.core import url_to_fs

        protocol = url.partition("://")[0]
        try:
            system, path = _retried(lambda: url_to_fs(url, **self._options_for(url)))
        except ImportError as error:
            package = PACKAGES.get(protocol)
            needs = f"{protocol}:// needs the package {package}; pip install {package}" if package else in_words(error)
            raise ConfigError(f"{shown(url)!r}: {needs}") from None
        except Exception as error:  # options of a config may be anything, and each file system has errors of its own
            raise ConfigError(f"{shown(url)!r}: {in_words(error)}") from None
        return system, str(path)

    def _options_for(self, url: str) -> dict[str, dict[str, Any]]:
        """Return the options of each file system in a URL, by protocol, without those that the URL sets itself."""
        from fsspec import get_filesystem_class
        from fsspec.config import apply_config, conf

        laid = reduce(_laid_over, (DEFAULTS, conf, self.options))
        found = {}
        for link in url.split("::"):
            protocol = link.partition("://")[0] if "://" in link or link.isalpha() else "file"
            system = get_filesystem_class(protocol)
            own = system._get_kwargs_from_urls(link)  # fsspec refuses an option that comes by both ways
            options = apply_config(system, {}, laid)
            found[protocol] = {name: value for name, value in options.items() if name not in own}
        return found


DEFAULT_STORAGE = Storage()  # where no config is: the options of the environment alone


@dataclass(frozen=True)
class RemotePath:
    """A file or a folder behind a URL, and the way to reach it."""

    url: str
    storage: Storage = field(default=DEFAULT_STORAGE, repr=False)

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f"{self.url.rstrip('/')}/{name}", self.storage)

    @property
    def name(self) -> str:
        """The last part."""
        return self.url.rpartition("/")[2]

    def absolute(self) -> RemotePath:
        """Return it as it is: it begins in no folder of a process."""
        return self

    def read_bytes(self) -> bytes:
        """Return the bytes of the file, as `Storage.read_whole` does."""
        return self.storage.read_whole(self.url)

    def read_range(self, start: int, end: int) -> bytes:
        """Return a range of the file's bytes, as `Storage.read_range` does."""
        return self.storage.read_range(self.url, start, end)

    def request(self, call: Callable[[AbstractFileSystem, str], Result]) -> Result:
        """Return the result of `call(file system, path in it)`, as `Storage.request` does."""
        return self.storage.request(self.url, call)


Place = Path | RemotePath


def is_url(text: str) -> bool:
    """Tell whether a text of a config names something that fsspec reaches, and no path of this machine."""
    return re.match(r"([a-z][a-z0-9+.-]+::)*[a-z][a-z0-9+.-]+://", text) is not None


def at_once(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield what `work` makes of each item, in their order, as many at a time as a network bears."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="imgcluster-asking") as pool:
        yield from pool.map(work, items)


def in_words(error: BaseException) -> str:
    """Say why something cannot be reached, in one line without what a URL may carry after its `?`."""
    status = _status(error)
    if _is_forbidden(error):
        return "no permission to read it"
    if _is_missing(error):
        return "no such file or bucket"
    if status is not None and (status >= 500 or isinstance(error, FileNotFoundError)):
        return f"the server answers {status}"
    if isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    return shown(first_line(error))


def shown(text: str) -> str:
    """Return a text with a URL in it as messages have it: without a password, and without what stands after its `?`."""
    text = re.sub(r"://[^/\s'\"@]*:[^/\s'\"]*@", "://…@", text)
    return re.sub(r"(://[^\s'\"?]*)\?[^\s'\"]+", r"\1?…", text)


def _laid_over(defaults: Options, given: Options) -> Options:
    """Lay the options of each protocol over others, those in a mapping of their own one by one."""
    return {**defaults, **{protocol: _over(defaults.get(protocol, {}), given[protocol]) for protocol in given}}


def _over(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    laid = {
        name: {**defaults[name], **value} if isinstance(value, dict) and isinstance(defaults.get(name), dict) else value
        for name, value in given.items()
    }
    return copy.deepcopy({**defaults, **laid})


def _retried(call: Callable[[], Result]) -> Result:
    """Return what a call returns, called again with growing pauses where its failure may pass."""
    for attempt in range(ATTEMPTS - 1):
        try:
            return call()
        except Exception as error:  # each file system has errors of its own; those that do not pass are raised again
            if not _may_pass(error):
                raise
            time.sleep(FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.5))
    return call()


def _may_pass(error: Exception) -> bool:
    """Tell whether a failure is of the network, or of a server that may answer the next time."""
    status = _status(error)
    if status is not None:
        return status >= 500 or status in PASSING_STATUS
    if isinstance(error, OSError):
        return not isinstance(error, FINAL)
    return any(f"{kind.__module__}.{kind.__name__}" in PASSING_ERRORS for kind in type(error).__mro__)


def _os_error(error: Exception) -> OSError:
    """Translate an error of any file system into one of Python's, with the reason in words."""
    kind = PermissionError if _is_forbidden(error) else FileNotFoundError if _is_missing(error) else OSError
    return kind(in_words(error))


def _is_forbidden(error: BaseException) -> bool:
    return isinstance(error, PermissionError) or _status(error) in (401, 403)


def _is_missing(error: BaseException) -> bool:
    """Tell whether an error says that there is no such file, and not that it could not be asked for."""
    status = _status(error)
    if status is not None:
        return status in MISSING_STATUS
    cause = error.__cause__
    return isinstance(error, FileNotFoundError) and (cause is None or isinstance(cause, OSError | KeyError))


def _status(error: BaseException) -> int | None:
    """Return what a server answered by HTTP, also where fsspec calls every answer a file that is not there."""
    for each in (error, error.__cause__):
        answer = getattr(each, "response", None)
        if isinstance(answer, dict):  # of s3
            status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        else:  # of the web; or of gs, while others' `code` may be of anything
            status = getattr(each, "code" if type(each).__module__.startswith("gcsfs") else "status", None)
        if isinstance(status, int) and status >= 400:
            return status
    return None
