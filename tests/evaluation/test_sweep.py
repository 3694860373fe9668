"""Sweeps over the number of clusters, and their measures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score, silhouette_score

from imgcluster.clustering.cluster import cluster_features
from imgcluster.clustering.diffusion import DEEP
from imgcluster.clustering.graph import modularity, neighbour_graph
from imgcluster.clustering.n_clusters import choose_k
from imgcluster.clustering.space import fit_space
from imgcluster.config.loader import ClustersConfig
from imgcluster.errors import ClusteringError
from imgcluster.evaluation.sweep import elbow_of, sweep_k
from imgcluster.features.transforms import Points
from tests.conftest import Command
from tests.support.feature_runs import blobs, noise


def test_a_sweep_chooses_as_auto_does() -> None:
    vectors = np.random.default_rng(5).normal(0, 1, (90, 12)).astype(np.float32)
    for method in ("auto", "kmeans"):
        config = ClustersConfig(method=method, n_clusters="auto")
        found = sweep_k(Points(vectors), config, range(2, 6), show=False)
        chosen = choose_k(Points(vectors), config, range(2, 6), show=False)
        assert chosen.n_clusters == found.chosen
        assert chosen.reason.startswith(found.reason)  # and may name other good numbers
        assert found.chosen == max(found.rows, key=lambda row: row.modularity).k


def test_a_sweep_says_where_its_choice_is_the_end_of_the_range() -> None:
    vectors, config = blobs(5)[0], ClustersConfig(n_clusters="auto")
    for ks, said in ((range(2, 6), True), (range(2, 9), False)):
        found = sweep_k(Points(vectors), config, ks, show=False)
        assert found.chosen == 5
        assert found.reason.endswith(" (5 is the largest number tried: a wider range may have a better one)") == said


@pytest.mark.parametrize(
    "keys", [{}, {"parameters": {"n_neighbors": 6}}, {"order": {"smooth": 0.5}}, {"order": "sequence"}]
)
def test_a_sweep_measures_the_clusters_that_a_run_makes(keys: dict[str, Any]) -> None:
    vectors = np.random.default_rng(3).normal(0, 1, (60, 12)).astype(np.float32)
    config = ClustersConfig(method="diffusion", n_clusters=2, **keys)
    found = sweep_k(Points(vectors), config, range(2, 5), show=False)
    for row in found.rows:
        labels = cluster_features(vectors, config.model_copy(update={"n_clusters": row.k}), show=False).labels
        assert row.modularity == pytest.approx(modularity(neighbour_graph(vectors), labels), abs=1e-9)
        assert row.silhouette == pytest.approx(silhouette_score(vectors, labels), abs=1e-5)


@pytest.mark.parametrize("method", ["auto", "kmeans", "minibatch_kmeans", "agglomerative", "gaussian_mixture"])
def test_a_number_of_clusters_is_measured_alike_whichever_others_are_tried(method: str) -> None:
    apart = np.eye(16, 20)[np.arange(360) % 16] * 9  # of which `auto` has equal eigenvalues, whose order is anything
    vectors = (apart + np.random.default_rng(9).normal(0, 1, (360, 20))).astype(np.float32)
    vectors[300:] = vectors[:60]
    config = ClustersConfig(method=method, n_clusters="auto")
    points = fit_space(vectors, config).points
    rows = {row.k: row for row in sweep_k(points, config, range(2, 26, 4), show=False).rows}
    for ks in ([6], [14, 22], [18, 10]):
        for row in sweep_k(points, config, ks, show=False).rows:
            assert row == rows[row.k]
    run_alone = cluster_features(vectors, config.model_copy(update={"n_clusters": 22}), show=False)
    assert silhouette_score(vectors, run_alone.labels) == pytest.approx(rows[22].silhouette, abs=1e-5)


@pytest.mark.parametrize("method", ["auto", "kmeans", "agglomerative"])
def test_no_more_clusters_are_tried_than_there_are_distinct_images(method: str) -> None:
    vectors = np.repeat(noise(4, DEEP), 30, axis=0)
    config = ClustersConfig(method=method, n_clusters="auto")
    rows = sweep_k(Points(vectors), config, range(2, 21), show=False).rows
    assert [row.k for row in rows] == [2, 3, 4]
    assert np.isnan([rows[-1].gap, rows[-1].calinski_harabasz, rows[-1].davies_bouldin]).all()
    found = cluster_features(vectors, config, show=False)
    assert found.notes[0].endswith(" (4 distinct images among 120: tried up to 4)")
    same = cluster_features(np.ones((12, DEEP), np.float32), config, show=False)
    assert (same.labels.tolist(), same.notes) == ([0] * 12, ["1 distinct image among 12: 1 cluster"])
    with pytest.raises(ClusteringError, match=r"no number of clusters from 2 to 20 suits 1 distinct image among 12$"):
        sweep_k(Points(np.ones((12, DEEP), np.float32)), config, range(2, 21), show=False)


def test_many_images_are_measured_by_some_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgcluster.evaluation.sweep.SAMPLE", 60)
    monkeypatch.setattr("imgcluster.clustering.n_clusters.MOST_NEIGHBOURS", 60)
    vectors, labels = blobs(3)
    row = sweep_k(Points(vectors), ClustersConfig(method="kmeans", n_clusters=2), [3], show=False).rows[0]
    drawn = np.sort(np.random.default_rng(42).permutation(300)[:60])
    assert row.silhouette == pytest.approx(silhouette_score(vectors[drawn], labels[drawn]), abs=1e-5)
    assert row.modularity == pytest.approx(modularity(neighbour_graph(vectors[drawn]), labels[drawn]))


def test_gap_and_stability_are_their_definitions(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, truth = blobs(3)
    inertias = iter([2.0, *np.exp([1, 2, 3, 4, 5]), *[1.0] * 8])
    fitted: list[np.ndarray] = []

    def fit(points: np.ndarray, k: int) -> tuple[np.ndarray, float]:
        fitted.append(points)
        return np.arange(len(points)) % k, next(inertias)

    monkeypatch.setattr("imgcluster.evaluation.sweep._kmeans", fit)
    row = sweep_k(Points(vectors), ClustersConfig(method="agglomerative", n_clusters=2), [3], show=False).rows[0]
    assert row.gap == pytest.approx(3 - np.log(2))
    assert row.gap_error == pytest.approx(np.sqrt(2) * np.sqrt(1 + 1 / 5))
    assert [len(points) for points in fitted] == [300] * 6 + [240] * 8
    for reference in fitted[1:6]:
        np.testing.assert_allclose(reference.min(axis=0), fitted[0].min(axis=0), atol=0.1 * np.ptp(fitted[0]))
        np.testing.assert_allclose(reference.max(axis=0), fitted[0].max(axis=0), atol=0.1 * np.ptp(fitted[0]))
    row_of = {point.tobytes(): row for row, point in enumerate(fitted[0])}
    subsets = [[row_of[point.tobytes()] for point in points] for points in fitted[6:]]
    scores = [adjusted_rand_score(truth[rows], np.arange(240) % 3) for rows in subsets]
    assert row.stability == pytest.approx(np.mean(scores))


def test_measures_are_scikit_learns() -> None:
    from sklearn.cluster import KMeans
    from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score

    vectors = np.random.default_rng(0).normal(0, 1, (120, 6)).astype(np.float32)
    found = sweep_k(Points(vectors), ClustersConfig(method="kmeans", n_clusters=2), [3, 4], show=False)
    for row in found.rows:
        model = KMeans(row.k, n_init=10, random_state=42).fit(vectors)
        assert row.silhouette == pytest.approx(silhouette_score(vectors, model.labels_), abs=1e-5)
        assert row.davies_bouldin == pytest.approx(davies_bouldin_score(vectors, model.labels_), rel=1e-5)
        assert row.calinski_harabasz == pytest.approx(calinski_harabasz_score(vectors, model.labels_), rel=1e-5)
        assert row.inertia == pytest.approx(model.inertia_, rel=1e-5)
        assert row.stability < 0.8  # there are no clusters


def test_the_gap_is_wide_where_there_are_clusters() -> None:
    rows = sweep_k(Points(blobs(4)[0]), ClustersConfig(method="kmeans", n_clusters=2), range(2, 8), show=False).rows
    jump = rows[2].gap - rows[1].gap
    assert jump > 5 * abs(rows[3].gap - rows[2].gap)
    assert elbow_of(rows) == 4
    assert rows[2].stability == 1 > max(rows[1].stability, rows[3].stability)


def test_the_same_points_give_the_same_sweep() -> None:
    tables = [
        sweep_k(Points(blobs(3)[0]), ClustersConfig(method="kmeans", n_clusters=2), [2, 3], show=False).table()
        for _ in range(2)
    ]
    pd.testing.assert_frame_equal(*tables)


def test_sweep(command: Command, config_file: Path, tmp_path: Path) -> None:
    done = command("sweep", config_file, "--k", "2..5", "--quiet")
    assert done.returncode == 0, done.stderr
    assert " clusters, chosen by the modularity of the nearest-neighbour graph: " in done.stdout
    assert sorted(path.name for path in (tmp_path / "out/sweep").iterdir()) == ["sweep.csv", "sweep.png", "sweep.svg"]
    table = pd.read_csv(tmp_path / "out/sweep/sweep.csv")
    assert table["k"].tolist() == [2, 3, 4, 5]
    assert command("run", config_file, "--quiet").returncode == 0  # the run folder is still free
    for wrong in ("5", "5..2", "1..3", "x"):
        done = command("sweep", config_file, "--k", wrong)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert done.stderr.startswith("imgcluster: --k")
        assert "a range" in done.stderr
        assert "such as 2..20" in done.stderr
