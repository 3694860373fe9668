"""The folder that all of one run's files go to: of one config, by one process, each file whole."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from imgcluster.config import Config
from imgcluster.errors import OutputError
from imgcluster.files import TEMPORARY, remove_temporary

RECORD = "run.json"
# Keys that change how long a run takes, not what it gives.
IMMATERIAL = {("features", "device"), ("features", "batch_size"), ("features", "store")}

Writer = Callable[[IO[bytes]], object]


class RunFolder:
    """A run folder, locked while it is open. Refuses one that holds another config's run, unless `force` is set."""

    def __init__(self, config: Config, *, force: bool = False) -> None:
        self.path = Path(config.outputs.folder)
        self._config = config.resolved()
        self._force = force

    @contextmanager
    def open(self, names: list[str]) -> Iterator[RunFolder]:
        """Take the folder for a run that will write files of these names. Raises OutputError."""
        lock = FileLock(self.path / ".lock")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            raise OutputError(
                f"{str(self.path)!r} is being written by another run; wait for it to end, or set outputs.folder"
            ) from None
        except OSError as error:
            raise OutputError(f"outputs.folder: {str(self.path)!r} cannot be used: {error.strerror}") from None
        try:
            remove_temporary(self.path)
            if not self._force:
                self._check_ours(names)
            yield self
        finally:
            lock.release()

    def write(self, files: Mapping[str, Writer], record: Mapping[str, Any]) -> None:
        """Write all files and the record. Each appears whole; all are complete on the disk before the first appears.

        The record comes first, marked as being written, and is replaced last: a folder whose run was killed in between
        still belongs to its config, and says that it is not finished.
        """
        unfinished = {"status": "writing", "config": self._config}
        finished = {"status": "done", **record, "config": self._config}
        try:
            for name, writer in files.items():
                self._prepare(name, writer)
            for name, content in ((RECORD, unfinished), *((name, None) for name in files), (RECORD, finished)):
                if content is not None:
                    self._prepare(name, _json_writer(content))
                (self.path / (name + TEMPORARY)).replace(self.path / name)
        except OSError as error:
            remove_temporary(self.path)
            raise OutputError(f"{str(self.path)!r} cannot be written: {error.strerror}") from None

    def _prepare(self, name: str, writer: Writer) -> None:
        with (self.path / (name + TEMPORARY)).open("wb") as file:
            writer(file)
            file.flush()
            os.fsync(file.fileno())

    def _check_ours(self, names: list[str]) -> None:
        record = self.path / RECORD
        if not record.exists():
            foreign = [name for name in names if (self.path / name).exists()]
            if foreign:
                raise OutputError(
                    f"{str(self.path)!r} has a {foreign[0]} that no run of imgcluster left there; "
                    "set outputs.folder elsewhere, or overwrite it with --force"
                )
            return
        try:
            theirs = json.loads(record.read_bytes())["config"]
            differences = _differences(theirs, self._config)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise OutputError(f"{str(record)!r} is damaged; overwrite the run with --force") from None
        if differences:
            more = f" and {len(differences) - 1} more" if len(differences) > 1 else ""
            raise OutputError(
                f"{str(self.path)!r} holds the run of another config ({differences[0]}{more}); "
                "set outputs.folder elsewhere, or overwrite it with --force"
            )


def _json_writer(content: Mapping[str, Any]) -> Writer:
    data = (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
    return lambda file: file.write(data)


def _differences(theirs: dict[str, dict[str, Any]], ours: dict[str, dict[str, Any]]) -> list[str]:
    keys = [(section, key) for section in ours for key in {**ours[section], **theirs[section]}]
    return [
        f"{section}.{key}: {theirs[section].get(key)} there, {ours[section].get(key)} here"
        for section, key in keys
        if (section, key) not in IMMATERIAL and theirs[section].get(key) != ours[section].get(key)
    ]
