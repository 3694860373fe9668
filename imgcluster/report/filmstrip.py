"""Filmstrips: the segments of each video, in order, with their times and a frame from the middle of each."""

from __future__ import annotations

import csv
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgcluster.config import RunFiles
from imgcluster.images import split_frame

MAX_SEGMENTS = 600  # in the page


@dataclass(frozen=True)
class Shown:
    """A segment: its cluster, start and end in seconds, and the row of the frame in its middle."""

    cluster: int
    start: float
    end: float
    row: int

    @property
    def times(self) -> str:
        """Start and end, as a viewer shows them."""
        return f"{_clock(self.start)}–{_clock(self.end)}"


@dataclass(frozen=True)
class Filmstrips:
    """By video, its segments; total: of all videos, also of those that are not shown."""

    videos: dict[str, list[Shown]]
    total: int

    @property
    def shown(self) -> int:
        """The number of segments in the page."""
        return sum(map(len, self.videos.values()))


def filmstrips(run_folder: Path, ids: Sequence[str], failed: Sequence[bool]) -> Filmstrips:
    """Return the filmstrips of a run, from its segments.csv; none where there is no such file.

    ids, failed: of the rows of clusters.csv.
    """
    try:
        text = (run_folder / RunFiles.SEGMENTS).read_text(encoding="utf-8")
    except OSError:
        return Filmstrips({}, 0)
    frames = _frames(ids, failed)
    rows = list(csv.DictReader(text.splitlines()))
    videos: dict[str, list[Shown]] = {}
    for row in rows[:MAX_SEGMENTS]:
        start, end = float(row["start"]), float(row["end"])
        middle = _between(frames.get(row["video"], []), start, end)
        if middle is not None:
            videos.setdefault(row["video"], []).append(Shown(int(row["cluster"]), start, end, middle))
    return Filmstrips(videos, len(rows))


def _frames(ids: Sequence[str], failed: Sequence[bool]) -> dict[str, list[tuple[float, int]]]:
    """Return the time and the row of the frames of each video, by time."""
    frames: dict[str, list[tuple[float, int]]] = {}
    for row, (id, is_failed) in enumerate(zip(ids, failed, strict=True)):
        if not is_failed and (found := split_frame(id)) is not None:
            frames.setdefault(found[0], []).append((float(found[1]), row))
    return {video: sorted(found) for video, found in frames.items()}


def _between(frames: list[tuple[float, int]], start: float, end: float) -> int | None:
    """Return the row of the frame in the middle of those from a start up to an end."""
    first, last = bisect_left(frames, (start, -1)), bisect_left(frames, (end, -1))
    return frames[(first + last) // 2][1] if first < last else None


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"
