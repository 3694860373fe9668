"""Times of streams that were joined, so that they begin anew in the middle of a file."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

MAX_JUMP_SECONDS = 10  # as ffmpeg's -dts_delta_threshold
MAX_STEP_BACK_SECONDS = Fraction(1, 10)


class JoinedTimes:
    """Shifts times so that those of each joined stream go on after the end of the one before.

    The rule of ffmpeg (`ts_discontinuity_process` in fftools/ffmpeg_demux.c): a decoding time that steps back, or jumps
    by more than ten seconds, is taken for the one that was due.
    """

    def __init__(self, tick: Fraction, frame: Fraction) -> None:
        self._jump, self._step_back, self._frame = MAX_JUMP_SECONDS / tick, MAX_STEP_BACK_SECONDS / tick, frame
        self._last: int | None = None
        self._due = 0
        self._offset = 0

    @classmethod
    def of(cls, container: Any, stream: Any) -> JoinedTimes:
        """Return that of a stream; of containers whose times may not begin anew, one that changes nothing."""
        from av.format import Flags

        times = cls(stream.time_base, 1 / (Fraction(stream.average_rate or 25) * stream.time_base))
        if not container.format.flags & Flags.ts_discont.value:
            times._jump = times._step_back = Fraction(2**63)
        return times

    @property
    def has_jumped(self) -> bool:
        """Whether any time has been shifted."""
        return self._offset != 0

    def mend(self, packet: Any) -> None:
        """Shift the times of the next packet where needed."""
        if packet.dts is None:
            return
        time = packet.dts + self._offset
        if self._last is not None and (abs(time - self._due) > self._jump or time + self._step_back < self._last):
            self._offset += self._due - time
            time = self._due
        if self._offset:
            packet.dts, packet.pts = time, None if packet.pts is None else packet.pts + self._offset
        self._last, self._due = time, time + (packet.duration or round(self._frame))
