"""Pairs of images that are copies or show the same scene: candidates by neighbours, verified by their pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from imgcluster.clustering import knn, near_duplicate_cosine
from imgcluster.curation.registration import MIN_CORRELATION, Match, centred, mirrored, register
from imgcluster.curation.same_picture import compare
from imgcluster.errors import ConfigError
from imgcluster.features import unit_length
from imgcluster.utils import in_order

BYTES, PIXELS, SAME, SCENE = LEVELS = ("bytes", "pixels", "same", "scene")  # the closest first
ASKED = {"exact": PIXELS, "same": SAME, "scene": SCENE}  # by `level`: what is found, and all that is closer
NEAR_BY_FEATURES, NEAR_BY_SIGNATURE = 8, 4  # neighbours that are verified
MAX_SIGNATURE_DIFFERENCE = 2.0  # mean grey levels: pictures of equal pixels may be decoded at several sizes
PAIRS_PER_TASK = 256
CANDIDATES_AT_ONCE = 200_000  # a bound of the memory


class Pair(NamedTuple):
    """Two images: their rows, the lower one first, their level, and how alike they are, up to 1."""

    first: int
    second: int
    level: str
    similarity: float


class Pictures(Protocol):
    """What pairs are verified by."""

    def thumbnail(self, row: int, /) -> np.ndarray:
        """Return a picture squashed to a square, (128, 128, 3) RGB uint8."""

    def pixels_digest(self, row: int, /) -> tuple[int, int, str]:
        """Return width, height and a digest of all pixels."""


def check_level(level: str) -> str:
    """Return the farthest level that is asked for. Raises ConfigError."""
    if level not in ASKED:
        raise ConfigError(f"level: {level!r}; allowed: {', '.join(ASKED)}")
    return ASKED[level]


class Verifier:
    """Tells of two images how they are related.

    Args:
        vectors: (n, dim) float32 features; None: there are none that can be compared.
        signatures: (n, 1024) float32.
        digests: of the images' bytes; "" where unknown.
        pictures: thumbnails and pixels by row, read when they are needed.
        level: the farthest that is told, one of ASKED.
    """

    def __init__(
        self,
        vectors: np.ndarray | None,
        signatures: np.ndarray,
        digests: Sequence[str],
        pictures: Pictures,
        level: str,
    ) -> None:
        self.vectors, self.signatures, self.centred = vectors, signatures, centred(signatures)
        self.farthest, self._digests, self._pictures = check_level(level), digests, pictures
        with_scene = self.farthest == SCENE and vectors is not None
        self._least_cosine = near_duplicate_cosine(vectors) if with_scene and vectors is not None else np.inf

    def __call__(self, first: int, second: int) -> Pair | None:
        """Return how two images are related; None where they are not, or farther than is asked for."""
        first, second = sorted((first, second))
        pairs = np.array([[first, second]])
        return self.told(first, second, *([] if self.farthest == PIXELS else self.matches(pairs)[0]))

    def matches(self, pairs: np.ndarray) -> list[list[Match]]:
        """Return where one picture may lie within the other, for each of the pairs, (m, 2) int64."""
        ways = (register(self.centred, pairs, mirror=mirror) for mirror in (False, True))
        return [[match for match in found if match is not None] for found in zip(*ways, strict=True)]

    def told(self, first: int, second: int, *matches: Match) -> Pair | None:
        """Return how two images are related, the lower row first, with what `matches` says of them."""
        if self._digests[first] and self._digests[first] == self._digests[second]:
            return Pair(first, second, BYTES, 1.0)
        if self._have_equal_pixels(first, second):
            return Pair(first, second, PIXELS, 1.0)
        if self.farthest == PIXELS:
            return None
        if (similarity := self._same(matches)) is not None:
            return Pair(first, second, SAME, similarity)
        if self._least_cosine < np.inf and (cosine := self._cosine(first, second)) >= self._least_cosine:
            return Pair(first, second, SCENE, cosine)
        return None

    def _have_equal_pixels(self, first: int, second: int) -> bool:
        if np.abs(self.signatures[first] - self.signatures[second]).mean() > MAX_SIGNATURE_DIFFERENCE:
            return False
        one, other = self._pictures.pixels_digest(first), self._pictures.pixels_digest(second)
        return one == other and bool(one[2])

    def _same(self, matches: Sequence[Match]) -> float | None:
        found = [
            compare(self._pictures.thumbnail(match.part), self._pictures.thumbnail(match.whole), match)
            for match in matches
        ]
        return max((value for value in found if value is not None), default=None)

    def _cosine(self, first: int, second: int) -> float:
        assert self.vectors is not None  # noqa: S101 (or there is no least cosine)
        one, other = unit_length(self.vectors[[first, second]])
        return min(float(one @ other), 1.0)


def find_pairs(verify: Verifier, representatives: np.ndarray, split: int | None = None) -> Iterator[Pair]:
    """Yield the pairs that are related, of distinct images.

    Args:
        verify: tells how two are related.
        representatives: (m,) int64, ascending, a row of each different file.
        split: only pairs of a row below and one from here on; None: all pairs.
    """
    candidates = _candidates(verify, representatives, split)
    for start in range(0, len(candidates), CANDIDATES_AT_ONCE):
        some = candidates[start : start + CANDIDATES_AT_ONCE]
        yield from _verified(verify, some, [()] * len(some) if verify.farthest == PIXELS else verify.matches(some))


def _verified(verify: Verifier, pairs: np.ndarray, matches: Sequence[Sequence[Match]]) -> Iterator[Pair]:
    def told(part: slice) -> list[Pair]:
        several = zip(pairs[part].tolist(), matches[part], strict=True)
        found = (verify.told(first, second, *some) for (first, second), some in several)
        return [pair for pair in found if pair is not None]

    for some in in_order(
        told, [slice(start, start + PAIRS_PER_TASK) for start in range(0, len(pairs), PAIRS_PER_TASK)]
    ):
        yield from some


def _candidates(verify: Verifier, rows: np.ndarray, split: int | None) -> np.ndarray:
    """Return pairs of rows that may be related, (p, 2) int64: near by features, or by signature, also mirrored."""
    pictures = _taken(verify.centred, rows)
    ways: list[tuple[np.ndarray, np.ndarray | None, int, float]] = [
        (pictures, None, NEAR_BY_SIGNATURE, MIN_CORRELATION)
    ]
    if verify.farthest != PIXELS:
        ways.append((pictures, mirrored(pictures), NEAR_BY_SIGNATURE, MIN_CORRELATION))
    if verify.vectors is not None:
        ways.append((_taken(verify.vectors, rows), None, NEAR_BY_FEATURES, -np.inf))
    found = [_near(*way, rows=rows, split=split) for way in ways]
    return np.unique(np.concatenate([np.empty((0, 2), np.int64), *found]), axis=0)


def _taken(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return rows of values; not to be written to, all of them are the values themselves."""
    return values if len(rows) == len(values) else values[rows]


def _near(
    points: np.ndarray,
    queries: np.ndarray | None,
    k: int,
    least_cosine: float,
    *,
    rows: np.ndarray,
    split: int | None,
) -> np.ndarray:
    """Return pairs of rows, (p, 2) int64, the lower one first, of which one is among the k nearest of the other."""
    asking = rows
    if split is not None:
        place = int(np.searchsorted(rows, split))
        queries = (points if queries is None else queries)[place:]
        points, asking = points[:place], rows[place:]
    if not (len(points) and len(asking)):
        return np.empty((0, 2), np.int64)
    near, distances = knn(points, k, "cosine", queries)
    one, place_of_other = np.nonzero(distances <= 1 - least_cosine)
    pairs = np.column_stack([asking[one], rows[near[one, place_of_other]]])
    return np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
