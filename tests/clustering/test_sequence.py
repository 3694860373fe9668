"""Frames in order: the best segments by trying all, and labels that change seldom."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from imgcluster.clustering.cache import KeptClusters
from imgcluster.clustering.cluster import cluster_features
from imgcluster.clustering.sequence import segments, smoothed
from imgcluster.config.loader import ClustersConfig
from imgcluster.errors import ClusteringError
from imgcluster.features import Features
from imgcluster.images.video.frames import VideoFile, VideoFrame
from imgcluster.types import ImageFile, Stamp

STAGES = np.repeat([0, 1, 0, 2], [30, 20, 25, 25])


def frames() -> np.ndarray:
    """Frames of four stages, of which the first and the third look alike."""
    centres = np.eye(3, 8) * 10
    return (centres[STAGES] + np.random.default_rng(0).normal(0, 1, (100, 8))).astype(np.float32)


def scatter(points: np.ndarray, labels: np.ndarray) -> float:
    groups = (points[labels == label].astype(np.float64) for label in np.unique(labels))
    return sum(float(((group - group.mean(axis=0)) ** 2).sum()) for group in groups)


@pytest.mark.parametrize("n_clusters", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_segments_are_the_best_of_all(n_clusters: int, seed: int) -> None:
    points = np.random.default_rng(seed).normal(3, 1, (11, 3)).astype(np.float32)
    found = segments(points, n_clusters)
    assert sorted(set(found.tolist())) == list(range(n_clusters))
    assert (np.diff(found) >= 0).all()
    cuts = combinations(range(1, 11), n_clusters - 1)
    best = min(scatter(points, np.searchsorted(cut, np.arange(11), side="right")) for cut in cuts)
    assert scatter(points, found) == pytest.approx(best)


@pytest.mark.parametrize("n_clusters", [2, 3, 5])
def test_equal_neighbours_are_one_frame_that_weighs_more(n_clusters: int) -> None:
    points = np.random.default_rng(4).normal(3, 1, (9, 3)).astype(np.float32)
    points[6] = points[2]  # apart from one another they may be in two segments
    counts = np.array([1, 5, 1, 2, 1, 7, 1, 1, 3])
    cuts = combinations(range(1, 9), n_clusters - 1)
    frames = np.repeat(points, counts, axis=0)
    labels = [np.repeat(np.searchsorted(cut, np.arange(9), side="right"), counts) for cut in cuts]
    best = min(labels, key=lambda each: scatter(frames, each))
    found = cluster_features(frames, ClustersConfig(n_clusters=n_clusters, order="sequence"), show=False)
    np.testing.assert_array_equal(found.labels, best)


def test_there_are_no_more_segments_than_the_frames_change() -> None:
    frames = np.repeat(np.array([[1], [2], [1]], np.float32), 4, axis=0)
    found = cluster_features(frames, ClustersConfig(n_clusters=5, order="sequence"), show=False)
    assert found.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert found.notes == ["the images in order change 2 times; n_clusters lowered from 5 to 3"]


def test_segments_find_the_stages() -> None:
    stages = np.repeat(range(4), [30, 20, 25, 25])
    np.testing.assert_array_equal(segments(frames(), 4), stages)
    found = cluster_features(frames(), ClustersConfig(n_clusters=4, order="sequence"), show=False)
    np.testing.assert_array_equal(found.labels, stages)
    assert str(found.state["method"]) == "sequence"


def test_segments_do_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = segments(frames(), 4)
    monkeypatch.setattr("imgcluster.utils.parallel.BLOCK_BYTES", 4 * 2 * 100 * 7)
    np.testing.assert_array_equal(segments(frames(), 4), whole)


def test_segments_far_from_the_origin_are_as_exact() -> None:
    np.testing.assert_array_equal(segments(frames() + 30_000, 4), segments(frames(), 4))


def test_equal_frames_and_as_many_segments_as_frames() -> None:
    assert sorted(set(segments(np.ones((6, 2), np.float32), 3).tolist())) == [0, 1, 2]
    assert segments(np.arange(4, dtype=np.float32)[:, None], 4).tolist() == [0, 1, 2, 3]
    with pytest.raises(ClusteringError, match=r"^clusters.order: 5 segments of 4 images$"):
        segments(np.ones((4, 2), np.float32), 5)


@pytest.mark.parametrize("weight", [0.3, 1.0, 5.0])
def test_smoothing_is_the_best_of_all(weight: float) -> None:
    random = np.random.default_rng(1)
    points, centroids = random.normal(0, 1, (7, 2)), random.normal(0, 1, (3, 2))
    squared = ((points[:, None] - centroids) ** 2).sum(axis=2)
    unit = squared.min(axis=1).mean()

    def cost(labels: np.ndarray) -> float:
        return float(squared[np.arange(7), labels].sum() / unit + weight * (np.diff(labels) != 0).sum())

    found = smoothed(points, centroids, weight)
    best = min(cost(np.array(labels)) for labels in np.ndindex(*[3] * 7))
    assert cost(found) == pytest.approx(best)


def test_smoothing_takes_single_frames_back() -> None:
    points = frames()
    points[[5, 40]] = points[[80, 2]]  # two frames look like those of another stage
    plain = cluster_features(points, ClustersConfig(method="kmeans", n_clusters=3), show=False)
    calm = cluster_features(points, ClustersConfig(method="kmeans", n_clusters=3, order={"smooth": 30.0}), show=False)
    assert (np.diff(plain.labels) != 0).sum() == 7
    assert (np.diff(calm.labels) != 0).sum() == 3
    assert not any(name.startswith("rule_") for name in calm.state)
    np.testing.assert_array_equal(calm.labels == calm.labels[0], STAGES == 0)


def test_what_the_method_says_is_said_of_smoothed_clusters_too() -> None:
    config = ClustersConfig(method="mean_shift", order={"smooth": 1.0})
    found = cluster_features(frames(), config, show=False)
    assert found.notes[0].startswith("mean_shift: bandwidth ")


def test_clusters_that_smoothing_empties_are_told() -> None:
    config = ClustersConfig(method="kmeans", n_clusters=3, order={"smooth": 1e9})
    found = cluster_features(frames(), config, show=False)
    assert found.notes == ["1 of 3 clusters have images: the smoothing emptied the others"]


@pytest.mark.parametrize("n_clusters", [2, 3, 4])
@pytest.mark.parametrize("seed", range(3))
def test_no_segment_reaches_over_the_end_of_a_video(n_clusters: int, seed: int) -> None:
    points = np.random.default_rng(seed).normal(3, 1, (10, 3)).astype(np.float32)
    points[3:6] = points[3]  # alike at both sides of the border at 4
    cuts = [cut for cut in combinations(range(1, 10), n_clusters - 1) if 4 in cut]
    best = min(scatter(points, np.searchsorted(cut, np.arange(10), side="right")) for cut in cuts)
    found = segments(points, n_clusters, starts=(0, 4))
    assert scatter(points, found) == pytest.approx(best)
    assert found[3] != found[4]


def films(counts: tuple[int, ...], points: np.ndarray) -> Features:
    """Return features of frames of videos with so many frames each."""
    stamp = Stamp("", 0, 0, 0)
    images = [
        ImageFile(f"{video}#t={number}", VideoFrame(VideoFile(str(video), stamp), str(number)))
        for video, count in enumerate(counts)
        for number in range(count)
    ]
    return Features(images, points, [], [])


def test_videos_are_cut_each_by_itself() -> None:
    points = np.repeat(np.array([[1], [2], [1]], np.float32), 4, axis=0)
    config = ClustersConfig(n_clusters=4, order="sequence")
    assert (
        cluster_features(films((6, 6), points), config, show=False).labels.tolist()
        == [0] * 4 + [1] * 2 + [2] * 2 + [3] * 4
    )
    with pytest.raises(ClusteringError, match="2 segments of 3 videos; each needs at least one"):
        cluster_features(films((4, 4, 4), points), ClustersConfig(n_clusters=2, order="sequence"), show=False)
    chosen = cluster_features(films((6, 6), points), ClustersConfig(n_clusters="auto", order="sequence"), show=False)
    assert chosen.labels[5] != chosen.labels[6]


def test_kept_segments_are_those_of_the_same_videos() -> None:
    points = np.repeat(np.array([[1], [2], [1]], np.float32), 4, axis=0)
    config = ClustersConfig(n_clusters=4, order="sequence")
    found = [
        cluster_features(each, config, show=False, kept=KeptClusters(each.vectors, each.starts)).labels.tolist()
        for each in (films((6, 6), points), films((2, 10), points), films((6, 6), points))
    ]
    assert found[0] == found[2]
    assert found[0] != found[1]


def test_a_change_between_videos_costs_nothing() -> None:
    points = np.array([[0], [0], [0.6], [1], [1]], np.float32)
    centroids = np.array([[0], [1]], np.float32)
    assert smoothed(points, centroids, 100.0).tolist() in ([0] * 5, [1] * 5)
    assert smoothed(points, centroids, 100.0, starts=(0, 2)).tolist() == [0, 0, 1, 1, 1]
