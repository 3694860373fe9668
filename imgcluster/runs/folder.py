"""The run folder: one config, one writer at a time, no partly written file."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from imgcluster.config import AUTO_BACKBONE, SECTIONS, Config, RunFiles, features_as_used, features_from_dict
from imgcluster.errors import ConfigError, OutputError
from imgcluster.runs.remote import FarAway, kept_at, lock_of, start_anew
from imgcluster.utils import RemotePath, Storage, is_url, parse_json, remove_temporary, replacing, write_whole

# Keys that change how long a run takes, and what else it leaves, not what it finds. What a fallback finds is for want
# of what was asked for, and older versions record one for every backbone.
IMMATERIAL = {
    ("features", "fallback"),
    ("features", "download"),
    ("features", "device"),
    ("features", "batch_size"),
    ("features", "store"),
    ("clusters", "hierarchy"),
    ("outputs", "images"),
    ("outputs", "report"),
    ("outputs", "names_from"),
    ("outputs", "contact_sheets"),
}

# By key, values that find the same, unlike its others; None: of a record that is older than the key.
ALIKE: dict[tuple[str, str], tuple[Any, ...]] = {
    ("clusters", "backend"): ("auto", "sklearn", None),
    ("images", "include"): ([], None),
    ("images", "exclude"): ([], None),
    ("images", "pages"): ("first", None),
    ("images", "bands"): ("auto", None),
    ("images", "range"): ("auto", None),
    ("images", "color"): ("managed", None),
    ("outputs", "rows"): ("images", None),
    ("outputs", "probabilities"): ("distance", None),
}

Writer = Callable[[IO[bytes]], object]


class RunFolder:
    """A run folder, locked while it is open. Refuses one that holds another config's run, unless `force` is set."""

    def __init__(self, config: Config, *, force: bool = False) -> None:
        folder = config.outputs.folder
        self._far_away = FarAway(RemotePath(folder, Storage(config.storage))) if is_url(folder) else None
        self.path = kept_at(folder) if is_url(folder) else Path(folder)
        self._config = config.resolved()
        self._force = force

    @contextmanager
    def open(self, names: list[str]) -> Iterator[RunFolder]:
        """Take the folder for a run that will write files of these names. Raises OutputError.

        A run that fails before it writes leaves nothing behind.
        """
        is_new = not os.path.exists(self.path)  # unlike Path.exists, it takes too long a name
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / RunFiles.LOCK) if self._far_away is None else lock_of(self.path)
            lock.acquire(timeout=0)
            if not os.access(self.path, os.W_OK):  # its lock may be there from before
                lock.release()
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except Timeout:
            raise OutputError(
                f"{str(self.path)!r} is being written by another run; wait for it to end, or set outputs.folder"
            ) from None
        except OSError as error:
            raise OutputError(f"outputs.folder: {str(self.path)!r} cannot be used: {error.strerror}") from None
        try:
            if self._far_away is not None:
                self._bring_record(self._far_away, names)
            if not self._force:
                self._check_ours(names)
            yield self
        finally:
            if not (self.path / RunFiles.RECORD).exists():
                with suppress(OSError):  # Windows removes no file that is open
                    (self.path / RunFiles.LOCK).unlink()
            lock.release()
            if is_new:
                with suppress(OSError):  # it has files in it
                    self.path.rmdir()

    def send(self) -> None:
        """Send a finished run to where the config wants it; nothing where that is here. Raises OutputError."""
        if self._far_away is not None:
            self._far_away.send(self.path)

    def _bring_record(self, far_away: FarAway, names: list[str]) -> None:
        """Begin with what is behind the URL: its record, or without one the names of what is in the way."""
        far_away.check()
        start_anew(self.path)
        there = far_away.has(names)
        if RunFiles.RECORD in there:
            far_away.fetch(RunFiles.RECORD, self.path)
        elif there and not self._force:
            raise self._foreign(there[0])

    def write(self, files: Mapping[str, Writer], record: Mapping[str, Any]) -> dict[str, Any]:
        """Write all files and the record; returns the whole record.

        Each file appears whole; all are complete before the first appears.

        The record comes first, marked as being written, and is replaced last: a folder whose run was killed in between
        still belongs to its config, and says that it is not finished.
        """
        try:
            remove_temporary(self.path, map(escape, [*files, RunFiles.RECORD]))
            with ExitStack() as renamed_at_the_end:
                for name, writer in files.items():
                    file = renamed_at_the_end.enter_context(replacing(self.path / name))
                    writer(file)
                    file.flush()
                self._remove_former(files)
                self._write_record({"status": "writing"})
            return self._write_record({"status": "done", **record})
        except OSError as error:
            raise OutputError(f"{str(self.path)!r} cannot be written: {error.strerror}") from None

    def _write_record(self, record: Mapping[str, Any]) -> dict[str, Any]:
        whole = {**record, "config": self._config}
        text = json.dumps(whole, indent=2, ensure_ascii=False)
        write_whole(self.path / RunFiles.RECORD, f"{text}\n".encode())
        return whole

    def _remove_former(self, files: Mapping[str, Writer]) -> None:
        """Remove submission and tables of the run that is overwritten, if this one does not write them here."""
        try:
            tables = (RunFiles.SEGMENTS, RunFiles.HIERARCHY, RunFiles.IMAGES, RunFiles.IMAGES_PARQUET)
            former = [self._recorded()["outputs"]["submission"], *tables]
        except (OSError, ValueError, KeyError, TypeError):
            return
        for name in former:
            if isinstance(name, str) and name not in files and Path(name).name == name:
                (self.path / name).unlink(missing_ok=True)

    def _recorded(self) -> dict[str, dict[str, Any]]:
        config = parse_json((self.path / RunFiles.RECORD).read_bytes())["config"]
        if not isinstance(config, dict):
            raise TypeError("no config in the record")
        return config

    def _recorded_as_used(self) -> dict[str, dict[str, Any]]:
        """Return the config that gives the same as the run that is there, with the networks that were used."""
        config, origins = self._recorded(), parse_json((self.path / RunFiles.RECORD).read_bytes()).get("features", [])
        if config["features"].get("backbone") != AUTO_BACKBONE and not any(each.get("fallback") for each in origins):
            return config
        keys = features_as_used(features_from_dict(config["features"]), origins)
        return {**config, "features": {**config["features"], **keys}}

    def _check_ours(self, names: list[str]) -> None:
        if not (self.path / RunFiles.RECORD).exists():
            self._check_nobodys(names)
            return
        try:
            theirs = (self._recorded(), self._recorded_as_used())
            differences = min((_differences(each, self._config) for each in theirs), key=len)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError):
            raise OutputError(
                f"{str(self.path / RunFiles.RECORD)!r} is damaged; overwrite the run with force=True"
            ) from None
        if differences:
            more = f" and {len(differences) - 1} more" if len(differences) > 1 else ""
            raise OutputError(
                f"{self._config['outputs']['folder']!r} holds the run of another config ({differences[0]}{more}); "
                "set outputs.folder elsewhere, or overwrite it with force=True"
            )

    def _check_nobodys(self, names: list[str]) -> None:
        foreign = [name for name in names if (self.path / name).exists()]
        if foreign:
            raise self._foreign(foreign[0])

    def _foreign(self, name: str) -> OutputError:
        return OutputError(
            f"{self._config['outputs']['folder']!r} has a {name} that no run of imgcluster left there; "
            "set outputs.folder elsewhere, or overwrite it with force=True"
        )


def _differences(theirs: dict[str, dict[str, Any]], ours: dict[str, dict[str, Any]]) -> list[str]:
    values = [
        ((section, key), theirs[section].get(key), ours[section].get(key))
        for section in SECTIONS
        for key in {**ours[section], **theirs[section]}
    ]
    return [f"{'.'.join(key)}: {there} there, {here} here" for key, there, here in values if _differ(key, there, here)]


def _differ(key: tuple[str, str], there: Any, here: Any) -> bool:
    alike = ALIKE.get(key, ())
    return key not in IMMATERIAL and there != here and not (there in alike and here in alike)
