"""Shots of videos: cuts by the distance of consecutive frames' features; the middle frame stands for the shot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from imgcluster.features.result import Features
from imgcluster.images import VideoFrame
from imgcluster.types import ImageFile
from imgcluster.utils import fingerprint_of

# Cosine distances. Within a shot they seldom reach 0.1; frames of unrelated scenes are 0.7 apart and more.
CUT, LEAST = 0.35, 0.1
RATIO = 3.0  # between a cut and the largest other distance near it
REACH = 2  # distances on each side


def shots_of(features: Features) -> Features:
    """Return the features of the frames that stand for the shots of videos, and of all other images."""
    parts = np.split(np.arange(len(features.images)), features.starts[1:])
    kept: list[int] = []
    images: list[ImageFile] = []
    for rows in parts if len(features.starts) else []:
        if not isinstance(features.images[rows[0]].path, VideoFrame):
            kept += rows.tolist()
            images += [features.images[row] for row in rows]
            continue
        for first, last in _shots(features.vectors[rows]):
            kept.append(int(rows[(first + last) // 2]))
            images.append(_standing_for(features.images[kept[-1]], features.images[rows[first]]))
    if not kept:
        return features
    return replace(
        features,
        images=images,
        vectors=np.ascontiguousarray(features.vectors[kept]),
        remarks={image: features.remarks[image] for image in images if image in features.remarks},
        notes=[*features.notes, _note(features.images, images)],
        stamps=None if features.stamps is None else features.stamps[kept],
        content=f"{features.content} {fingerprint_of(kept)}" if features.content else "",
    )


def _note(images: Sequence[ImageFile], kept: Sequence[ImageFile]) -> str:
    compared, taken = ([each.path for each in some if isinstance(each.path, VideoFrame)] for some in (images, kept))
    videos = len({frame.video for frame in taken})
    where = f"{videos:,} video{'s' * (videos != 1)}"
    return f"shots: {len(taken):,} in {where}; took the middle frame of each, of {len(compared):,} compared"


def only_shots(images: Sequence[ImageFile], features: Features) -> list[ImageFile]:
    """Return the images of a run that stand for shots, and those that failed."""
    kept = {image: image for image in [*features.images, *(failure.image for failure in features.failures)]}
    return [kept[image] for image in images if image in kept]


def cuts(vectors: np.ndarray) -> np.ndarray:
    """Return the rows of (n, dim) with which a new shot begins, (m,) int64, without the first one.

    A cosine distance of CUT or more between neighbours is a cut; so is one of LEAST or more that is RATIO times the
    largest other one near it: the sliding window of Yeo and Liu, Rapid Scene Analysis on Compressed Video, IEEE
    Transactions on Circuits and Systems for Video Technology 5(6), 1995, section III.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    distance = 1 - np.einsum("ij,ij->i", unit[1:], unit[:-1], dtype=np.float64)
    padded = np.pad(distance, REACH)
    sides = [padded[at : at + len(distance)] for at in range(2 * REACH + 1) if at != REACH]
    stands_out = (distance >= LEAST) & (distance >= RATIO * np.maximum.reduce(sides))
    return np.flatnonzero((distance >= CUT) | stands_out) + 1


def _shots(vectors: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield the first and the last row of each shot."""
    edges = [0, *cuts(vectors).tolist(), len(vectors)]
    yield from zip(edges[:-1], (edge - 1 for edge in edges[1:]), strict=True)


def _standing_for(image: ImageFile, first: ImageFile) -> ImageFile:
    if isinstance(image.path, VideoFrame) and isinstance(first.path, VideoFrame):
        return replace(image, path=replace(image.path, shot=first.path.time))
    return image
