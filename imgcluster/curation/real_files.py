"""Real files behind the paths of images: links and other spellings of one file, and files in protected folders."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from imgcluster.errors import ConfigError
from imgcluster.runs import source_of


def other_names(paths: Sequence[str]) -> dict[int, list[int]]:
    """Return the rows that name a file again, as a link or in another spelling, by the row that stands for that file.

    A row that is no link stands for a file before one that is.
    """
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, path in enumerate(paths):
        rows_of[os.path.realpath(path)].append(row)
    named = (sorted(rows, key=lambda row: (Path(paths[row]).is_symlink(), row)) for rows in rows_of.values())
    return {first: others for first, *others in named if others}


def rows_inside(paths: Sequence[str], folders: Sequence[str | Path]) -> set[int]:
    """Return the rows that lie in protected folders, and those of the same files: links, and what links lead to.

    Raises ConfigError: a folder holds no image.
    """
    found: set[int] = set()
    parents = [{*Path(os.path.realpath(path)).parents, *Path(source_of(path)).parents} for path in paths if folders]
    for folder in folders:
        root = Path(os.path.realpath(folder))
        inside = {row for row, above in enumerate(parents) if root in above}
        if not inside:
            raise ConfigError(f"protect: no image of the run lies in {str(folder)!r}")
        found |= inside
    files = {os.path.realpath(paths[row]) for row in found}
    return {row for row, path in enumerate(paths) if files and os.path.realpath(path) in files}
