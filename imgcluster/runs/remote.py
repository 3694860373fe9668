"""Run folders behind URLs: written locally, uploaded when the run is done."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock, Timeout

from imgcluster.config import RunFiles
from imgcluster.errors import OutputError
from imgcluster.runs.reader import finished_record
from imgcluster.utils import RemotePath, at_once, cache_folder, in_words, parse_json, shown, write_whole

PROBE = ".writable"
PATIENCE = 60.0  # seconds for another command to fetch the same run


def kept_at(url: str, kind: str = "runs") -> Path:
    """Return the folder of this machine in which the run of a URL is made, or as `copies` the one it is fetched into.

    Raises OutputError: nobody has a home.
    """
    url = url.rstrip("/")
    name = re.sub(r"[^\w.-]+", "_", shown(url).partition("://")[2])[-80:]
    try:
        return cache_folder() / kind / f"{name}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
    except RuntimeError as error:
        raise OutputError(f"outputs.folder: {shown(url)!r} needs a cache on this machine: {error}") from None


def lock_of(home: Path) -> FileLock:
    """Return the lock of such a folder: beside it, for what is in it is thrown away while the lock is held."""
    home.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(home.with_name(f"{home.name}.lock"))


class FarAway:
    """The run folder behind a URL. Whatever its file system raises is an OutputError."""

    def __init__(self, place: RemotePath) -> None:
        self._place = RemotePath(place.url.rstrip("/"), place.storage)

    def check(self) -> None:
        """Find out, before any work, whether it can be written to."""
        try:
            self._place.storage.make_folder(self._place.url)
        except OSError as error:
            raise self._failure(error) from None
        self._asked(lambda system, folder: system.pipe_file(f"{folder}/{PROBE}", b""))
        self._asked(lambda system, folder: system.rm_file(f"{folder}/{PROBE}"))

    def has(self, names: Sequence[str]) -> list[str]:
        """Return those of some files that are there."""
        there = set(self.names())
        return [name for name in names if name in there]

    def fetch(self, name: str, into: Path) -> None:
        """Bring a file that is there here. A name that leads out of the folder is passed over."""
        if ".." in PurePosixPath(name).parts:
            return
        data = self._asked(lambda system, folder: system.cat_file(f"{folder}/{name}"))
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        write_whole(into / name, data)

    def finished(self) -> bytes:
        """Return the record of the finished run that is there. Raises OutputError: no run, damaged, not finished."""
        try:
            data = (self._place / RunFiles.RECORD).read_bytes()
        except FileNotFoundError as error:
            place = shown(self._place.url)
            raise OutputError(f"{place!r} is not a run folder ({RunFiles.RECORD}: {in_words(error)})") from None
        except OSError as error:
            raise self._failure(error) from None
        finished_record(data, shown(self._place.url))
        return data

    def names(self) -> list[str]:
        """Return the names of all files that are there, with the folders they lie in."""
        self._asked(lambda system, folder: system.invalidate_cache(folder))  # another process may have written there
        found = self._asked(lambda system, folder: [path.removeprefix(folder) for path in system.find(folder)])
        return [str(path).strip("/") for path in found]

    def send(self, home: Path) -> None:
        """Send all files of a finished run, its record last: whoever sees it sees a whole run."""
        files = [path for path in home.rglob("*") if path.is_file() and not _is_passing(path)]
        names = {path.relative_to(home).as_posix(): path for path in files}
        replaced = (RunFiles.REPORT, RunFiles.SHEETS)
        former = [name for name in self.names() if name not in names and name.partition("/")[0] in replaced]
        self._mark_as_being_written(names[RunFiles.RECORD])
        list(at_once(lambda name: self._put(name, names[name]), [name for name in names if name != RunFiles.RECORD]))
        self._put(RunFiles.RECORD, names[RunFiles.RECORD])
        for name in former:  # of the run before: a page's pictures
            self._remove(name)

    def _mark_as_being_written(self, record: Path) -> None:
        """Have the folder belong to its config, and say that it is not finished."""
        config = parse_json(record.read_bytes())["config"]
        marked = json.dumps({"status": "writing", "config": config}).encode()
        self._asked(lambda system, folder: system.pipe_file(f"{folder}/{RunFiles.RECORD}", marked))

    def _remove(self, name: str) -> None:
        self._asked(lambda system, folder: system.rm_file(f"{folder}/{name}"))

    def _put(self, name: str, path: Path) -> None:
        self._asked(lambda system, folder: system.put_file(str(path), f"{folder}/{name}"))

    def _asked(self, call: Callable[[Any, str], Any]) -> Any:
        try:
            return self._place.request(call)
        except OSError as error:
            raise self._failure(error) from None

    def _failure(self, error: OSError) -> OutputError:
        return OutputError(f"outputs.folder: {shown(self._place.url)!r} cannot be used: {in_words(error)}")


def fetched(url: str) -> Path:
    """Bring the finished run behind a URL here, anew each time, and say where. Raises OutputError, ConfigError.

    All of it is reached as its record was, by the environment: what the record has of `storage` is of whoever wrote it.
    Each file is replaced whole, and none is gone in between, so that another command may be reading the same copy.
    """
    far_away, home = FarAway(RemotePath(url)), kept_at(url, "copies")
    record = far_away.finished()
    try:
        with lock_of(home).acquire(timeout=PATIENCE):
            names = [name for name in far_away.names() if name != RunFiles.RECORD]
            if not _holds(home, record):
                start_anew(home)
            list(at_once(lambda name: far_away.fetch(name, home), names))
            write_whole(home / RunFiles.RECORD, record)
    except Timeout:
        raise OutputError(f"{shown(url)!r} is being fetched by another command; wait for it to end") from None
    return home


def _holds(home: Path, record: bytes) -> bool:
    try:
        return (home / RunFiles.RECORD).read_bytes() == record
    except OSError:
        return False


def _is_passing(path: Path) -> bool:
    return path.name.startswith(".") or path.name.endswith(".tmp")


def start_anew(home: Path) -> None:
    """Empty the folder in which a run is made: what counts is behind the URL."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True, exist_ok=True)
