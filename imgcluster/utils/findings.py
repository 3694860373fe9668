"""Findings remembered between processes: each in a file of its own in the cache folder, named by what it is about.

There are `kept.MAX_FILES` of them at most; the oldest are forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from imgcluster.utils.files import cache_folder, parse_json
from imgcluster.utils.hashing import fingerprint_of
from imgcluster.utils.kept import keep

FOLDER = "findings"

Found = TypeVar("Found")


def remembered(about: Any, find: Callable[[], Found]) -> Found:
    """Return what an earlier call found about the same, or call `find` and remember its result.

    Without a usable cache, `find` is called each time; so it is where the file is damaged or of something else. What
    `find` raises is not remembered.

    Args:
        about: Plain data for JSON: everything on which the result depends.
        find: Returns plain data for JSON, with lists and no tuples.
    """
    path = None
    with suppress(OSError, RuntimeError, ValueError):  # RuntimeError: no home, or nested too deep; ValueError: no JSON
        path = cache_folder() / FOLDER / f"{fingerprint_of(about)}.json"
        kept = parse_json(path.read_bytes())
        if isinstance(kept, dict) and kept == _entry(about, kept.get("found")):
            return kept["found"]  # type: ignore[no-any-return]  # the digest says that `find` returned it
    found = find()
    if path is not None:
        keep(path, json.dumps(_entry(about, found), indent=1).encode())
    return found


def _entry(about: Any, found: Any) -> dict[str, Any]:
    return {"about": json.loads(json.dumps(about)), "found": found, "digest": fingerprint_of([about, found])}
