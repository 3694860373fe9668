"""Servers that could not be reached lately, so that nobody waits for each of them again and again."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from imgcluster.utils import cache_folder, fingerprint_of, parse_json, write_whole

REMEMBERED_SECONDS = 600


def unreached(url: str) -> str | None:
    """Return why the server of a url could not be reached in the last ten minutes; None where it was not tried."""
    entry = _remembered().get(_server(url))
    with suppress(TypeError, KeyError, ValueError):
        if entry is not None and 0 <= time.time() - float(entry["at"]) < REMEMBERED_SECONDS:
            return str(entry["cause"])
    return None


def remember_unreached(url: str, cause: str) -> None:
    """Remember that the server of a url cannot be reached, and why. Nothing is kept where no cache can be written."""
    _write({**_remembered(), _server(url): {"at": time.time(), "cause": cause}})


def forget_unreached() -> None:
    """Forget all of them, so that the next download tries its server again."""
    with suppress(OSError, RuntimeError):
        _file().unlink(missing_ok=True)


def _server(url: str) -> str:
    """Return the server by its name and port, and by the proxies on the way to it."""
    return f"{urlsplit(url).netloc} {fingerprint_of(getproxies())}"


def _file() -> Path:
    return cache_folder() / "unreached.json"


def _remembered() -> dict[str, Any]:
    with suppress(OSError, RuntimeError, ValueError):
        found = parse_json(_file().read_bytes())
        return found if isinstance(found, dict) else {}
    return {}


def _write(entries: dict[str, Any]) -> None:
    with suppress(OSError, RuntimeError):
        _file().parent.mkdir(parents=True, exist_ok=True)
        write_whole(_file(), json.dumps(entries).encode())
