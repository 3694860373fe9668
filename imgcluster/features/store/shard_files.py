"""The shards in the folder of a store: loaded, read, written, joined, taken over from other processes, set aside."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np

from imgcluster.errors import StoreError
from imgcluster.features.store.backend import LocalFiles, StoreFiles
from imgcluster.features.store.damage import Damage
from imgcluster.features.store.index import Keys, StoreIndex
from imgcluster.features.store.reader import ShardRows
from imgcluster.features.store.shards import (
    ImageKey,
    Shard,
    index_file,
    read_shard,
    shard_names,
    shard_of,
    unique_name,
    vectors_file,
    write_shard,
)
from imgcluster.utils import at_once

logger = logging.getLogger(__name__)

PART = ".part-"  # and a number: the stores of a process that computes a part of a run, in the folder of the store
DRIVEN = ".driven-"  # and the token of a run: a file by which workers recognise the store of the run's driver
SECONDS_FOR_PARTS = 10
SHARD_BYTES = 64 * 2**20
OTHERS_BYTES = 2**20  # a shard of this size from another process is not joined: a million images are 2,000 of them


class StoreShards:
    """The shards of one fingerprint in one folder. Failures are OSErrors.

    Damaged shards are set aside, each with a warning. Only `Damage` marks a shard as damaged: every other exception
    propagates, and leaves the files as they are.

    read_only: another process may be writing; nothing is changed, and damaged shards are merely left out.
    """

    def __init__(self, files: StoreFiles, fingerprint: str, *, read_only: bool = False) -> None:
        self.index = StoreIndex()
        self.read_only = read_only
        self._files, self._fingerprint = files, fingerprint
        self._small: list[str] = []
        self._written: set[str] = set()

    def load(self) -> None:
        """Read the shards that are not known yet."""
        names = [name for name in shard_names(self._files) if name not in self.index]
        shards = (map if self._files.one_writer else at_once)(self._read_or_damage, names)
        for name, shard in zip(names, shards, strict=True):
            if not isinstance(shard, Damage):
                self.admit(name, shard)
            elif self.read_only and not self._files.names(index_file(name)):
                self.load()  # the writer has just joined it with others
                return
            else:
                self.set_aside(name, shard)

    def reload(self) -> None:
        """Read all shards again, after another process has joined some."""
        self.index.clear()
        self._small.clear()
        self.load()

    def read(self, name: str) -> Shard:
        """Read a shard, from any thread. Raises Damage."""
        try:
            keys, rows = read_shard(self._files, name, self._fingerprint)
        except FileNotFoundError:
            raise Damage(vectors_file(name), "is gone") from None
        if rows.shape[1] != (self.index.dim or rows.shape[1]):
            raise Damage(vectors_file(name), f"has {rows.shape[1]:,} values in a row, not {self.index.dim:,}")
        return keys, rows

    def keys(self, name: str, rows: np.ndarray) -> list[ImageKey]:
        """Return the keys of some rows of a shard, from its file. Raises Damage."""
        keys, _ = self.read(name)
        return [keys[row] for row in rows.tolist()]

    def _read_or_damage(self, name: str) -> Shard | Damage:
        try:
            return self.read(name)
        except Damage as damage:
            return damage

    def admit(self, name: str, shard: Shard) -> None:
        """Add a shard that was read to the index."""
        self.index.add(name, *shard)
        if self.index.rows[name].nbytes < (OTHERS_BYTES if "-" in name else SHARD_BYTES):
            self._small.append(name)

    def gather(self, keys: Keys, out: np.ndarray) -> dict[str, Damage]:
        """Read the rows of images that the index knows into `out`, (len(keys), dim), in the order of the keys.

        Returns the damage by shard, whose rows in `out` are left as they are. Raises KeyError where images
        have no row; FileNotFoundError where a reader's shard is gone: the writer has joined it.
        """

        def take(found: tuple[str, np.ndarray, np.ndarray]) -> tuple[str, Damage] | None:
            name, rows, places = found
            try:
                out[places] = self.index.rows[name][rows]
            except FileNotFoundError:
                if self.read_only:
                    raise
                return name, Damage(vectors_file(name), "is gone")
            except Damage as damage:
                return name, damage
            return None

        taken = (map if self._files.one_writer else at_once)(take, self.index.located(keys))
        return dict(found for found in taken if found is not None)

    def write(self, keys: list[ImageKey], parts: Iterable[np.ndarray]) -> str:
        """Write a shard of rows, (len(keys), dim) float32 in parts, and add it to the index; returns its name."""
        number = self.index.next_number
        name = f"{number:05d}" if self._files.one_writer else unique_name(number)
        checksums = write_shard(self._files, name, self._fingerprint, keys, parts)
        self._written.add(name)
        self.admit(name, (keys, ShardRows(self._files.place / vectors_file(name), checksums)))
        return name

    def has_many_small(self) -> bool:
        """Tell whether the small shards would make a large one."""
        return sum(self.index.rows[name].nbytes for name in self._small) >= SHARD_BYTES

    def join_small(self) -> dict[str, Damage]:
        """Join the small shards; returns the damage by shard of those that were set aside instead.

        Not behind a URL: another process may be reading them.
        """
        damaged: dict[str, Damage] = {}
        while len(self._small) > 1 and self._files.one_writer:
            joined, self._small = self._small, []
            own = {name: self.index.own_rows(name) for name in joined}
            try:
                keys = [key for name, rows in own.items() for key in self.keys(name, rows)]
                self.write(keys, (self.index.rows[name][rows] for name, rows in own.items()))
            except Damage as damage:
                self._small = joined
                damaged[shard_of(damage.file)] = damage
                self.set_aside(shard_of(damage.file), damage)
                continue
            for name in joined:
                self.discard(name)
            break  # a joint shard may be small again
        return damaged

    def take_over(self, part: StoreShards) -> None:
        """Move the rows of another store of the same features here."""
        for name in part.index.names:
            rows = part.index.own_rows(name)
            try:
                keys = part.keys(name, rows)
                lacking = [at for at, key in enumerate(keys) if self.index.lacks(key)]
                if lacking:
                    self.write([keys[at] for at in lacking], [part.index.rows[name][rows[lacking]]])
            except Damage as damage:
                part.set_aside(name, damage)
            else:
                part.discard(name)

    def discard(self, name: str) -> None:
        """Remove a shard after its rows were written to another one."""
        self.index.remove(name)
        self._files.remove(index_file(name))  # first, so that no index is ever without its vectors
        self._files.remove(vectors_file(name))

    def set_aside(self, name: str, damage: Damage) -> None:
        """Give the files of a damaged shard other names, and warn; its images are new ones from now on.

        Raises StoreError: this process has just written the shard, and would write others in vain.
        """
        if name in self._written:
            raise StoreError(f"{str(self._files.place)!r}: {damage}, although just written; check the disk")
        if self.read_only:
            logger.warning("%s: shard %s is damaged (%s)", self._files.place, name, damage)
        else:
            # The vectors first: without an index, the next process would remove them.
            names = [self._files.set_aside(file(name)) for file in (vectors_file, index_file)]
            logger.warning(
                "%s: shard %s is damaged (%s); set aside as %s, its images are computed again",
                *(self._files.place, name, damage, " and ".join(new for new in names if new)),
            )
        if name in self.index:
            self.index.drop(name)
        self._small = [small for small in self._small if small != name]

    def remove_leftovers(self) -> None:
        """Remove vectors without an index: a killed process was about to write it, or to remove them.

        Behind a URL they may be those of another process, which is about to write it now.
        """
        if not self._files.one_writer:
            return
        indexed = set(shard_names(self._files))
        leftovers = [file for file in self._files.names("vectors-*.npy") if shard_of(file) not in indexed]
        for file in (*self._files.names(f"{DRIVEN}*"), *leftovers):
            self._files.remove(file)


def adopt_parts(shards: StoreShards, folder: Path, fingerprint: str) -> None:
    """Take over what other processes of a run, also of one that was killed, have put into stores of their own.

    Raises StoreError where one of them is still at work; OSError.
    """
    parts = folder.parent.glob(f"{PART}*/{folder.name}")
    for place in sorted(parts, key=lambda place: _number_of(place.parent.name)):
        files = LocalFiles(place)
        files.take(SECONDS_FOR_PARTS)  # its process may be about to notice that nobody waits for it any more
        try:
            part = StoreShards(files, fingerprint)
            part.remove_leftovers()
            part.load()
            shards.take_over(part)
        finally:
            files.let_go()
        if not files.names("*.damaged*"):
            shutil.rmtree(place, ignore_errors=True)
    for empty in folder.parent.glob(f"{PART}*"):  # also of a process that got no further than to make it
        with suppress(OSError):
            empty.rmdir()  # where no other layer's store is left in it


def _number_of(part: str) -> int:
    digits = re.findall(r"\d+", part)
    return int(digits[-1]) if digits else -1
