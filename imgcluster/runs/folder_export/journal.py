"""The journal of an export of folders: the plan, on disk before any image is touched, for undo."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from imgcluster.errors import OutputError
from imgcluster.utils import parse_json, remove_temporary, sync_folder, write_whole

JOURNAL = ".imgcluster-journal.jsonl"
FORMAT = "imgcluster export-folders"
VERSION = 1
ACTIONS = ("copy", "link", "move")


@dataclass(frozen=True)
class Entry:
    """One image: its source, absolute; its folder and name below DIR; size, mtime_ns and inode of the source.

    link, points: of a source that is a symbolic link and is moved, what it says, and what its new place says.
    """

    source: str
    folder: str
    name: str
    size: int
    mtime_ns: int
    inode: int
    link: str | None = None
    points: str | None = None

    def target(self, root: Path) -> Path:
        """Where it goes below DIR."""
        return root / self.folder / self.name


@dataclass
class Journal:
    """The journal of an export: the run's folder, absolute; the hash of what decides where images go; the action.

    found: the folders that were there before, by name, "." for DIR itself. entries: by source.
    """

    run: str
    clusters: str
    action: str
    found: list[str] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Take an entry in; it stands for its source in the place of an earlier one."""
        self.entries[entry.source] = entry

    def write(self, root: Path) -> None:
        """Write the journal into DIR, whole; it is on the disk when this returns. Raises OSError."""
        header = {"format": FORMAT, "version": VERSION, **{key: getattr(self, key) for key in _HEADER}}
        # JSON in ASCII: a line is a line whatever a name holds, and bytes that are no UTF-8 come back as they were.
        lines = [json.dumps(line) for line in (header, *map(asdict, self.entries.values()))]
        write_whole(root / JOURNAL, "".join(f"{line}\n" for line in lines).encode())
        sync_folder(root)


_HEADER = ("run", "clusters", "action", "found")


def read_journal(root: Path) -> Journal | None:
    """Read the journal in DIR; None where there is none. Raises OutputError: damaged, or a newer version's.

    Only for one that holds the lock of DIR: what a killed process was about to write is removed.
    """
    remove_temporary(root, [JOURNAL])
    path = root / JOURNAL
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return None
    except ValueError:
        raise _damaged(path) from None
    try:
        header, *entries = (parse_json(line) for line in lines)
        if header["format"] != FORMAT:
            raise _damaged(path)
        if header["version"] != VERSION:
            raise OutputError(f"{str(path)!r} is of version {header['version']}; take the imgcluster that wrote it")
        return _journal(header, entries)
    except (ValueError, KeyError, TypeError):
        raise _damaged(path) from None


def _journal(header: dict[str, Any], lines: list[dict[str, Any]]) -> Journal:
    journal = Journal(**{key: header[key] for key in _HEADER})
    if journal.action not in ACTIONS:
        raise ValueError(journal.action)
    for line in lines:
        entry = Entry(**line)
        if not (_is_name(entry.folder) and _is_name(entry.name) and os.path.isabs(entry.source)):
            raise ValueError(entry)  # somebody else wrote this: it would lead out of DIR
        journal.add(entry)
    return journal


def _is_name(text: str) -> bool:
    return text not in ("", ".", "..") and Path(text).name == text and "\0" not in text


def _damaged(path: Path) -> OutputError:
    return OutputError(f"{str(path)!r} is not a journal that imgcluster wrote, or damaged; nothing was touched")
