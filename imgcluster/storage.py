"""Files behind URLs (`s3://`, `gs://`, `http://`, `zip://`, ...), by fsspec: reached, retried, and told about in words.

What a file system needs beside the URL is the config's section `storage`, by protocol, and for secrets the environment:
fsspec takes `FSSPEC_S3_KEY` for the option `key` of `s3`, and each file system its own (`AWS_SECRET_ACCESS_KEY`).
"""

from __future__ import annotations

import copy
import random
import re
import time
from collections.abc import Callable, Mapping
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

Result = TypeVar("Result")

_environment: dict[str, Any] = {}


def is_url(text: str) -> bool:
    """Tell whether a text of a config names something that fsspec reaches, and no path of this machine."""
    return re.match(r"[a-z][a-z0-9+.-]+://", text) is not None


def use_storage(options: Mapping[str, Mapping[str, Any]]) -> None:
    """Have all file systems of this process made with these options, by protocol, and with those of the environment."""
    from fsspec.config import conf

    if not _environment:
        _environment.update(conf=copy.deepcopy(dict(conf)))  # as fsspec has read it
    conf.clear()
    conf.update(copy.deepcopy(_environment["conf"]))
    for protocol, given in options.items():
        conf[protocol] = {**conf.get(protocol, {}), **given}


def file_system(url: str) -> tuple[AbstractFileSystem, str]:
    """Return the file system of a URL, and the URL's path in it.

    Raises ConfigError: no such protocol, its package is not installed, an archive in the URL cannot be opened.
    """
    from fsspec.core import url_to_fs

    protocol = url.partition("://")[0]
    try:
        system, path = retried(lambda: url_to_fs(url))
    except ImportError:
        package = PACKAGES.get(protocol, "")
        raise ConfigError(f"{url!r}: {protocol}:// needs the package {package}; pip install {package}") from None
    except Exception as error:  # each file system has errors of its own
        raise ConfigError(f"{url!r}: {in_words(error)}") from None
    return system, path


def retried(call: Callable[[], Result]) -> Result:
    """Return what a call returns, asked again with growing pauses where what it raises may pass; else raise that."""
    for attempt in range(ATTEMPTS - 1):
        try:
            return call()
        except (*FINAL, ImportError, ValueError, TypeError, KeyError):  # will be the same the next time
            raise
        except Exception:  # of a network: each file system has errors of its own
            time.sleep(FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.5))
    return call()


def in_words(error: BaseException) -> str:
    """Say why something cannot be reached, in one line without what a URL may carry after its `?`."""
    if isinstance(error, FileNotFoundError):
        return "no such file or bucket"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return re.sub(r"\?[^\s'\"]+", "?…", line)
