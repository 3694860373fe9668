"""The times at which the frames of a video are shown, and the choice of frames by them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import floor
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from imgcluster.config import VideoSampling


DIGITS = (3, 6, 9)  # decimals of a time in an id: as many as tell all frames of a video apart


@dataclass(frozen=True)
class Track:
    """The frames of a video in the order in which they are shown.

    times: (n,) int64, when each frame appears, in ticks; ascending and distinct. keys: (n,) int64, the time of the key
    frame from which each can be decoded. tick: in seconds. origin: the time that a viewer calls 0, at or before the
    first frame. end: when the last frame disappears. is_counted: the decoder has no times for the frames, which come in
    their order. note: what a person should know of the file.
    """

    times: np.ndarray
    keys: np.ndarray
    tick: Fraction
    origin: int
    end: int
    is_counted: bool = False
    note: str = ""

    @cached_property
    def digits(self) -> int:
        """The decimals of times in ids."""
        apart = (each for each in DIGITS if len(np.unique(self._labels(self.times, each))) == len(self.times))
        return next(apart, DIGITS[-1])

    @cached_property
    def texts(self) -> list[str]:
        """The time of each frame in seconds, as ids have it."""
        return self._texts(self.times)

    @property
    def end_text(self) -> str:
        """The end in seconds, as ids have times."""
        return self._texts(np.array([self.end]))[0]

    def _texts(self, times: np.ndarray) -> list[str]:
        unit = 10**self.digits
        labels = self._labels(times, self.digits).tolist()
        return [f"{label // unit}.{label % unit:0{self.digits}}" for label in labels]

    @property
    def seconds(self) -> float:
        """How long the video is shown."""
        return float((self.end - int(self.times[0])) * self.tick)

    def shown_at(self, text: str) -> int:
        """Return the number of the frame on the screen at a time from an id; the first one before it appears."""
        label = floor(Fraction(text) * 10**self.digits)
        return max(0, int(np.searchsorted(self._shown_from, label, "right")) - 1)

    def is_over_at(self, text: str) -> bool:
        """Tell whether the last frame has gone at a time in seconds; it has not at the time that its own id has."""
        label = floor(Fraction(text) * 10**self.digits)
        return bool(label > self._shown_from[-1] and label >= self._labels(np.array([self.end]), self.digits)[0])

    def choose(self, sampling: VideoSampling) -> list[int]:
        """Return the numbers of the frames to take, ascending: those on the screen at the times asked for."""
        if sampling.frames == "all" or (sampling.frames or 0) >= len(self.times):
            return list(range(len(self.times)))
        if sampling.step is not None:
            return self._each(sampling.step / self.tick)
        first, count = int(self.times[0]), int(sampling.frames or 1)
        length = Fraction(self.end - first)
        asked = [first + floor(length * (2 * number + 1) / (2 * count)) for number in range(count)]
        numbers = np.searchsorted(self.times, np.array(asked, np.int64), "right") - 1
        return [int(number) for number in np.unique(numbers)]

    def _each(self, step: Fraction) -> list[int]:
        """Return the frames on the screen at time 0 and at each multiple of a step, in ticks.

        By frame, since a damaged file may claim to last for ages.
        """
        starts = (np.append(self.times, self.end) - self.origin).astype(object)
        multiples = -(-starts * step.denominator // step.numerator)  # the first one at or after each start
        on_screen = multiples[1:] > multiples[:-1]
        on_screen[0] = True  # also where it appears after time 0
        return [int(number) for number in np.flatnonzero(on_screen)]

    @cached_property
    def _shown_from(self) -> np.ndarray:
        """When each frame appears, (n,) int64, in units of the last decimal. Kept: it is asked for with each frame."""
        return self._labels(self.times, self.digits)

    def _labels(self, times: np.ndarray, digits: int) -> np.ndarray:
        """Return times in units of the last decimal, rounded half up, (n,) int64."""
        numerator, denominator = (self.tick * 10**digits).as_integer_ratio()
        exact = (times - self.origin).astype(object) * (2 * numerator) + denominator
        return np.asarray(exact // (2 * denominator), np.int64)
