"""What is tried before one believes a run: numbers of clusters, combinations, other seeds; and a first config."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from filelock import FileLock
from pyarrow import parquet
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_score

from imgcluster import check, load_config, run
from imgcluster.cli.format.scores import inner_scores_lines
from imgcluster.cli.init.config import write_first_config
from imgcluster.clustering.cluster import cluster_features
from imgcluster.clustering.diffusion import DEEP
from imgcluster.clustering.graph import modularity, neighbour_graph
from imgcluster.clustering.grouping import Groups
from imgcluster.clustering.internal_metrics import silhouette_of
from imgcluster.clustering.n_clusters import choose_k
from imgcluster.config.loader import ClustersConfig, Config, config_from_dict
from imgcluster.errors import ClusteringError, ConfigError, OutputError
from imgcluster.evaluation import comparison_table as tried
from imgcluster.evaluation.charts import draw_sweep
from imgcluster.evaluation.cluster_stability import stability
from imgcluster.evaluation.comparison import Grid, compare
from imgcluster.evaluation.internal import score_run
from imgcluster.evaluation.sweep import elbow_of, sweep_k
from imgcluster.features.transforms import Points, fit_transform
from imgcluster.labels.assignment import assign
from imgcluster.runs.clusterer import read_clusterer
from imgcluster.runs.features import features_of_run, labels_of_run
from tests.conftest import Command, write_picture, write_template


def blobs(k: int, n: int = 300, dim: int = 30) -> tuple[np.ndarray, np.ndarray]:
    vectors, labels = make_blobs(n, dim, centers=k, cluster_std=1.5, random_state=k)
    return vectors.astype(np.float32), labels


@pytest.mark.parametrize("k", [2, 3, 5, 8])
@pytest.mark.parametrize("method", ["auto", "kmeans", "agglomerative"])
def test_the_number_of_clear_clusters_is_found(k: int, method: str) -> None:
    vectors, truth = blobs(k)
    clusters = cluster_features(vectors, ClustersConfig(method=method, n_clusters="2..12"), show=False)
    assert adjusted_rand_score(clusters.labels, truth) == 1
    assert clusters.notes[0].startswith(f"{k} clusters divide the neighbours best: modularity 0.")


def test_a_sweep_chooses_as_auto_does() -> None:
    vectors = np.random.default_rng(5).normal(0, 1, (90, 12)).astype(np.float32)
    for method in ("auto", "kmeans"):
        config = ClustersConfig(method=method, n_clusters="auto")
        found = sweep_k(Points(vectors), config, range(2, 6), show=False)
        chosen = choose_k(Points(vectors), config, range(2, 6), show=False)
        assert chosen == (found.chosen, found.reason)
        assert found.chosen == max(found.rows, key=lambda row: row.modularity).k


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


def test_of_equally_good_numbers_the_fewest_clusters_are_chosen() -> None:
    near = np.random.default_rng(1).normal(0, 1e-3, (30, 5))
    vectors = (np.repeat(np.eye(3, 5), 10, axis=0) + near).astype(np.float32)  # of which birch finds no fourth
    config = ClustersConfig(method="birch", n_clusters="auto")
    chosen, reason = choose_k(Points(vectors), config, range(2, 6), show=False)
    assert (chosen, reason[-7:]) == (3, " with 4")


@pytest.mark.parametrize("method", ["auto", "kmeans", "minibatch_kmeans", "agglomerative", "gaussian_mixture"])
def test_a_number_of_clusters_is_measured_alike_whichever_others_are_tried(method: str) -> None:
    apart = np.eye(16, 20)[np.arange(360) % 16] * 9  # of which `auto` has equal eigenvalues, whose order is anything
    vectors = (apart + np.random.default_rng(9).normal(0, 1, (360, 20))).astype(np.float32)
    vectors[300:] = vectors[:60]
    config = ClustersConfig(method=method, n_clusters="auto")
    rows = {row.k: row for row in sweep_k(Points(vectors), config, range(2, 26, 4), show=False).rows}
    for ks in ([6], [14, 22], [18, 10]):
        for row in sweep_k(Points(vectors), config, ks, show=False).rows:
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


@pytest.mark.parametrize(("n_clusters", "tried"), [("auto", range(2, 21)), ("3..5", range(3, 6))])
def test_the_numbers_that_are_tried(monkeypatch: pytest.MonkeyPatch, n_clusters: str, tried: range) -> None:
    asked: list[range] = []

    def choose(points: Points, config: ClustersConfig, ks: range, **options: object) -> tuple[int, str]:
        asked.append(ks)
        return 3, "three"

    monkeypatch.setattr("imgcluster.clustering.cluster.choose_k", choose)
    found = cluster_features(np.eye(6, dtype=np.float32), ClustersConfig(n_clusters=n_clusters), show=False)
    assert (asked, len(found.sizes), found.notes[0]) == ([tried], 3, "three")


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


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 1, 2], [0, 0, 0, 1, 1, 1], [0, -1, 1, 1, 0, 1]])
def test_silhouettes_of_known_distances(labels: list[int]) -> None:
    points = np.random.default_rng(1).normal(0, 1, (6, 3))
    distances = np.linalg.norm(points[:, None] - points, axis=2).astype(np.float32)
    kept = np.array(labels) >= 0
    wanted = silhouette_score(points[kept], np.array(labels)[kept])
    assert silhouette_of(distances, np.array(labels)) == pytest.approx(wanted, abs=1e-5)
    assert np.isnan(silhouette_of(distances, np.zeros(6, np.int64)))


def test_the_same_points_give_the_same_sweep() -> None:
    tables = [
        sweep_k(Points(blobs(3)[0]), ClustersConfig(method="kmeans", n_clusters=2), [2, 3], show=False).table()
        for _ in range(2)
    ]
    pd.testing.assert_frame_equal(*tables)


def test_too_few_images_for_any_number() -> None:
    with pytest.raises(
        ClusteringError, match=r"^clusters.n_clusters: no number of clusters from 5 to 9 suits 5 images$"
    ):
        cluster_features(np.eye(5, dtype=np.float32), ClustersConfig(n_clusters="5..9"), show=False)
    found = cluster_features(np.eye(4, dtype=np.float32), ClustersConfig(n_clusters="auto"), show=False)
    assert len(found.sizes) in (2, 3)


def test_charts_are_whole_and_the_same_each_time(tmp_path: Path) -> None:
    found = sweep_k(Points(blobs(3)[0]), ClustersConfig(method="kmeans", n_clusters=2), range(2, 6), show=False)
    paths = draw_sweep(found, tmp_path)
    assert [path.name for path in paths] == ["sweep.svg", "sweep.png"]
    before = [path.read_bytes() for path in paths]
    assert b"3 clusters proposed" in before[0]
    assert before == [path.read_bytes() for path in draw_sweep(found, tmp_path)]


# --- on vectors made elsewhere ---


def config_of(folder: Path, vectors: np.ndarray, **clusters: Any) -> Config:
    """A config of images that are not there, with features from a file; its outputs go into `out`."""
    ids = [f"i{number:02d}" for number in range(len(vectors))]
    np.savez(folder / "features.npz", ids=ids, vectors=vectors.astype(np.float32))
    (folder / "ids.csv").write_text("id\n" + "\n".join(ids) + "\n")
    images = {"folder": str(folder), "ids": str(folder / "ids.csv"), "missing": "skip"}
    features = {"file": str(folder / "features.npz")}
    outputs = {"folder": str(folder / "out"), "report": False}
    clusters = {"method": "kmeans", "numbering": "first_appearance", **clusters}
    return config_from_dict({"images": images, "features": features, "clusters": clusters, "outputs": outputs})


def noise(n: int, dim: int) -> np.ndarray:
    return np.random.default_rng(8).normal(0, 1, (n, dim)).astype(np.float32)


def test_what_is_compared_are_the_clusters_that_a_run_makes(tmp_path: Path) -> None:
    vectors = noise(60, DEEP)  # of which `auto` has a transform of its own
    steps: list[list[Any]] = [[], ["l2"], [{"pca": 2}]]
    grid = Grid(transforms=steps, methods=["auto", "kmeans", "agglomerative"], ks=[2, 4])
    found = compare(config_of(tmp_path, vectors, n_clusters=2), grid, show=False)
    assert len(found.candidates) == 3 * 3 * 2
    for each in found.candidates:
        clusters = each.config.clusters
        own = cluster_features(vectors, clusters.model_copy(update={"numbering": "raw"}), show=False).labels
        assert adjusted_rand_score(own, list(each.labels.values())) == 1
        points, _ = fit_transform(vectors, clusters.transform, clusters.random_state)
        assert each.scores["silhouette"] == pytest.approx(silhouette_score(points, own), abs=1e-5)


def test_rows_of_a_feature_file_are_named_by_it(tmp_path: Path) -> None:
    found = compare(config_of(tmp_path, noise(40, 3), n_clusters=2), Grid(ks=[2, 3]), show=False)
    assert [each.config.features.backbone for each in found.candidates] == ["vgg16", "vgg16"]  # the unused default
    assert [*found.table()["backbone"]] == [str(each.config.features.file) for each in found.candidates]


def test_compared_without_truth_the_best_mean_rank_comes_first(tmp_path: Path) -> None:
    grid = Grid(methods=["kmeans", "agglomerative", "birch"], ks=[1, 2, 3, 5])
    found = compare(config_of(tmp_path, noise(40, 3), n_clusters=2), grid, show=False)
    labels = [list(each.labels.values()) for each in found.candidates]
    scores = pd.DataFrame([each.scores for each in found.candidates])
    assert scores["silhouette"].isna().sum() == 3  # one cluster has none, and is the last by it
    for place, row in enumerate(labels):
        others = [adjusted_rand_score(row, other) for number, other in enumerate(labels) if number != place]
        assert scores["agreement"][place] == pytest.approx(np.mean(others))
    ranks = scores.rank(ascending=False, na_option="bottom").mean(axis=1)
    assert ranks.is_monotonic_increasing


def test_a_truth_of_some_images_is_compared_with_these(tmp_path: Path) -> None:
    truth = tmp_path / "truth.csv"
    known = {f"i{number:02d}": str(number % 3) for number in range(5, 40, 2)}
    truth.write_text("id,label\nx,1\ni00,\ni01, \n" + "".join(f"{id},{label}\n" for id, label in known.items()))
    grid = Grid(methods=["kmeans", "agglomerative", "dbscan"], ks=[2, 3, 4])
    vectors = np.concatenate([np.eye(3, 4)[np.arange(40) % 3] * 9 + noise(40, 4), np.full((1, 4), 90)])
    found = compare(config_of(tmp_path, vectors, n_clusters=2), grid, truth=truth, out=tmp_path / "all", show=False)
    aris = []
    for each in found.candidates:
        labels = [each.labels[id] for id in known]
        aris.append(adjusted_rand_score(list(known.values()), labels))
        assert each.scores["ari"] == pytest.approx(aris[-1])
        assert each.scores["nmi"] == pytest.approx(normalized_mutual_info_score(list(known.values()), labels))
        assert each.row()["clusters"] == len({label for label in each.labels.values() if label >= 0})
    assert aris == sorted(aris, reverse=True)
    assert aris[-1] < aris[0]
    best, written = found.candidates[0].config, load_config(tmp_path / "all/best.yaml")
    assert (written.clusters, written.features, written.images) == (best.clusters, best.features, best.images)
    truth.write_text("id,label\nx,1\n")
    with pytest.raises(ConfigError, match=r"^true labels: '.*' has none of these images$"):
        compare(config_of(tmp_path, vectors, n_clusters=2), grid, truth=truth, show=False)


def test_a_truth_in_folders_is_compared_with(tmp_path: Path) -> None:
    vectors = np.eye(3, 4)[np.arange(12) % 3] * 9 + noise(12, 4)
    for number in range(10):
        folder = tmp_path / "sorted" / "abc"[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"i{number:02d}.jpg").write_bytes(b"")
    wanted = config_of(tmp_path, vectors, n_clusters=3)
    found = compare(wanted, Grid(methods=["kmeans"]), truth=tmp_path / "sorted", show=False)
    assert found.candidates[0].scores["ari"] == 1
    assert found.notes[0].endswith("0 true labels and 2 images left over")


def test_stability_says_where_an_image_is_otherwise(tmp_path: Path) -> None:
    places = np.repeat([0.0, 100, 50], [10, 10, 1])  # the last one stands in the middle
    vectors = places[:, None] + 0.1 * noise(21, 1)
    run(config_of(tmp_path, vectors, method="agglomerative", n_clusters=2), show=False)
    found = stability(tmp_path / "out", trials=20, show=False)
    assert found.stays[:20].tolist() == [1.0] * 20
    assert found.elsewhere[:20].tolist() == [-1] * 20
    assert 0 < found.stays[20] < 1
    assert found.elsewhere[20] == 1 - found.labels[20]
    assert found.table()["id"][0] == "i20"
    assert (found.table()["elsewhere"] != "").sum() == 1


def test_each_trial_has_other_images_and_another_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(config_of(tmp_path, np.repeat([[0.0], [50], [99]], [5, 7, 2], axis=0), n_clusters=2), show=False)
    assert labels_of_run(tmp_path / "out", [f"i{number:02d}" for number in range(14)]).tolist() == [0] * 5 + [1] * 9
    seen: list[tuple[int, bytes]] = []

    def grouped(points: Points, config: ClustersConfig, *, show: bool) -> Groups:
        """Two of the second cluster are one of their own, and the first cluster is noise."""
        values = points.array()[:, 0]
        seen.append((config.random_state, values.tobytes()))
        assert (len(values), config.n_clusters) == (11, 2)
        return Groups(np.searchsorted([1, 60], values) - 1, np.zeros((2, 1), np.float32))

    monkeypatch.setattr("imgcluster.evaluation.cluster_stability.group", grouped)
    found = stability(tmp_path / "out", trials=12, show=False)
    assert len({seed for seed, _ in seen}) == 12
    assert len({drawn for _, drawn in seen}) > 1
    assert found.stays.tolist() == [0.0] * 5 + [1.0] * 7 + [0.0] * 2
    assert found.elsewhere.tolist() == [-1] * 14


def test_noise_has_no_score_of_its_own(tmp_path: Path) -> None:
    vectors = np.concatenate([blobs(2, 30, 3)[0], np.full((1, 3), 500)])
    run(config_of(tmp_path, vectors, method="dbscan"), show=False)
    found = score_run(tmp_path / "out")
    assert found.labels[30] == -1
    assert inner_scores_lines(found)[0] == "images    31 in 2 clusters"
    assert found.scores.silhouette == pytest.approx(silhouette_score(vectors[:30], found.labels[:30]), abs=1e-5)
    table = found.table()
    assert table.iloc[-1].tolist() == ["i30", -1, "", ""]
    assert table["sureness"][:30].astype(float).is_monotonic_increasing
    assert inner_scores_lines(found)[-3].startswith(f"  {table['id'][0]!r}: cluster ")


def test_a_run_of_vectors_made_elsewhere_places_no_images(tmp_path: Path) -> None:
    run(config_of(tmp_path, noise(9, 3), n_clusters=2), show=False)
    with pytest.raises(ConfigError, match="has its features from a file: those of new images cannot be made"):
        assign(tmp_path / "out", tmp_path, show=False)


def test_a_clusterer_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"has no clusterer.npz: it is not the folder of a finished run$"):
        read_clusterer(tmp_path)
    (tmp_path / "table.csv").write_text("id,label\n")
    with pytest.raises(OutputError, match=r"has no clusterer.npz: it is not the folder of a finished run$"):
        read_clusterer(tmp_path / "table.csv")
    (tmp_path / "clusterer.npz").write_bytes(b"no archive")
    with pytest.raises(OutputError, match=r"clusterer.npz' is damaged \(.*\); run its config again$"):
        read_clusterer(tmp_path)
    np.savez(tmp_path / "clusterer.npz", centroids=np.zeros((2, 2)), method="kmeans", steps=np.array([], str))
    with pytest.raises(OutputError, match=r"clusterer.npz' comes from an older imgcluster; run its config again$"):
        read_clusterer(tmp_path)


# --- on images, from the command line ---


def test_sweep(command: Command, config_file: Path, tmp_path: Path) -> None:
    done = command("sweep", config_file, "--k", "2..5", "--quiet")
    assert done.returncode == 0, done.stderr
    assert " clusters divide the neighbours best: modularity " in done.stdout
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


@pytest.mark.slow
def test_compare_with_truth(command: Command, config_file: Path, tmp_path: Path) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text("id,label\n" + "".join(f"{number:04d},{number % 3}\n" for number in range(12)))
    arguments = ["--methods", "kmeans,agglomerative,hdbscan", "--k", "2,3", "--layers", "default,nothing,logits"]
    arguments += ["--transform", "[]", "--transform", "[l2, {pca: 3}]", "--truth", truth, "--quiet"]
    done = command("compare", config_file, *arguments)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "out/compare/compare.csv")
    assert len(table) == 2 * 2 * (2 * 2 + 1)  # layers x transforms x (methods with K, and one without)
    assert (table["ari"].is_monotonic_decreasing, table["ari"][0], table["clusters"][0]) == (True, 1, 3)
    assert "note: efficientnet_lite0: features.layer: " in done.stdout
    assert sorted(table["config"]) == [f"configs/{number:02d}.yaml" for number in range(1, len(table) + 1)]
    best = tmp_path / "out/compare/best.yaml"
    assert f"python -m imgcluster run {best}" in done.stdout
    assert load_config(best).clusters.n_clusters == table["clusters"][0]
    assert command("run", best, "--quiet").returncode == 0
    number = Path(table["config"][0]).stem
    assert (tmp_path / "out/compare/runs" / number / "submission.csv").is_file()
    third = tmp_path / "out/compare" / table["config"][2]
    assert f"# python -m imgcluster run {third}\n" in third.read_text()
    assert command("run", third, "--quiet").returncode == 0
    labels = pd.read_csv(tmp_path / "out/compare/runs" / third.stem / "submission.csv")["label"]
    assert adjusted_rand_score(pd.read_csv(truth)["label"], labels) == pytest.approx(table["ari"][2], abs=1e-4)


def test_a_row_alone_agrees_with_none(config_file: Path, tmp_path: Path) -> None:
    for _ in range(2):  # made, and found there
        found = compare(load_config(config_file), Grid(), out=tmp_path / "c", show=False)
        assert pd.isna(found.table()["agreement"]).tolist() == [True]
        assert not any("agreement" in note for note in found.notes)


@pytest.mark.slow
def test_a_list_given_in_parts_adds_up(command: Command, config_file: Path, tmp_path: Path) -> None:
    arguments = [*("--methods", "kmeans", "--methods", "agglomerative,birch"), *("--k", "2..3", "--k", "4")]
    arguments += ["--backbones", "efficientnet_lite0", "--layers", "default", "--layers", "logits", "--quiet"]
    done = command("compare", config_file, *arguments)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "out/compare/compare.csv")
    assert len(table) == 3 * 3 * 2
    assert set(table["method"]) == {"kmeans", "agglomerative", "birch"}
    assert len(set(table["layer"])) == 2
    assert set(table["clusters"]) == {2, 3, 4}


def test_compare_without_truth(config_file: Path) -> None:
    config = load_config(config_file)
    found = compare(config, Grid(methods=["kmeans", "agglomerative"], ks=[2, 3]), show=False)
    scores = found.table()
    ranks = scores[["silhouette", "agreement"]].rank(ascending=False).mean(axis=1)
    assert ranks[0] == ranks.min()
    labels = [list(candidate.labels.values()) for candidate in found.candidates]
    wanted = np.mean([adjusted_rand_score(labels[0], other) for other in labels[1:]])
    assert scores["agreement"][0] == pytest.approx(wanted, abs=1e-4)
    with pytest.raises(ConfigError, match=r"^methods: there is no 'kmens'; allowed: auto, diffusion, kmeans, "):
        compare(config, Grid(methods=["kmens"]), show=False)


def test_what_cannot_be_compared_is_a_note_or_told_before_any_work(
    config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(config_file, ["clusters.method=agglomerative", "clusters.parameters={linkage: average}"])
    found = compare(config, Grid(methods=["agglomerative", "kmeans"], ks=[2, 40]), show=False)
    assert sorted(candidate.row()["method"] for candidate in found.candidates) == ["agglomerative", "kmeans"]
    assert len(found.notes) == 2
    assert "40 clusters need at least as many" in found.notes[0]
    monkeypatch.setattr("imgcluster.features.extraction.extract_features", lambda *_: pytest.fail("worked"))
    for wrong in ("l2", ["l3"], [{"pca": "x"}]):
        with pytest.raises(ConfigError, match=r"clusters.transform"):
            compare(config, Grid(transforms=[wrong]), show=False)


def test_trials_leave_out_what_is_never_drawn(config_file: Path, tmp_path: Path) -> None:
    run(load_config(config_file, ["clusters.n_clusters=11", "clusters.transform=[{pca: 12}]"]), show=False)
    found = stability(tmp_path / "out", trials=1, show=False)
    assert np.isnan(found.stays).sum() == 2
    assert (found.table()["stays"] == "").sum() == 2
    with pytest.raises(ConfigError, match=r"^trials: 0"):
        stability(tmp_path / "out", trials=0)


def test_assign_without_any_readable_image(command: Command, config_file: Path, tmp_path: Path) -> None:
    run(load_config(config_file), show=False)
    done = command("assign", tmp_path / "out", tmp_path / "nothing.jpg", "--out", tmp_path / "new.csv")
    assert (done.returncode, "images can be read; the first: " in done.stderr) == (1, True)


def test_numbering_is_checked_before_any_work(command: Command, config_file: Path) -> None:
    for wrong in ("match:/nope", "truth:/nope.csv"):
        done = command("check", config_file, "--set", f"clusters.numbering={wrong}")
        assert (done.returncode, "clusters.numbering: " in done.stderr) == (1, True)


def test_compare_goes_on_without_the_networks_that_cannot_be_had(config_file: Path) -> None:
    config = load_config(config_file)
    found = compare(config, Grid(backbones=["alexnet", "efficientnet_lite0", "vgg16"]), show=False)
    assert [candidate.row()["backbone"] for candidate in found.candidates] == ["efficientnet_lite0"]
    assert len(found.notes) == 2
    for note, name in zip(found.notes, ("alexnet", "vgg16"), strict=True):
        assert note.startswith(f"no ImageNet weights for {name}: ")
        assert note.endswith("features.fallback: efficientnet_lite0")
    with pytest.raises(ConfigError, match=r"no ImageNet weights for alexnet: .*; no ImageNet weights for vgg16: "):
        compare(config, Grid(backbones=["alexnet", "vgg16"]), show=False)


@pytest.mark.slow
@pytest.mark.parametrize("also", [[], ["efficientnet_lite0"]])
def test_a_network_used_in_place_of_others_is_one_row_under_its_own_name(
    config_file: Path, tmp_path: Path, also: list[str]
) -> None:
    config = load_config(config_file, ["features.fallback=efficientnet_lite0", "features.preprocess=stage"])
    grid = Grid(backbones=["resnet50", "vgg16", *also], layers=["default"], ks=[2, 3])
    found = compare(config, grid, out=tmp_path / "all", show=False)
    rows = [(each.row()["backbone"], each.row()["layer"], each.config.clusters.n_clusters) for each in found.candidates]
    # Asked for itself, it sees pictures as the config says; in place of others, as its weights were trained to.
    assert sorted(rows) == sorted([("efficientnet_lite0", "default", k) for k in (2, 3)] * (1 + len(also)))
    assert found.notes == ["used efficientnet_lite0 instead of resnet50, vgg16 (weights not available)"]
    table = found.table()
    assert ("preprocess" in table) is bool(also)  # in which the rows differ then
    assert not table.drop(columns="config").duplicated().any()
    config = load_config(tmp_path / "all" / "configs" / "01.yaml")
    assert (config.features.backbone, config.features.fallback) == ("efficientnet_lite0", None)
    assert config.features.preprocess == "backbone"
    done = run(config, show=False)
    first = next(each for each in found.candidates if each.number == 1)
    assert done.features.origins[0].fallback is None
    assert done.clusters.labels.tolist() == list(first.labels.values())


def test_the_default_network_has_its_stand_in_in_a_comparison(config_file: Path) -> None:
    config_file.write_text(config_file.read_text().replace("backbone: efficientnet_lite0, ", ""))
    config = load_config(config_file)
    assert len(compare(config, Grid(ks=[2, 3]), show=False).candidates) == 2
    with pytest.raises(ConfigError, match="no ImageNet weights for vgg16: "):
        compare(config, Grid(backbones=["vgg16"]), show=False)


# --- a table that grows ---


def test_a_later_comparison_adds_rows_and_tries_nothing_twice(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, out = load_config(config_file), tmp_path / "all"
    first = compare(config, Grid(methods=["kmeans", "birch"], ks=[2, 3]), out=out, show=False)
    before = {path.name: path.read_bytes() for path in (out / "configs").iterdir()}
    tried: list[tuple[str, int]] = []

    def cluster(features: Any, clusters: ClustersConfig, **keys: Any) -> Any:
        tried.append((clusters.method, clusters.k))
        return cluster_features(features, clusters, **keys)

    monkeypatch.setattr("imgcluster.evaluation.comparison.cluster_features", cluster)
    found = compare(config, Grid(methods=["kmeans", "agglomerative"], ks=[3, 4]), out=out, show=False)
    assert sorted(tried) == [("agglomerative", 3), ("agglomerative", 4), ("kmeans", 4)]
    assert len(found.candidates) == 7
    kept = {each.number: each for each in found.candidates}
    for each in first.candidates:
        assert kept[each.number].config == each.config
        assert kept[each.number].labels == each.labels
        assert kept[each.number].scores["silhouette"] == each.scores["silhouette"]
    # All rows are scored by the same measure: whoever compared all at once has the same table.
    grid = Grid(methods=["kmeans", "birch", "agglomerative"], ks=[2, 3, 4])
    whole = {(each.config.clusters.method, each.config.clusters.k): each for each in compare(config, grid).candidates}
    labels = [list(each.labels.values()) for each in found.candidates]
    for place, each in enumerate(found.candidates):
        assert each.labels == whole[each.config.clusters.method, each.config.clusters.k].labels
        others = [adjusted_rand_score(labels[place], other) for at, other in enumerate(labels) if at != place]
        assert each.scores["agreement"] == pytest.approx(np.mean(others))
    assert found.notes[-1] == "agreement is with all 7 rows, 4 of them tried before"
    table = pd.read_csv(out / "compare.csv")
    assert table["config"].tolist() == [f"configs/{each.number:02d}.yaml" for each in found.candidates]
    assert {name: (out / "configs" / name).read_bytes() for name in before} == before
    truth = tmp_path / "truth.csv"
    truth.write_text("id,label\n" + "".join(f"{number:04d},{number % 3}\n" for number in range(12)))
    scored = compare(config, Grid(ks=[3]), truth=truth, out=out, show=False)
    assert (len(scored.candidates), list(scored.candidates[0].scores)) == (7, ["ari", "nmi", "silhouette"])
    assert len(tried) == 3 + 9  # of the comparison of all at once


def test_another_version_tries_again_in_the_same_row(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, out = load_config(config_file), tmp_path / "all"
    compare(config, Grid(ks=[2, 3]), out=out, show=False)
    monkeypatch.setattr("imgcluster.evaluation.comparison_table.installed", lambda package: "9.9")
    found = compare(config, Grid(ks=[3]), out=out, show=False)
    assert sorted(each.number for each in found.candidates) == [1, 2]
    keys = {each.number: each.key for each in found.candidates}
    assert keys[1] != keys[2]
    assert keys[2] == compare(config, Grid(ks=[3]), show=False).candidates[0].key


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda out: (out / "tried.npz").unlink(), "compare.csv' would be overwritten: it is not known what was tried"),
        (lambda out: (out / "tried.npz").write_bytes(b"PK"), "tried.npz' would be overwritten: it is damaged"),
        (lambda out: (out / "compare.csv").write_text("mine"), "compare.csv' .*: it was changed since it was written"),
        (lambda out: (out / "best.yaml").write_text("mine"), "best.yaml' .*: it was changed since it was written"),
        (
            lambda out: write_picture(out.parent / "pictures" / "0003.jpg", np.zeros((9, 9, 3), np.uint8)),
            "other images",
        ),
    ],
)
def test_no_table_is_overwritten_unasked(config_file: Path, tmp_path: Path, spoil: Any, why: str) -> None:
    config, out = load_config(config_file), tmp_path / "all"
    compare(config, Grid(ks=[2, 3, 4]), out=out, show=False)
    spoil(out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(OutputError, match=f"{why}.*start a new table with force=True$"):
        compare(config, Grid(ks=[2]), out=out, show=False)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    found = compare(config, Grid(ks=[5]), out=out, force=True, show=False)
    assert len(found.candidates) == len(pd.read_csv(out / "compare.csv")) == 1
    assert [path.name for path in (out / "configs").iterdir()] == ["01.yaml"]
    assert load_config(out / "best.yaml") == load_config(out / "configs" / "01.yaml") == found.candidates[0].config


@pytest.mark.parametrize("kind", ["parquet", "bmp"])
def test_pictures_of_the_same_names_and_sizes_are_other_images(config_file: Path, tmp_path: Path, kind: str) -> None:
    images = tmp_path / ("rows.parquet" if kind == "parquet" else "bmps")

    def written(seed: int) -> None:
        random = np.random.default_rng(seed)
        pixels = [random.integers(0, 255, (16, 16, 3)).astype(np.uint8) for _ in range(12)]
        pictures = [cv2.imencode(".bmp", each)[1].tobytes() for each in pixels]
        if kind == "parquet":
            table = {"id": [f"{number:04d}" for number in range(12)], "image": pictures}
            parquet.write_table(pa.table(table), images)
            return
        images.mkdir(exist_ok=True)
        for number, data in enumerate(pictures):
            (images / f"{number:04d}.bmp").write_bytes(data)

    written(0)
    whole = load_config(config_file).resolved()
    whole["images"] = {"folder": str(images)}
    config, out = config_from_dict(whole), tmp_path / "all"
    compare(config, Grid(ks=[2]), out=out, show=False)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    written(1)
    for k in (2, 3):
        with pytest.raises(OutputError, match=r"compare.csv' would be overwritten: it is of other images; .*=True$"):
            compare(config, Grid(ks=[k]), out=out, show=False)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    found = compare(config, Grid(ks=[2]), out=out, force=True, show=False)
    (alone,) = compare(config, Grid(ks=[2]), show=False).candidates
    assert [each.labels for each in found.candidates] == [alone.labels]
    written(0)  # the first ones again, wherever their times are
    with pytest.raises(OutputError, match="other images"):
        compare(config, Grid(ks=[3]), out=out, show=False)
    written(1)
    assert len(compare(config, Grid(ks=[3]), out=out, show=False).candidates) == 2


@pytest.mark.slow
def test_a_killed_comparison_has_kept_what_it_tried(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, out = load_config(config_file), tmp_path / "all"
    grid = Grid(layers=["avgpool", "logits"], ks=[2, 3])
    whole = compare(config, grid, out=tmp_path / "whole", show=False)
    for name in ("imgcluster.evaluation.comparison._by_agreement", "imgcluster.evaluation.comparison_table.csv_text"):
        with monkeypatch.context() as patch:
            patch.setattr(name, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                compare(config, grid, out=out, show=False)
        assert not (out / "compare.csv").exists()
    real = tried.write_whole

    def killed(path: Path, data: bytes) -> None:
        if path.name == "best.yaml":
            raise KeyboardInterrupt
        real(path, data)

    with monkeypatch.context() as patch:  # between the table and the best config
        patch.setattr("imgcluster.evaluation.comparison_table.write_whole", killed)
        with pytest.raises(KeyboardInterrupt):
            compare(config, grid, out=out, show=False)
    monkeypatch.setattr(
        "imgcluster.evaluation.comparison.cluster_features", lambda *_, **__: pytest.fail("tried again")
    )
    found = compare(config, grid, out=out, show=False)
    assert found.table().equals(whole.table())


def test_two_comparisons_do_not_write_one_table(config_file: Path, tmp_path: Path) -> None:
    config, out = load_config(config_file), tmp_path / "all"
    out.mkdir()
    with FileLock(out / ".lock"), pytest.raises(OutputError, match="is being written by another comparison"):
        compare(config, Grid(ks=[2]), out=out, show=False)


def test_compare_computes_each_vector_once(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(config_file)
    grid = Grid(layers=["avgpool", "logits"], methods=["kmeans"], ks=[2, 3])
    compare(config, grid, show=False)
    monkeypatch.setattr("imgcluster.features.extraction.build_runtime", lambda *_: pytest.fail("computed again"))
    compare(config, grid, show=False)


def test_stability_names_the_images_that_change_sides(tmp_path: Path, config_file: Path, pictures: Path) -> None:
    for number in range(12, 40):
        colour = np.array([(200, 40, 40), (40, 200, 40)])[number % 2]
        noise = np.random.default_rng(number).integers(0, 40, (40, 48, 3))
        write_picture(pictures / f"{number:04d}.jpg", (noise + colour).clip(0, 255).astype(np.uint8))
    write_template(tmp_path / "template.csv", range(40))
    run(load_config(config_file), show=False)
    found = stability(tmp_path / "out", trials=8, show=False)
    assert (len(found.ids), len(found.scores)) == (40, 8)
    assert min(found.scores) > 0.9  # three colours are three clusters, whatever the seed
    assert found.stays.min() > 0.7
    again = stability(tmp_path / "out", trials=8, show=False)
    np.testing.assert_array_equal(found.stays, again.stays)
    too_many = load_config(config_file, ["clusters.n_clusters=9", f"outputs.folder={tmp_path / 'nine'}"])
    run(too_many, show=False)
    restless = stability(tmp_path / "nine", trials=8, show=False)
    assert restless.stays.mean() < found.stays.mean()
    table = restless.table()
    assert table["stays"].astype(float).is_monotonic_increasing


def test_stability_from_the_command_line(command: Command, config_file: Path, tmp_path: Path) -> None:
    assert command("run", config_file, "--quiet", "--set", "clusters.n_clusters=2..4").returncode == 0
    done = command("stability", tmp_path / "out", "--trials", "3", "--quiet")
    assert done.returncode == 0, done.stderr
    assert "trials    3, adjusted Rand index to the run: median " in done.stdout
    assert pd.read_csv(tmp_path / "out/stability.csv", dtype={"id": str})["id"].nunique() == 12
    assert command("stability", tmp_path / "nothing").returncode == 1


def test_score_without_truth(command: Command, config_file: Path, tmp_path: Path) -> None:
    run(load_config(config_file, ["clusters.transform=[l2]"]), show=False)
    done = command("score", tmp_path / "out", "--out", tmp_path / "scores")
    assert done.returncode == 0, done.stderr
    found = score_run(tmp_path / "out")
    vectors = features_of_run(tmp_path / "out").vectors
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert found.scores.silhouette == pytest.approx(silhouette_score(unit, found.labels), abs=1e-5)
    assert f"{found.scores.silhouette:.5g}  silhouette, from -1 to 1" in done.stdout
    table = pd.read_csv(tmp_path / "scores/images.csv", dtype={"id": str})
    assert (len(table), table["sureness"].is_monotonic_increasing, table["sureness"].min() >= 0) == (12, True, True)
    assert command("score", tmp_path / "out", "--json").stdout.startswith("{")
    assert command("score", tmp_path / "nothing").returncode == 1


# --- new images ---


def test_assign_gives_the_run_its_own_labels(command: Command, config_file: Path, tmp_path: Path) -> None:
    assert command("run", config_file, "--quiet").returncode == 0
    strange = tmp_path / "pictures" / "strange.png"
    write_picture(strange, np.random.default_rng(0).integers(0, 256, (90, 90, 3)).astype(np.uint8))
    (tmp_path / "pictures" / "broken.jpg").write_bytes(b"no picture")
    done = command("assign", tmp_path / "out", tmp_path / "pictures", "--out", tmp_path / "new.csv", "--quiet")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "new.csv", dtype=str, keep_default_na=False).set_index("id")
    own = pd.read_csv(tmp_path / "out/clusters.csv", dtype=str).set_index("id")
    for id, row in own.iterrows():
        placed = table.loc[f"{id}.jpg"]
        assert (placed["cluster"], placed["runner_up"], placed["new"]) == (row["cluster"], row["runner_up"], "no")
        assert float(placed["distance"]) == pytest.approx(float(row["distance"]), rel=1e-3)
    assert (table.loc["strange.png", "new"], table.loc["broken.jpg", "status"]) == ("yes", "failed")
    again = command("assign", tmp_path / "out", tmp_path / "pictures", "--out", tmp_path / "new.csv")
    assert (again.returncode, "overwrite it with --force" in again.stderr) == (1, True)
    one = command("assign", tmp_path / "out", strange, "--out", tmp_path / "one.csv", "--quiet")
    assert one.returncode == 0
    assert (tmp_path / "one.csv").read_text().count("\n") == 2


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["clusters.method=agglomerative"], "clusters by agglomerative are those of the run's own images"),
        (["clusters.order=sequence"], "clusters by sequence are those of the run's own images"),
        pytest.param(
            ["clusters.transform=[{umap: 2}]"],
            "umap has coordinates for the images of its run alone",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_assign_says_what_it_cannot(
    command: Command, config_file: Path, tmp_path: Path, overrides: list[str], words: str
) -> None:
    if "umap" in overrides[0]:
        pytest.importorskip("umap")
    changed = [part for override in overrides for part in ("--set", override)]
    done = command("run", config_file, "--quiet", *changed)
    assert done.returncode == 0, done.stderr
    done = command("assign", tmp_path / "out", tmp_path / "pictures", "--out", tmp_path / "new.csv", "--quiet")
    assert (done.returncode, words in done.stderr) == (1, True)
    assert not (tmp_path / "new.csv").exists()


def test_assign_refuses_features_of_other_numerics(command: Command, config_file: Path, tmp_path: Path) -> None:
    assert command("run", config_file, "--quiet").returncode == 0
    record = (tmp_path / "out/run.json").read_text()
    (tmp_path / "out/run.json").write_text(record.replace('"runtime": "auto"', '"runtime": "torch"'))
    done = command("assign", tmp_path / "out", tmp_path / "pictures", "--out", tmp_path / "new.csv", "--quiet")
    assert done.returncode == 1
    assert "run its config again here" in done.stderr


# --- a first config ---


def test_init_writes_a_config_that_runs(command: Command, tmp_path: Path, pictures: Path) -> None:
    rows = "".join(f"{number:04d},{1 + number % 3}\n" for number in range(12))
    (tmp_path / "sample.csv").write_text(f"ImageID,label\n{rows}")
    done = command("init", pictures, "--ids", tmp_path / "sample.csv", "--out", tmp_path / "mine.yaml")
    assert done.returncode == 0, done.stderr
    assert "images    12: from 48 x 40 to 48 x 40 pixels" in done.stdout
    config = load_config(tmp_path / "mine.yaml")
    assert (config.images.file, config.images.id_column, config.clusters.n_clusters) == ("{id}.jpg", "ImageID", 3)
    assert (config.outputs.label_column, config.outputs.label_offset) == ("label", 1)
    text = (tmp_path / "mine.yaml").read_text()
    assert text.startswith(f"# python -m imgcluster run {tmp_path / 'mine.yaml'}\n# images    12: from ")
    run_it = command("run", tmp_path / "mine.yaml", "--quiet", "--set", "features.backbone=efficientnet_lite0")
    assert run_it.returncode == 0, run_it.stderr
    labels = pd.read_csv(tmp_path / "outputs/mine/submission.csv")["label"]
    assert sorted(labels.unique()) == [1, 2, 3]
    again = command("init", pictures, "--out", tmp_path / "mine.yaml")
    assert (again.returncode, "overwrite it with --force" in again.stderr) == (1, True)


@pytest.mark.parametrize(
    ("names", "ids", "pattern"),
    [
        (["a/1.png", "a/2.png"], ["1", "2"], "a/{id}.png"),
        (["x.jpg", "y.jpg"], ["x.jpg", "y.jpg"], "{id}"),
        (["img_7.png", "img_8.png"], ["img_7", "img_8"], "{id}.png"),
        (["a/x.png", "a/y.png"], ["a/x.png", "a/y.png"], "{id}"),
        (["a{b}/1.png", "a{b}/2.png"], ["1", "2"], "a{b}/{id}.png"),
    ],
)
def test_init_finds_how_ids_become_files(tmp_path: Path, names: list[str], ids: list[str], pattern: str) -> None:
    for name in names:
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(path, np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "ids.csv").write_text("name\n" + "\n".join(ids) + "\n")
    write_first_config(tmp_path / "pictures", tmp_path / "ids.csv", tmp_path / "c.yaml")
    config = yaml.safe_load((tmp_path / "c.yaml").read_text())
    assert config["images"]["file"] == pattern
    assert config["clusters"]["n_clusters"] == "auto"


@pytest.mark.parametrize(
    ("header", "cells", "wanted"),
    [
        ("note,label", ["x,1", "x,2", "x,1", "x,2"], ("label", 1, 2)),
        ("Target,note", ["0,x", "1,x", "0,x", "1,x"], ("Target", 0, 2)),
        ("kind", ["2", "3", "2", "3"], ("kind", 0, 2)),
        ("label", ["sea", "1", "sea", "1"], ("label", 0, 2)),
        ("label", ["1", "1", "1", "1"], ("label", 1, "auto")),  # labels begin there
        ("label", ["1", "2", "3", "1"], ("label", 1, "auto")),  # too few rows to show all of them
    ],
)
def test_init_looks_at_the_labels(
    tmp_path: Path, pictures: Path, header: str, cells: list[str], wanted: tuple[str, int, int | str]
) -> None:
    rows = "".join(f"{number:04d},{cell}\n" for number, cell in enumerate(cells))
    (tmp_path / "ids.csv").write_text(f"id,{header}\n{rows}")
    write_first_config(pictures, tmp_path / "ids.csv", tmp_path / "c.yaml")
    config = load_config(tmp_path / "c.yaml")
    assert (config.outputs.label_column, config.outputs.label_offset, config.clusters.n_clusters) == wanted


@pytest.mark.parametrize("count", [1, 4])
def test_equal_points_have_components_without_a_warning(count: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, _ = fit_transform(np.ones((count, 8), np.float32), [{"pca": 1}], 0)
    assert found.tolist() == [[0.0]] * count


def test_init_tells_the_smallest_and_the_largest_size(tmp_path: Path) -> None:
    for name, (width, height) in {"a": (30, 60), "b": (20, 80), "c": (50, 70)}.items():
        (tmp_path / "pictures").mkdir(exist_ok=True)
        write_picture(tmp_path / "pictures" / f"{name}.png", np.zeros((height, width, 3), np.uint8))
    words = write_first_config(tmp_path / "pictures", None, tmp_path / "c.yaml")
    assert words[0] == "images    3: from 20 x 60 to 50 x 80 pixels"


def test_init_writes_a_config_where_a_few_files_are_missing(tmp_path: Path, pictures: Path) -> None:
    (pictures / "0004.jpg").unlink()
    write_template(tmp_path / "ids.csv", range(12))
    said = write_first_config(pictures, tmp_path / "ids.csv", tmp_path / "c.yaml")
    (note,) = [line for line in said if "have no file" in line]
    assert note.startswith("note: 1 of 12 ids have no file, the first '0004'; the config has images.missing: skip, ")
    config = load_config(tmp_path / "c.yaml")
    assert config.images.missing == "skip"
    assert len(check(config)) == 12


def test_init_tells_ids_without_files(tmp_path: Path, pictures: Path) -> None:
    (tmp_path / "ids.csv").write_text("name\nnobody\n")
    with pytest.raises(ConfigError, match=r"no image below .* is called 'nobody'$"):
        write_first_config(pictures, tmp_path / "ids.csv", tmp_path / "c.yaml")
    assert not (tmp_path / "c.yaml").exists()
