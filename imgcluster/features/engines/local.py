"""Extraction in this process: reading, computing and writing at the same time, each in threads of its own.

    readers -> batches -> the runtime, some of them in flight -> the writer -> the store

The queues between them are bounded, so that memory does not grow with the number of images.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from typing_extensions import override

from imgcluster.backbones import Blocks, Runtime
from imgcluster.config import Recipe
from imgcluster.errors import ImageError
from imgcluster.features.store.index import Stamps, stamps_of
from imgcluster.features.store.keys import known_as_read_before, known_keys, read_with_key
from imgcluster.features.store.layers import VectorStore
from imgcluster.features.store.store import ImageKey
from imgcluster.images import (
    Batch,
    Marks,
    Pixels,
    VideoFrame,
    decode_picture,
    in_reading_order,
    measure,
    read_batches,
    readers_for,
    reads_as_before,
    ready_to_prepare,
    room_for,
)
from imgcluster.types import Failure, ImageFile, ImagePath, ImageSubset
from imgcluster.utils import Advance, LazySequence, Stopwatch, ran_out

QUEUED_BATCHES = 8
IMAGES_LOOKED_UP = 10_000  # at a time: their keys are in memory together
NOT_FINITE = "its features are not finite (NaN or infinity)"


class Item(NamedTuple):
    """An image to compute, and its place in the list of a run."""

    place: int
    image: ImageFile

    @property
    def path(self) -> ImagePath:
        """The location."""
        return self.image.path


class Work:
    """What has become of each image so far: its vectors are in the store, or it has failed, or neither yet.

    images: those of a run, which this refers to by their places. todo: the places of those to compute, (m,) uint32, in
    the order that is fastest to read. stamps: (n, 2) uint64, by which the store finds those that are done; is_done:
    (n,) bool. failures: by place.
    """

    def __init__(self, images: Sequence[ImageFile], store: VectorStore, on_error: str) -> None:
        self.images = images
        self.store = store
        self.on_error = on_error
        self.stopwatch = Stopwatch()
        self.stamps, self.is_done = np.zeros((len(images), 2), np.uint64), np.zeros(len(images), bool)
        self.failures: dict[int, Failure] = {}
        self.computed = 0
        self.look_up(range(len(images)))
        self.todo = np.flatnonzero(~self.is_done).astype(np.uint32)
        items = _Items(images, self.todo)
        if (ordered := in_reading_order(items)) is not items:
            self.todo = np.array([item.place for item in ordered], np.uint32)

    def look_up(self, places: Sequence[int]) -> None:
        """Put on record those of the images whose vectors are in the store under what is known of their files."""
        for start in range(0, len(places), IMAGES_LOOKED_UP):
            part = places[start : start + IMAGES_LOOKED_UP]
            found: dict[int, ImageKey] = {}
            paths = [self.images[place].path for place in part]
            for place, path, key in zip(part, paths, known_keys(paths), strict=True):
                if key is None or (marks := self.store.marks(key)) is None:
                    continue
                if marks & Marks.BY_HEADER or known_as_read_before(path, marks):
                    found[place] = key
            self.note([*found], stamps_of(found.values()))

    def note(self, places: Sequence[int], stamps: Stamps) -> None:
        """Put on record that the vectors of images are in the store, under these stamps."""
        self.stamps[places], self.is_done[places] = stamps, True

    @property
    def images_to_do(self) -> Sequence[ImageFile]:
        """The images to compute."""
        return ImageSubset(self.images, self.todo)

    @property
    def reused(self) -> int:
        """How many vectors were in the store already."""
        return int(self.is_done.sum()) - self.computed

    @property
    def readable(self) -> Sequence[ImageFile]:
        """The images that have vectors in the store, in their order."""
        if self.is_done.all():
            return self.images
        return ImageSubset(self.images, np.flatnonzero(self.is_done).astype(np.uint32))

    @property
    def readable_stamps(self) -> Stamps:
        """The stamps of the readable images."""
        return self.stamps if self.is_done.all() else self.stamps[self.is_done]

    @property
    def lost(self) -> int:
        """How many images have neither vectors nor a reason why not."""
        failed = sum(not self.is_done[place] for place in self.failures)
        return len(self.images) - int(self.is_done.sum()) - failed

    def do(self, runtime: Runtime, recipe: Recipe, batch_size: int, advance: Advance) -> None:
        """Compute what is to do. Raises ImageError with `on_error="stop"`, and what the store or the network raise."""
        fill = partial(self._fill, runtime, recipe)
        with _Writer(self, advance) as writer:
            in_flight: deque[tuple[Batch[_Slot], Callable[[], Blocks]]] = deque()
            items = _Items(self.images, self.todo)
            readers = readers_for(item.path for item in items)
            ready_to_prepare(len(items), recipe)
            batches = read_batches(items, fill, recipe, batch_size, runtime, readers=readers)
            try:
                while (batch := self._next(batches)) is not None:
                    in_flight.append((batch, self._start(batch, runtime)))
                    if len(in_flight) >= runtime.depth:
                        writer.put(self._finish(*in_flight.popleft()))
                while in_flight:
                    writer.put(self._finish(*in_flight.popleft()))
            finally:
                batches.close()

    def take_over(
        self, keys: dict[int, ImageKey], computed: int, reasons: dict[int, str], seconds: dict[str, float]
    ) -> None:
        """Put on record the work of another process, whose vectors are in the store by now.

        keys: by the images' places. computed: images that went through the network. reasons: why images failed, by
        place. seconds: time of each stage.
        """
        self.note([*keys], stamps_of(keys.values()))
        self.computed += computed
        self.failures.update({place: Failure(self.images[place], reason) for place, reason in reasons.items()})
        for stage, spent in seconds.items():
            self.stopwatch.add(stage, spent)

    def _fill(self, runtime: Runtime, recipe: Recipe, pixels: Pixels, item: Item) -> _Slot:
        """Read an image into its part of a batch. Called by the readers."""
        try:
            with self.stopwatch.timed("reading files"):
                data, key = read_with_key(item.path)
            marks = self.store.marks(key)
            if marks and (marks & Marks.BY_HEADER or reads_as_before(data)):
                return _Slot(item, replace(key, marks=marks | Marks.BY_HEADER), known=True)
            with room_for(data):
                with self.stopwatch.timed("decoding"):
                    picture = decode_picture(data, recipe.least, recipe.reading)
                measured = None
                if not self.store.is_measured(key):
                    with self.stopwatch.timed("measuring"):
                        is_frame = isinstance(item.path, VideoFrame)
                        measured = measure(picture.pixels, data, picture.transparency, is_frame=is_frame)
                with self.stopwatch.timed("cropping and resizing"):
                    runtime.prepare(picture.pixels, recipe, pixels)
            # The vector of an earlier version is kept where that has seen the same pixels.
            same = marks == 0 and Marks.ON_GREY not in picture.marks and reads_as_before(data)
            return _Slot(item, replace(key, marks=picture.marks), known=same, measured=measured)
        except ImageError as error:
            return _Slot(item, reason=str(error))
        except (MemoryError, RuntimeError) as error:
            if not ran_out(error):
                raise
            return _Slot(item, reason="does not fit into memory")

    def _next(self, batches: Any) -> Batch[_Slot] | None:
        with self.stopwatch.timed("waiting for images"):
            return next(batches, None)

    def _start(self, batch: Batch[_Slot], runtime: Runtime) -> Callable[[], Blocks]:
        if not any(slot.is_fresh for slot in batch.slots):
            return list
        with self.stopwatch.timed("network"):
            return runtime.start(batch.pixels)

    def _finish(self, batch: Batch[_Slot], result: Callable[[], Blocks]) -> _Computed:
        with self.stopwatch.timed("network"):
            return batch.slots, result()

    def keep(self, batches: list[_Computed]) -> None:
        """Put the vectors of batches into the store, and their failures on record. Called by the writer alone."""
        keys: dict[int, ImageKey] = {}
        blocks_of: dict[int, Blocks] = {}
        measured: dict[int, np.ndarray | None] = {}
        for slots, layers in batches:
            for row, slot in enumerate(slots):
                blocks = [layer[row] for layer in layers] if slot.is_fresh else []
                if slot.key is None:
                    self._fail(slot.item, slot.reason)
                elif not all(np.isfinite(block).all() for block in blocks):
                    self._fail(slot.item, NOT_FINITE)
                else:  # without blocks: the bytes of an image that was moved or renamed
                    keys[slot.item.place] = slot.key
                    measured[slot.item.place] = slot.measured
                    blocks_of[slot.item.place] = blocks or [block[0] for block in self.store.vectors([slot.key])]
                    self.computed += slot.is_fresh
        if keys:
            blocks = [np.stack(rows) for rows in zip(*blocks_of.values(), strict=True)]
            self.store.append(list(keys.values()), blocks, list(measured.values()))
        self.note([*keys], stamps_of(keys.values()))

    def _fail(self, item: Item, reason: str) -> None:
        if self.on_error == "stop":
            raise ImageError(f"{str(item.path)!r}: {reason} (images.on_error is stop)")
        self.failures[item.place] = Failure(item.image, reason)


class _Items(LazySequence[Item]):
    """The images at some places of a list, (n,) int, as items."""

    def __init__(self, images: Sequence[ImageFile], places: np.ndarray) -> None:
        self._images, self._places = images, places

    def __len__(self) -> int:
        return len(self._places)

    @override
    def item(self, place: int) -> Item:
        found = self._places.item(place)
        return Item(found, self._images[found])


_Computed = tuple[list["_Slot"], Blocks]  # a batch; without blocks where nothing of it had to be computed


@dataclass(frozen=True)
class _Slot:
    """What became of one image: pixels in the batch, bytes the store knows already, or a reason why neither.

    measured: its measures, where they are new.
    """

    item: Item
    key: ImageKey | None = None
    known: bool = False
    reason: str = ""
    measured: np.ndarray | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether the network has to see it."""
        return self.key is not None and not self.known


class _Writer:
    """A thread that keeps batches, several together where they come quickly.

    What goes wrong there is raised by the next `put`, or by the end of the `with`.
    """

    def __init__(self, work: Work, advance: Advance) -> None:
        self._work = work
        self._advance = advance
        self._queue: queue.Queue[_Computed | None] = queue.Queue(QUEUED_BATCHES)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._write_all, name="imgcluster-writer", daemon=True)

    def put(self, batch: _Computed) -> None:
        """Hand over a batch; waits where the disk is behind."""
        with self._work.stopwatch.timed("waiting for the disk"):
            self._queue.put(batch)
        if self._error is not None:
            raise self._error

    def __enter__(self) -> _Writer:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._queue.put(None)
        self._thread.join()
        if self._error is not None and self._error not in raised:
            raise self._error

    def _write_all(self) -> None:
        held: list[_Computed] = []
        written, ended, pause = time.monotonic(), False, self._work.store.seconds_between_writes
        while not ended:
            try:
                batch = self._queue.get(timeout=pause)
                ended = batch is None
                held += [batch] if batch is not None else []
            except queue.Empty:
                pass
            if ended or time.monotonic() - written >= pause:
                self._write(held)
                held, written = [], time.monotonic()

    def _write(self, held: list[_Computed]) -> None:
        if self._error is not None or not held:
            return  # after an error the queue is still emptied: whoever puts must not wait for ever
        try:
            with self._work.stopwatch.timed("writing"):
                self._work.keep(held)
            self._advance(
                sum(len(slots) for slots, _ in held)
                # What it raises, where nobody reads the progress any more, ends the run as well.
            )
        except BaseException as error:  # raised in the thread that waits for this one
            self._error = error
