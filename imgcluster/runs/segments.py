"""Segments of videos: consecutive frames in one cluster, as segments.csv and a submission by segment have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from imgcluster.images import VideoFrame, split_frame
from imgcluster.types import ImageFile

COLUMNS = ("video", "start", "end", "cluster")


@dataclass(frozen=True)
class Segment:
    """start, end: when its first frame appears and the first one of the next segment, in seconds as in ids."""

    video: str
    start: str
    end: str
    cluster: int


def segments_of(images: Sequence[ImageFile], clusters: Sequence[int | None]) -> list[Segment]:
    """Return the segments of all videos among images, by time; videos in the order of the images.

    clusters: of each image; None: it failed, and the segment goes on over it.
    """
    frames: dict[str, list[tuple[str, int, VideoFrame]]] = {}
    for image, cluster in zip(images, clusters, strict=True):
        if isinstance(image.path, VideoFrame) and cluster is not None:
            video, _ = split_frame(image.id) or (image.path.video.place, "")
            frames.setdefault(video, []).append((image.path.since, cluster, image.path))
    return [segment for video, found in frames.items() for segment in _of_one(video, found)]


def _of_one(video: str, frames: list[tuple[str, int, VideoFrame]]) -> Iterator[Segment]:
    ordered = sorted(frames, key=lambda frame: float(frame[0]))
    runs = [(next(run)[0], cluster) for cluster, run in groupby(ordered, key=itemgetter(1))]
    ends = [*(start for start, _ in runs[1:]), ordered[-1][2].video.end]
    for (start, cluster), end in zip(runs, ends, strict=True):
        yield Segment(video, start, end, cluster)
