"""Digests of bytes, of the settings that shape a feature, and of files (cached while a file is unchanged)."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

from imgcluster.utils.files import cache_folder, parse_json, write_whole

_CHUNK = 1 << 20
FINGERPRINT_LENGTH = 16  # hex digits
_REMEMBERED = 64  # the latest so many files: more than anybody keeps weights


def digest_bytes(data: bytes) -> str:
    """Return the digest by which equal files are known wherever they lie: 128 bits of BLAKE2b, as hex."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def fingerprint_of(shaped_by: Any) -> str:
    """Hash everything that shapes a feature. `shaped_by` must be JSON-serialisable; the order of keys is no matter."""
    canonical = json.dumps(shaped_by, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:FINGERPRINT_LENGTH]


def file_sha256(path: Path) -> str:
    """The sha256 of the bytes of `path`, from the user's cache where size and times say that the file is the same.

    A cache that is read-only, damaged or nowhere costs time and nothing else.
    """
    if known := known_sha256(path):
        return known
    stamp = _stamp(path)
    digest = hash_file(path)
    _remember(
        str(path.resolve()), {"stamp": stamp, "sha256": digest}
    )  # the stamp from before: a change while reading gives another
    return digest


def known_sha256(path: Path) -> str | None:
    """The sha256 that `file_sha256` found before, if the file has the same size and times; it is not read."""
    entry = _remembered().get(str(path.resolve()))
    if isinstance(entry, dict) and entry.get("stamp") == _stamp(path) and isinstance(entry.get("sha256"), str):
        return str(entry["sha256"])
    return None


def hash_file(path: Path) -> str:
    """The sha256 of the bytes of `path`, read now."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _stamp(path: Path) -> list[int]:
    # ctime too: a copy that keeps the times of its source, and `touch -d`, do not deceive it
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _cache_file() -> Path:
    return cache_folder() / "digests.json"


def _remembered() -> dict[str, Any]:
    try:
        cache = parse_json(_cache_file().read_text(encoding="utf-8"))
    except (OSError, RuntimeError, ValueError):  # RuntimeError: no home, or JSON nested too deep
        return {}
    return cache if isinstance(cache, dict) else {}


def _remember(key: str, entry: dict[str, Any]) -> None:
    cache = _remembered()
    cache.pop(key, None)
    latest = dict([*cache.items(), (key, entry)][-_REMEMBERED:])
    with contextlib.suppress(OSError, RuntimeError):
        _cache_file().parent.mkdir(parents=True, exist_ok=True)
        write_whole(_cache_file(), json.dumps(latest, indent=1).encode())
