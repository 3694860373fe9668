"""One reader for each video: it decodes forward once, and hands out the frames that threads ask for nearly in order."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, Protocol

import numpy as np

from imgcluster.errors import ImageError
from imgcluster.images.video.animation import Animation
from imgcluster.images.video.movie import Movie
from imgcluster.images.video.names import MOVING_SUFFIXES
from imgcluster.images.video.track import Track
from imgcluster.types import Stamp

logger = logging.getLogger(__name__)

MAX_OPEN = 4  # videos: those in which threads are at a time
MAX_KEPT_BYTES = 2**27  # of decoded frames that nobody has asked for yet
MIN_SKIPPED = 100  # frames: from so many on it is quicker to go to a key frame than to decode them
KEPT_TRACKS = 64
MISSING = "damaged: no frame can be decoded at this time"


class Decoder(Protocol):
    """An open video. damaged: how many packets and frames could not be used since the last start."""

    damaged: int

    def track(self) -> Track:
        """Return the times of all frames. Raises ImageError where there is none."""

    def frames(self, track: Track, key: int) -> Iterator[tuple[int, Any]]:
        """Yield the frames from a key frame on in the order in which they are shown, each with its time."""

    def rgb(self, frame: Any) -> np.ndarray:
        """Return a frame as (height, width, 3) RGB uint8. Raises ImageError."""

    def nbytes(self, frame: Any) -> int:
        """Return the memory of a frame before `rgb`."""


def open_decoder(place: str) -> Decoder:
    """Open a video. Raises ImageError, whose text is the reason alone."""
    return Animation(place) if PurePosixPath(place).suffix.lower() in MOVING_SUFFIXES else Movie(place)


@lru_cache(KEPT_TRACKS)
def track_of(place: str, stamp: Stamp | None) -> Track:
    """Return the frames of a video as it was at a stamp. Raises ImageError."""
    return open_decoder(place).track()


class Reader:
    """Decodes one video. wanted: the times of the frames that will be asked for, in ticks.

    Frames that are wanted and passed on the way to another one are kept, up to MAX_KEPT_BYTES. A frame that is neither
    ahead nor kept is reached from the key frame before it.
    """

    def __init__(self, place: str, track: Track, wanted: Iterable[int]) -> None:
        self._name = PurePosixPath(place).name
        self._decoder = open_decoder(place)
        self._track, self._is_wanted = track, frozenset(wanted)
        self._wanted = np.array(sorted(self._is_wanted), np.int64)
        self._lock = threading.Lock()
        self._frames: Iterator[tuple[int, Any]] = iter(())
        self._at: float = np.inf  # the time of the last frame decoded; the end is where a start is needed
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self._lost: dict[int, str] = {}

    def pixels(self, number: int) -> np.ndarray:
        """Return a frame, (height, width, 3) RGB uint8. Raises ImageError where there is none at its time."""
        with self._lock:
            frame = self._frame(int(self._track.times[number]), int(self._track.keys[number]))
        return self._decoder.rgb(frame)

    def _frame(self, time: int, key: int) -> Any:
        if time in self._kept:
            return self._kept.pop(time)
        if time not in self._lost:
            if self._at >= time or self._frames_up_to(key) > MIN_SKIPPED:
                self._frames, self._at = self._decoder.frames(self._track, key), key - 1
            if (found := self._decoded_up_to(time)) is not None:
                return found
        raise ImageError(self._lost.get(time, MISSING))

    def _frames_up_to(self, key: int) -> int:
        """Return how many frames would be decoded to get to a key frame."""
        return int(np.searchsorted(self._track.times, key) - np.searchsorted(self._track.times, self._at, "right"))

    def _decoded_up_to(self, time: int) -> Any:
        """Decode up to a frame and return it; None where none is shown at this time."""
        for at, frame in self._frames:
            if at <= self._at:
                continue  # before the key frame, or out of order
            self._note_lost(at, MISSING)
            self._at = at
            if at == time:
                return frame
            if at in self._is_wanted:
                self._keep(at, frame)
            if at > time:
                return None
        count = int(np.searchsorted(self._track.times, self._at, "right"))
        self._note_lost(np.inf, f"the video breaks off after {count:,} frames" if count else MISSING)
        self._at = np.inf
        return None

    def _keep(self, time: int, frame: Any) -> None:
        self._kept[time] = frame
        while len(self._kept) > 1 and len(self._kept) * self._decoder.nbytes(frame) > MAX_KEPT_BYTES:
            self._kept.popitem(last=False)

    def _note_lost(self, until: float, reason: str) -> None:
        """Note the wanted frames that did not come between the last one and another time."""
        between = slice(*np.searchsorted(self._wanted, (self._at, until), "right"))
        lost = [time for time in self._wanted[between].tolist() if time != until]
        self._lost.update(dict.fromkeys(lost, reason))
        damaged = self._decoder.damaged
        if damaged and self._at < self._wanted[-1] <= until:
            logger.warning("%r: skipped %d damaged packet%s", self._name, damaged, "" if damaged == 1 else "s")
