"""The number of clusters, chosen."""

from __future__ import annotations

import re

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from imgcluster.clustering.cache import KeptClusters
from imgcluster.clustering.cluster import cluster_features
from imgcluster.clustering.n_clusters import at_the_edge, choose_k, runners_up
from imgcluster.config.loader import ClustersConfig
from imgcluster.errors import ClusteringError
from imgcluster.features.transforms import Points
from imgcluster.types import ChosenNumber
from tests.support.feature_runs import blobs


@pytest.mark.parametrize("k", [2, 3, 5, 8])
@pytest.mark.parametrize("method", ["auto", "kmeans", "agglomerative"])
def test_the_number_of_clear_clusters_is_found(k: int, method: str) -> None:
    vectors, truth = blobs(k)
    clusters = cluster_features(vectors, ClustersConfig(method=method, n_clusters="2..12"), show=False)
    assert adjusted_rand_score(clusters.labels, truth) == 1
    assert clusters.notes[0].startswith(f"{k} clusters, chosen by the modularity of the nearest-neighbour graph: 0.")


def test_progress_is_shown_of_what_all_numbers_share(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neighbours are found once for the modularity and once for the clusters, the eigenvectors once."""
    monkeypatch.setattr("imgcluster.clustering.neighbor_search.SHOWN", 0)
    monkeypatch.setattr("imgcluster.clustering.diffusion.MAX_DENSE_SIZE", 0)
    choose_k(Points(blobs(3)[0]), ClustersConfig(n_clusters="auto"), range(2, 5), show=True)
    steps = [line.split(":")[0] for line in capsys.readouterr().err.splitlines() if ": 0" in line]
    assert steps == ["neighbors", "numbers of clusters", "neighbors", "eigenvectors", "clustering"]


def test_of_equally_good_numbers_the_fewest_clusters_are_chosen() -> None:
    near = np.random.default_rng(1).normal(0, 1e-3, (30, 5))
    vectors = (np.repeat(np.eye(3, 5), 10, axis=0) + near).astype(np.float32)  # of which birch finds no fourth
    config = ClustersConfig(method="birch", n_clusters="auto")
    found = choose_k(Points(vectors), config, range(2, 6), show=False)
    assert (found.n_clusters, found.reason.split("; ")[0][-7:]) == (3, " with 4")


@pytest.mark.parametrize(("n_clusters", "tried"), [("auto", range(2, 21)), ("3..5", range(3, 6))])
def test_the_numbers_that_are_tried(monkeypatch: pytest.MonkeyPatch, n_clusters: str, tried: range) -> None:
    asked: list[range] = []

    def choose(points: Points, config: ClustersConfig, ks: range, **options: object) -> ChosenNumber:
        asked.append(ks)
        return ChosenNumber(3, "three")

    monkeypatch.setattr("imgcluster.clustering.cluster.choose_k", choose)
    found = cluster_features(np.eye(6, dtype=np.float32), ClustersConfig(n_clusters=n_clusters), show=False)
    assert (asked, len(found.sizes), found.notes[0]) == ([tried], 3, "three")


def test_too_few_images_for_any_number() -> None:
    with pytest.raises(
        ClusteringError, match=r"^clusters.n_clusters: no number of clusters from 5 to 9 suits 5 images$"
    ):
        cluster_features(np.eye(5, dtype=np.float32), ClustersConfig(n_clusters="5..9"), show=False)
    found = cluster_features(np.eye(4, dtype=np.float32), ClustersConfig(n_clusters="auto"), show=False)
    assert len(found.sizes) in (2, 3)


@pytest.mark.parametrize("method", ["auto", "diffusion", "kmeans"])
def test_one_or_two_images_are_one_cluster(method: str) -> None:
    config = ClustersConfig(method=method, n_clusters="auto")
    for count, note in ((1, "1 image: 1 cluster"), (2, "2 images: 1 cluster")):
        found = cluster_features(np.eye(count, 5, dtype=np.float32), config, show=False)
        assert (found.labels.tolist(), found.notes) == ([0] * count, [note])
    same = cluster_features(np.ones((2, 5), np.float32), config, show=False)
    assert same.notes == ["1 distinct image among 2: 1 cluster"]
    with pytest.raises(ClusteringError, match=r"from 3 to 5 suits 2 images$"):
        cluster_features(np.eye(2, 5, dtype=np.float32), config.model_copy(update={"n_clusters": "3..5"}), show=False)


@pytest.mark.parametrize(
    ("scores", "chosen", "others"),
    [
        ({4: 0.5, 8: 0.68, 9: 0.69, 10: 0.7, 11: 0.69, 14: 0.69}, 10, [9, 14, 8]),  # 11 is no other answer
        ({2: 0.67, 3: 0.66, 4: 0.7}, 4, [2]),
        ({2: 0.66, 3: 0.67, 4: 0.7}, 4, [3]),  # which is clearly smaller itself
        ({2: 0.6, 4: 0.7, 6: 0.6}, 4, [2]),
        ({3: 0.7}, 3, []),
    ],
)
def test_the_second_best_number_and_good_ones_that_are_clearly_smaller_or_larger(
    scores: dict[int, float], chosen: int, others: list[int]
) -> None:
    assert runners_up(scores, chosen) == others


@pytest.mark.parametrize(
    ("ks", "said"),
    [
        (range(2, 12), ""),
        (range(2, 6), " (5 is the largest number tried: a wider range may have a better one)"),
        (range(5, 9), " (5 is the smallest number tried: a wider range may have a better one)"),
    ],
    ids=str,
)
def test_a_number_at_the_end_of_the_range(ks: range, said: str) -> None:
    found = choose_k(Points(blobs(5)[0]), ClustersConfig(n_clusters="auto"), ks, show=False)
    assert found.n_clusters == 5
    assert said in found.reason
    assert (" is the " in found.reason) == bool(said)
    assert at_the_edge(2, range(2, 9)) == ""  # there is no smaller one


def test_several_good_numbers_are_told_and_kept() -> None:
    draw = np.random.default_rng(0)
    centres = 40 * np.eye(4, 20)[np.arange(8) // 2] + draw.normal(0, 2, (8, 20))  # four pairs
    vectors = (centres[np.arange(80) % 8] + draw.normal(0, 1, (80, 20))).astype(np.float32)
    kept = KeptClusters(vectors)
    for _ in range(2):
        found = cluster_features(vectors, ClustersConfig(n_clusters="2..10"), show=False, kept=kept)
        chosen = found.chosen
        assert chosen is not None
        assert chosen.n_clusters == 4
        assert chosen.runners_up
        assert found.notes[0] == chosen.reason
        second, *others = chosen.runners_up
        assert f", {chosen.scores[second]:.3f} with {second}" in chosen.reason
        assert re.findall(r" with \d+", chosen.reason) == [f" with {second}"]
        assert re.findall(r"(\d+), (?:coarser|finer)", chosen.reason) == [*map(str, others)]
        for k in others:
            way = "coarser" if k < chosen.n_clusters else "finer"
            assert f"{k}, {way} ({chosen.scores[k]:.3f})" in chosen.reason
        assert list(chosen.scores) == list(range(2, 11))
    assert cluster_features(vectors, ClustersConfig(n_clusters=4), show=False).chosen is None
