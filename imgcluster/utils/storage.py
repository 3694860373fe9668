"""Files behind URLs (`s3://`, `gs://`, `http://`, `zip://`, ...) through fsspec: retries, and errors in plain words.

What a file system needs beside the URL is the config's section `storage`, by protocol, and for secrets the environment:
fsspec takes `FSSPEC_S3_KEY` for the option `key` of `s3`, and each file system its own (`AWS_SECRET_ACCESS_KEY`).
"""

from __future__ import annotations

import copy
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from imgcluster.errors import ConfigError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

ATTEMPTS = 5
FIRST_PAUSE = (
    0.2  # seconds; each further one is twice as long, and all of them vary, so that many do not return at once
)
FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)
PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp", "https": "aiohttp"}
# Where folders are parts of names alone, and to make one would be to make a bucket that somebody has misspelt.
OF_BUCKETS = frozenset(("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "b2"))
AT_ONCE = 32  # requests: each waits for the network nearly all of its time
# Of its own, botocore opens ten connections, and the other readers would wait for them; and it asks five times, each
# time that `retried` asks: a server that is not there would be told of after a minute.
_BOTOCORE = {"max_pool_connections": 2 * AT_ONCE, "retries": {"max_attempts": 1}}
DEFAULTS: dict[str, dict[str, Any]] = {protocol: {"config_kwargs": _BOTOCORE} for protocol in ("s3", "s3a")}
PASSING = (408, 425, 429)  # of the 4xx, those that are no verdict
GONE = (404, 410)
WHOLE_BYTES = 32 * 2**20  # of a file that is fetched whole to read a part of it

Item = TypeVar("Item")
Result = TypeVar("Result")

_environment: dict[str, Any] = {}
_in_use: dict[str, dict[str, Any]] = {}
_systems: dict[tuple[int, str], AbstractFileSystem] = {}
_lock = threading.RLock()


def is_url(text: str) -> bool:
    """Tell whether a text of a config names something that fsspec reaches, and no path of this machine."""
    return re.match(r"([a-z][a-z0-9+.-]+::)*[a-z][a-z0-9+.-]+://", text) is not None


def use_storage(options: Mapping[str, Mapping[str, Any]]) -> None:
    """Have all file systems of this process made with these options, by protocol, and with those of the environment."""
    from fsspec.config import conf

    with _lock:
        if not _environment:
            _environment.update(conf=copy.deepcopy(dict(conf)))  # as fsspec has read it
        elif _in_use == options:
            return
        conf.clear()
        for given in (DEFAULTS, _environment["conf"], options):
            for protocol, settings in given.items():
                conf[protocol] = _over(conf.get(protocol, {}), settings)
        _systems.clear()
        _in_use.clear()
        _in_use.update(copy.deepcopy({protocol: dict(given) for protocol, given in options.items()}))


def _over(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Lay options over others, those in a mapping of their own one by one."""
    laid = {
        name: {**defaults[name], **value} if isinstance(value, dict) and isinstance(defaults.get(name), dict) else value
        for name, value in given.items()
    }
    return copy.deepcopy({**defaults, **laid})


def storage_in_use() -> dict[str, dict[str, Any]]:
    """Return the options of the last `use_storage`, for another process to use the same."""
    return copy.deepcopy(_in_use)


def file_system(url: str) -> tuple[AbstractFileSystem, str]:
    """Return the file system of a URL, one for all threads, and the URL's path in it.

    Raises ConfigError: no such protocol, its package is not installed, an archive in the URL cannot be opened.
    """
    if "::" in url:  # each archive is a file system of its own
        return _opened(url)
    protocol, _, rest = url.partition("://")
    # fsspec makes one for each thread, and each would open connections of its own.
    key = os.getpid(), f"{protocol}://{rest.partition('/')[0]}"
    with _lock:
        if key not in _systems:
            _systems[key] = _opened(url)[0]
        system = _systems[key]
    return system, str(system._strip_protocol(url))


def _opened(url: str) -> tuple[AbstractFileSystem, str]:
    from fsspec.core import url_to_fs

    if not _environment:
        use_storage({})
    protocol = url.partition("://")[0]
    try:
        system, path = retried(lambda: url_to_fs(url))
    except ImportError as error:
        package = PACKAGES.get(protocol)
        needs = f"{protocol}:// needs the package {package}; pip install {package}" if package else in_words(error)
        raise ConfigError(f"{shown(url)!r}: {needs}") from None
    except Exception as error:  # each file system has errors of its own
        raise ConfigError(f"{shown(url)!r}: {in_words(error)}") from None
    return system, str(path)


def make_folder(url: str) -> None:
    """Make the folder of a URL where its file system has folders. Raises whatever that raises, and ConfigError."""
    system, path = file_system(url)
    if url.partition("://")[0] not in OF_BUCKETS:
        retried(lambda: system.makedirs(path, exist_ok=True))


def read_whole(url: str) -> bytes:
    """Return the bytes of a file. Raises whatever its file system raises, FileNotFoundError and PermissionError."""
    system, path = file_system(url)
    return bytes(retried(lambda: system.cat_file(path)))


def read_range(url: str, start: int, end: int) -> bytes:
    """Return a file's bytes from `start` to before `end`, fewer where it ends earlier. Raises as `read_whole`."""
    system, path = file_system(url)
    data = bytes(retried(lambda: system.cat_file(path, start=start, end=end)))
    if len(data) <= end - start:
        return data
    if len(data) > WHOLE_BYTES:
        raise OSError("its server sends no parts of a file, and all of it each time would take too long")
    return data[start:end]  # a web server that knows of no ranges sends all of it


def retried(call: Callable[[], Result]) -> Result:
    """Return what a call returns, asked again with growing pauses where what it raises may pass; else raise that."""
    for attempt in range(ATTEMPTS - 1):
        try:
            return call()
        except (ImportError, ValueError, TypeError, KeyError):  # will be the same the next time
            raise
        except Exception as error:  # of a network: each file system has errors of its own
            if _is_final(error):
                raise
            time.sleep(FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.5))
    return call()


def _is_final(error: BaseException) -> bool:
    """Tell whether it is a verdict: there is no such file, or nobody may read it."""
    status = _status(error)
    if status is not None:
        return 400 <= status < 500 and status not in PASSING
    return isinstance(error, FINAL)


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


def is_missing(error: BaseException) -> bool:
    """Tell whether an error says that there is no such file, and not that it could not be asked for."""
    status = _status(error)
    if status is not None:
        return status in GONE
    cause = error.__cause__
    return isinstance(error, FileNotFoundError) and (cause is None or isinstance(cause, OSError | KeyError))


def at_once(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield what `work` makes of each item, in their order, as many at a time as a network bears."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="imgcluster-asking") as pool:
        yield from pool.map(work, items)


def in_words(error: BaseException) -> str:
    """Say why something cannot be reached, in one line without what a URL may carry after its `?`."""
    status = _status(error)
    if isinstance(error, PermissionError) or status in (401, 403):
        return "no permission to read it"
    if is_missing(error):
        return "no such file or bucket"
    if status is not None and (status >= 500 or isinstance(error, FileNotFoundError)):
        return f"the server answers {status}"
    if isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    return shown((str(error).strip() or type(error).__name__).splitlines()[0])


def shown(text: str) -> str:
    """Return a text with a URL in it as messages have it: without a password, and without what stands after its `?`."""
    text = re.sub(r"://[^/\s'\"@]*:[^/\s'\"]*@", "://…@", text)
    return re.sub(r"(://[^\s'\"?]*)\?[^\s'\"]+", r"\1?…", text)
