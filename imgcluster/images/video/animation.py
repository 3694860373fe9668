"""Moving GIF and WebP by Pillow: frames as composed onto the canvas, over white."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from imgcluster.errors import ImageError
from imgcluster.images.transparency import ground_of, laid_over
from imgcluster.images.video.pixels import MAX_FRAME_PIXELS, TOO_LARGE
from imgcluster.images.video.track import Track

TICK = Fraction(1, 1000)  # second
MAX_HASTE_MS, SLOWED_MS = 10, 100  # browsers show frames of so short a duration for this long
DAMAGE = (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError)  # what Pillow raises for damaged files


class Animation:
    """An open GIF or WebP. Raises ImageError where it cannot be opened; the text is the reason alone."""

    damaged = 0

    def __init__(self, place: str) -> None:
        from PIL import Image

        try:
            self._image: Any = Image.open(place)
        except (*DAMAGE, Image.DecompressionBombError):
            raise ImageError("truncated or damaged animation") from None
        if self._image.width * self._image.height > MAX_FRAME_PIXELS:
            raise ImageError(TOO_LARGE)

    @property
    def is_moving(self) -> bool:
        """Whether it has several frames."""
        try:
            return bool(getattr(self._image, "is_animated", False))
        except DAMAGE:
            return False

    def track(self) -> Track:
        """Return the times of all frames, by their durations. Raises ImageError where there is no frame."""
        times: list[int] = []
        end, note = 0, ""
        while True:
            try:
                self._image.seek(len(times))
                self._image.load()
            except EOFError:
                break
            except DAMAGE:
                note = f"breaks off after {len(times):,} frames"
                break
            times.append(end)
            duration = round(self._image.info.get("duration") or 0)
            end += SLOWED_MS if duration <= MAX_HASTE_MS else duration
        if not times:
            raise ImageError("truncated or damaged animation")
        shown = np.array(times, np.int64)
        return Track(shown, np.zeros_like(shown), TICK, 0, end, note=note)

    def frames(self, track: Track, key: int) -> Iterator[tuple[int, Any]]:
        """Yield the frames with their times, from the first one on."""
        for number, time in enumerate(track.times.tolist()):
            try:
                self._image.seek(number)
                yield time, self._image.convert("RGBA")
            except DAMAGE:
                return

    def rgb(self, frame: Any) -> np.ndarray:
        """Return a frame as (height, width, 3) RGB uint8."""
        pixels = np.asarray(frame)
        colour, alpha = pixels[..., :3], pixels[..., 3]
        if alpha.min() == 255:
            return np.ascontiguousarray(colour)
        return laid_over(colour, alpha[..., None], ground_of(colour, alpha))

    def nbytes(self, frame: Any) -> int:
        """Return the memory of a frame."""
        return int(4 * frame.width * frame.height)
