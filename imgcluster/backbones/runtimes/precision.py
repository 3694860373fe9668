"""Precision by evidence: how far bfloat16 may take features from fp32, and what was found. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from imgcluster.backbones.runtimes.base import Blocks
from imgcluster.backbones.runtimes.openvino_package import Unsupported

# The bounds separate what is known of trained weights, EfficientNet-Lite0 on photographs, stage frames and digits: in
# bfloat16 throughout, the smallest cosine is 0.985 to 0.9976 and 0.93 to 0.98 of the neighbours stay; with the first 12
# convolutions in fp32 it is 0.9994 or more and 0.96 to 0.99, and the clusters of frames and photographs are fp32's.
MIN_COSINE = 0.999  # smallest cosine of an image's features to those in fp32
MIN_AGREEMENT = 0.95  # mean share of an image's nearest neighbours that are its nearest in fp32 too
NEIGHBORS = 5
EXACT_CONVOLUTIONS = 12  # first convolutions in fp32, the second choice; a fourth of those of EfficientNet-Lite0
IMAGES_COMPARED = 32
IMAGES_READ = 2 * IMAGES_COMPARED  # some cannot be read, or equal others
MIN_IMAGES_COMPARED = 8  # different ones: among fewer, NEIGHBORS would be nearly all others
# Fewest images of a run that are worth a comparison. It costs the network about 48 images' time in fp32 when bfloat16
# is taken at once and 70 when it is not, besides one or two seconds of compiling; bfloat16 saves half of each image's
# time. So it pays from about 150 images on for slow networks, and here for fast ones (5 ms an image) too.
MIN_IMAGES_OF_RUN = 400
TIE = 1e-6  # relative difference of distances that rounding in float32 makes: neighbours as near count as the same

Compute = Callable[[str, int], Blocks]  # precision and number of exact convolutions -> features, (n, dim) a layer


@dataclass(frozen=True)
class Deviation:
    """Deviation of bfloat16 from fp32, the larger one of several layers. exact: first convolutions left in fp32.

    cosine: the smallest over the images. agreement: share of the NEIGHBORS nearest neighbours that are the same.
    """

    exact: int
    cosine: float
    agreement: float

    @property
    def is_tolerable(self) -> bool:
        """Whether clusters of such features can be taken for those of fp32; never with NaN."""
        return self.cosine >= MIN_COSINE and self.agreement >= MIN_AGREEMENT


@dataclass(frozen=True)
class PrecisionCheck:
    """Why `precision: auto` is what it is. images: number of images compared; 0: the store had features already."""

    precision: str
    exact: int
    images: int
    tried: tuple[Deviation, ...] = ()


def check_precision(compute: Compute, images: int) -> PrecisionCheck:
    """Return the fastest precision whose features deviate tolerably from fp32's, which `compute` makes of the images.

    Tried in turn: bfloat16 throughout, then with the first convolutions in fp32. Raises what `compute` raises in fp32.
    """
    wanted = compute("fp32", 0)
    tried = []
    for exact in (0, EXACT_CONVOLUTIONS):
        try:
            found = compute("bf16", exact)
        except Unsupported:  # in this mixture
            continue
        tried.append(deviation(exact, found, wanted))
        if tried[-1].is_tolerable:
            return PrecisionCheck("bf16", exact, images, tuple(tried))
    return PrecisionCheck("fp32", 0, images, tuple(tried))


def deviation(exact: int, found: Blocks, wanted: Blocks) -> Deviation:
    """Return the deviation of features from those in fp32, (n, dim) for each layer, where n > NEIGHBORS."""
    pairs = [(block.astype(np.float64), other.astype(np.float64)) for block, other in zip(found, wanted, strict=True)]
    # The order of arguments to min would decide about NaN; np.min returns it.
    cosine = np.min([_cosines(block, other).min() for block, other in pairs])
    return Deviation(exact, float(cosine), min(_agreement(block, other) for block, other in pairs))


def _cosines(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
    same = (found == wanted).all(axis=1)  # zeros have no direction
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(same, 1.0, (found * wanted).sum(axis=1) / lengths)


def _agreement(found: np.ndarray, wanted: np.ndarray) -> float:
    near, distances = np.argsort(_distances(found), axis=1, kind="stable")[:, :NEIGHBORS], _distances(wanted)
    furthest = np.sort(distances, axis=1)[:, NEIGHBORS - 1 : NEIGHBORS]
    return float((np.take_along_axis(distances, near, axis=1) <= furthest * (1 + TIE)).mean())


def _distances(points: np.ndarray) -> np.ndarray:
    """Return the Euclidean distances of points to each other, (n, n); infinite to themselves."""
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        distances = np.array([np.linalg.norm(points - point, axis=1) for point in points])
    np.fill_diagonal(distances, np.inf)
    return distances
