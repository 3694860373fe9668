"""Clusters of vectors that stay in a store: as those in memory, whatever the shards, the workers and their number."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster
from sklearn.metrics import adjusted_rand_score

import imgcluster
from imgcluster import pipeline
from imgcluster.cli.format.clustering import stability_lines
from imgcluster.cli.format.scores import inner_scores_lines
from imgcluster.clustering.cluster import centroid_distances, cluster_features
from imgcluster.clustering.fitted import Clusterer
from imgcluster.clustering.kmeans import dask as streamed_kmeans
from imgcluster.clustering.streamed import cluster as streamed_clusters
from imgcluster.clustering.streamed import points as streamed_points
from imgcluster.clustering.streamed.cluster import cluster_stored, should_use_dask
from imgcluster.config.loader import ClustersConfig
from imgcluster.errors import ClusteringError, ConfigError, StoreError
from imgcluster.evaluation.cluster_stability import stability
from imgcluster.evaluation.internal import score_run
from imgcluster.features.store import reader as stored_module
from imgcluster.features.store.reader import Chunk, Part, StoredVectors
from imgcluster.features.transforms import apply_transform, fit_steps
from imgcluster.images.listing import list_images
from imgcluster.pipeline import Run
from imgcluster.report.gather import gather
from imgcluster.report.write import write_report
from imgcluster.runs.clusterer import read_clusterer
from imgcluster.runs.features import features_of_run
from imgcluster.runs.finished import read_run
from imgcluster.types import Clusters
from imgcluster.utils.storage import RemotePath, Storage
from tests.conftest import Command, write_pictures
from tests.support.servers import S3Server, WebServer

ARRAYS = ("labels", "distance", "runner_up", "runner_up_distance", "sizes")
ROWS, DIM, GROUPS = 3000, 64, 5


def blobs(rows: int = ROWS, groups: int = GROUPS, spread: float = 1.0) -> np.ndarray:
    generator = np.random.default_rng(1)
    centres = generator.normal(0, 4, (groups, DIM))
    return (centres[generator.integers(0, groups, rows)] + generator.normal(0, spread, (rows, DIM)) + 1).astype("f4")


def a_store(folder: Path, vectors: np.ndarray, shards: int = 7, seed: int = 0) -> StoredVectors:
    """Shards of rows in any order, with a row at the head of each that is of no image of the run."""
    folder.mkdir()
    chunks = []
    shuffled = np.random.default_rng(seed).permutation(len(vectors))
    for number, places in enumerate(np.array_split(shuffled, shards)):
        path = folder / f"vectors-{number:05d}.npy"
        np.save(path, np.concatenate([np.full((1, vectors.shape[1]), 1e6, np.float32), vectors[places]]))
        chunks.append(Chunk(path, np.arange(1, len(places) + 1), places))
    return StoredVectors(chunks, vectors.shape[1], len(vectors))


def config(n_clusters: int | str = GROUPS, **keys: Any) -> ClustersConfig:
    return ClustersConfig(method="kmeans", n_clusters=n_clusters, **keys)


def streamed(stored: StoredVectors, wanted: ClustersConfig, client: Client | None = None, **keys: Any) -> Clusters:
    return cluster_stored(stored, None, wanted, client, show=False, **keys)


def assert_same_bits(found: Clusters, wanted: Clusters) -> None:
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), err_msg=name)
    assert found.state.keys() == wanted.state.keys()
    for name, value in wanted.state.items():
        np.testing.assert_array_equal(found.state[name], value, err_msg=name)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(streamed_points, "BLOCK_BYTES", 512 * 1024)
    return 512 * 1024


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Client]:
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        yield client


@pytest.mark.parametrize(
    "transform", [(), ("l2",), ("sqrt", "l2"), ("standardize",), ({"pca": 8},), ("l2", {"pca": 0.9}), ({"whiten": 4},)]
)
def test_clusters_are_those_found_in_memory(tmp_path: Path, small_blocks: int, transform: tuple[Any, ...]) -> None:
    vectors = blobs()
    wanted = cluster_features(vectors, config(transform=transform), show=False)
    found = streamed(a_store(tmp_path / "s", vectors), config(transform=transform))
    assert adjusted_rand_score(found.labels, wanted.labels) == 1.0
    assert sorted(found.sizes) == sorted(wanted.sizes)
    for number in range(len(transform)):
        for key in (key for key in wanted.state if key.startswith(f"{number}_")):
            np.testing.assert_allclose(found.state[key], wanted.state[key], atol=2e-4, err_msg=key)


def test_distances_and_the_rule_are_those_of_the_centroids_found(tmp_path: Path, small_blocks: int) -> None:
    vectors = blobs()
    found = streamed(a_store(tmp_path / "s", vectors), config(transform=("standardize", {"pca": 16})))
    distances = centroid_distances(apply_transform(vectors, found.state), found.state["centroids"])
    rows = np.arange(len(vectors))
    np.testing.assert_array_equal(found.labels, distances.argmin(axis=1))
    np.testing.assert_allclose(found.distance, distances[rows, found.labels], rtol=1e-5)
    distances[rows, found.labels] = np.inf
    np.testing.assert_array_equal(found.runner_up, distances.argmin(axis=1))
    np.testing.assert_allclose(found.runner_up_distance, distances.min(axis=1), rtol=1e-5)
    np.testing.assert_allclose(found.state["reach"], [found.distance[found.labels == n].max() for n in range(GROUPS)])
    assert set(found.state) >= {"centroids", "reach", "rule_centres", "rule_labels", "method", "steps"}


def test_new_images_are_placed_by_what_is_kept(tmp_path: Path) -> None:
    vectors = blobs()
    found = streamed(a_store(tmp_path / "s", vectors), config(transform=("l2",), numbering="size"))
    np.savez(tmp_path / "clusterer.npz", **found.state)
    placed = Clusterer(read_clusterer(tmp_path)).place(vectors)
    np.testing.assert_array_equal(placed.labels, found.labels)


@pytest.mark.slow
def test_shards_and_workers_make_no_difference(tmp_path: Path, small_blocks: int, two_workers: Client) -> None:
    vectors = blobs(groups=30, spread=4.0)  # no clear clusters: a bit that differs would become another label
    wanted = config(7, transform=("l2", {"pca": 16}))
    here = streamed(a_store(tmp_path / "a", vectors, 7), wanted)
    assert_same_bits(streamed(a_store(tmp_path / "b", vectors, 3, seed=9), wanted), here)
    assert_same_bits(streamed(a_store(tmp_path / "c", vectors, 5, seed=2), wanted, two_workers), here)
    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=":0") as cluster, Client(cluster) as one:
        assert_same_bits(streamed(a_store(tmp_path / "d", vectors, 4, seed=3), wanted, one), here)


@pytest.mark.slow
def test_points_too_large_for_the_workers_are_read_again_each_time(
    tmp_path: Path, small_blocks: int, two_workers: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = blobs()
    held = streamed(a_store(tmp_path / "a", vectors), config(), two_workers)
    monkeypatch.setattr(streamed_kmeans, "HELD_SHARE", 0)
    monkeypatch.setattr(Client, "persist", lambda *_: pytest.fail("held all the same"))
    assert_same_bits(streamed(a_store(tmp_path / "b", vectors), config(), two_workers), held)


def test_no_more_than_a_block_is_read_at_a_time(
    tmp_path: Path, small_blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    whole = stored_module.read_block
    vectors = blobs()

    def counted(parts: Any, count: int, dim: int) -> np.ndarray:
        read.append(count)
        return whole(parts, count, dim)

    monkeypatch.setattr(streamed_points, "read_block", counted)
    streamed(a_store(tmp_path / "s", vectors), config(transform=("standardize", {"pca": 8})))
    block = streamed_points.StreamedPoints.of(a_store(tmp_path / "t", vectors), 8 * streamed_kmeans.drawn(GROUPS))
    assert max(read) == block.block_rows <= small_blocks // (4 * DIM)
    assert block.block_rows < ROWS / 4
    assert set(read) == {block.block_rows, ROWS % block.block_rows}


def test_every_place_is_there_once(tmp_path: Path) -> None:
    vectors = blobs(100)
    stored = a_store(tmp_path / "s", vectors)
    np.testing.assert_array_equal(stored.take(np.arange(100)), vectors)
    for chunk in stored.chunks:
        np.testing.assert_array_equal(stored.take(chunk.places), vectors[chunk.places])
    with pytest.raises(ValueError, match="each of 101 places once"):
        StoredVectors(stored.chunks, DIM, 101)
    with pytest.raises(ValueError, match="each of 100 places once"):
        StoredVectors([*stored.chunks, stored.chunks[0]], DIM, 100)


def test_a_sample_is_drawn_by_its_seed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = blobs(1000)
    one, other = a_store(tmp_path / "a", vectors), a_store(tmp_path / "b", vectors, 3, seed=5)
    read: list[int] = []
    rows = stored_module.read_rows
    monkeypatch.setattr(stored_module, "read_rows", lambda path, r, dim: (read.append(len(r)), rows(path, r, dim))[1])
    drawn, places = one.sample(50, 3)
    assert sum(read) == 50
    np.testing.assert_array_equal(drawn, vectors[places])
    np.testing.assert_array_equal(other.sample(50, 3)[1], places)
    assert (np.diff(places) > 0).all()
    assert len(one.sample(5000, 3)[1]) == 1000


def test_rows_behind_a_url_are_fetched_as_ranges(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    vectors = np.arange(20_000 * 8, dtype=np.float32).reshape(-1, 8)
    with memory.open("/shards/vectors.npy", "wb") as file:
        np.save(file, vectors)
    rows = np.array([19_999, 3, 4, 7, 3, 12_000])
    url = RemotePath("memory://shards/vectors.npy")
    np.testing.assert_array_equal(stored_module.read_rows(url, rows, 8), vectors[rows])
    assert stored_module.read_rows(url, rows[:0], 8).shape == (0, 8)
    with pytest.raises(StoreError, match="damaged"):
        stored_module.read_rows(url, np.array([20_000]), 8)
    with pytest.raises(StoreError, match="is gone"):
        stored_module.read_rows(RemotePath("memory://shards/none.npy"), rows, 8)


@pytest.mark.parametrize("where", ["here", pytest.param("workers", marks=pytest.mark.slow)])
@pytest.mark.parametrize("damage", ["gone", "cut off", "other vectors", "no array"])
def test_a_shard_that_is_lost_is_told_in_a_line(
    tmp_path: Path, request: pytest.FixtureRequest, damage: str, where: str
) -> None:
    stored = a_store(tmp_path / "s", blobs(300))
    path = Path(stored.chunks[2].path)
    if damage == "gone":
        path.unlink()
    elif damage == "other vectors":
        np.save(path, np.zeros((300, 3), np.float32))
    else:
        path.write_bytes(path.read_bytes()[: 5000 if damage == "cut off" else 4])
    with pytest.raises(StoreError, match=r"vectors-00002\.npy' is (gone|damaged)") as told:
        streamed(stored, config(), request.getfixturevalue("two_workers") if where == "workers" else None)
    assert "\n" not in str(told.value)


@pytest.fixture
def far_away(s3: S3Server, tmp_path: Path) -> tuple[StoredVectors, S3Server, str]:
    """The store of `blobs(300)` in a bucket, the server, and the bucket's name."""
    here = a_store(tmp_path / "shards", blobs(300))
    bucket = f"shards-{uuid4().hex[:8]}"
    url = s3.put_folder(tmp_path / "shards", bucket)
    folder = RemotePath(url, Storage(s3.storage))
    chunks = [replace(chunk, path=folder / chunk.path.name) for chunk in here.chunks]
    return StoredVectors(chunks, DIM, 300), s3, bucket


@pytest.fixture
def new_worker() -> Iterator[Client]:
    """One that has done nothing yet, with the environment of the test."""
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        yield client


@pytest.mark.slow
def test_workers_reach_the_store_as_the_config_says(
    tmp_path: Path, far_away: tuple[StoredVectors, S3Server, str], new_worker: Client
) -> None:
    here = streamed(a_store(tmp_path / "s", blobs(300)), config(transform=("l2",)))
    assert_same_bits(streamed(far_away[0], config(transform=("l2",)), new_worker), here)
    new_worker.restart()
    assert_same_bits(streamed(far_away[0], config(transform=("l2",)), new_worker), here)


@pytest.mark.slow
def test_a_shard_that_is_lost_far_away_is_told_in_a_line(
    far_away: tuple[StoredVectors, S3Server, str], new_worker: Client
) -> None:
    stored, s3, bucket = far_away
    s3.client.delete_object(Bucket=bucket, Key="vectors-00002.npy")
    with pytest.raises(StoreError) as told:
        streamed(stored, config(), new_worker)
    assert str(told.value) == f"'s3://{bucket}/vectors-00002.npy' is gone from the store; run the config again"


@pytest.mark.slow
def test_a_store_that_refuses_is_told_in_a_line(tmp_path: Path, web: WebServer, new_worker: Client) -> None:
    """What aiohttp raises of an answer cannot be sent; together with it, ours would arrive as the repr of itself."""
    web.fault = lambda handler: handler.send(403) or True
    here = a_store(tmp_path / "s", blobs(300))
    place = RemotePath(f"{web.url}/vectors.npy")
    stored = StoredVectors([replace(each, path=place) for each in here.chunks], DIM, 300)
    with pytest.raises(StoreError) as told:
        streamed(stored, config(), new_worker)
    assert str(told.value) == f"'{web.url}/vectors.npy' cannot be read: no permission to read it"


class Deadly:
    """Rows that end the process which looks at them, as a lack of memory would."""

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        os._exit(1)


@pytest.mark.slow
def test_workers_that_end_are_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = a_store(tmp_path / "s", blobs(60))
    monkeypatch.setattr(StoredVectors, "parts", lambda self, places: [Part(self.chunks[0].path, Deadly(), places)])
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
        ) as cluster,
        Client(cluster) as client,
        pytest.raises(ClusteringError, match="most likely for lack of memory"),
    ):
        streamed(stored, config(), client)


def test_a_cluster_that_is_gone_is_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = a_store(tmp_path / "s", blobs(60))
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0", processes=False) as cluster:
        with Client(cluster) as client:
            pass
        with pytest.raises(ClusteringError, match=r"the connection to the cluster is lost .* run the config again"):
            streamed(stored, config(), client)


def test_what_cannot_be_clustered_is_told_as_in_memory(tmp_path: Path) -> None:
    vectors = blobs(40)
    with pytest.raises(ClusteringError, match="41 clusters need at least as many readable images; there are 40"):
        streamed(a_store(tmp_path / "a", vectors), config(41))
    with pytest.raises(ClusteringError, match="pca: 41 is more than 40 images of 64 values allow; at most 40"):
        streamed(a_store(tmp_path / "b", vectors), config(transform=({"pca": 41},)))
    with pytest.raises(ClusteringError, match="umap needs all features in memory"):
        streamed(a_store(tmp_path / "c", vectors), config(transform=({"umap": 2},)))
    with pytest.raises(ClusteringError, match="dask has K-Means alone"):
        streamed(a_store(tmp_path / "d", vectors), ClustersConfig(method="birch", n_clusters=3))
    vectors[3, 0], vectors[7] = np.nan, np.inf
    with pytest.raises(ClusteringError, match="the features of 2 images are not finite"):
        streamed(a_store(tmp_path / "e", vectors), config(transform=("l2",)))


def test_numbers_and_probabilities_are_as_in_memory(tmp_path: Path, small_blocks: int) -> None:
    vectors = blobs()
    (tmp_path / "truth.csv").write_text("id,label\n0,7\n1,3\n")
    for numbering in ("size", "first_appearance", f"truth:{tmp_path / 'truth.csv'}"):
        wanted = config(numbering=numbering)
        ids = [str(row) for row in range(len(vectors))]
        found = cluster_stored(a_store(tmp_path / numbering[:4], vectors), ids, wanted, None, soft=True, show=False)
        if numbering.startswith("truth"):
            assert (found.labels[0], found.labels[1]) == (7, 3)
            assert len(found.sizes) == 8
        else:
            theirs = cluster_features(vectors, wanted, soft=True, show=False)
            np.testing.assert_array_equal(found.labels, theirs.labels)
            np.testing.assert_allclose(found.probabilities, theirs.probabilities, atol=1e-4)
        assert found.probabilities is not None
        np.testing.assert_array_equal(found.probabilities.argmax(axis=1), found.labels)


def test_a_number_left_open_is_found_on_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed_clusters, "SAMPLED_ABOVE", 500)
    found = streamed(a_store(tmp_path / "s", blobs()), config("2..8"))
    assert len(found.sizes) == GROUPS
    assert found.notes[0].startswith(f"{GROUPS} clusters, chosen by the modularity")
    assert found.notes[0].endswith("on 500 of 3,000 images")


def test_centroids_without_images_get_those_far_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """dask-ml leaves a centroid that loses its images at the mean of all."""
    vectors = blobs()
    stored = a_store(tmp_path / "s", vectors)
    lost = np.zeros((GROUPS, DIM), np.float32)
    lost[:] = 1e4
    lost[0] = 0
    fits: list[np.ndarray | None] = []

    def fit(array: Any, config: Any, seeds: np.ndarray | None) -> np.ndarray:
        fits.append(seeds)
        return lost if seeds is None else whole(array, config, seeds)

    whole = streamed_kmeans.fit_by_dask_ml
    monkeypatch.setattr(streamed_kmeans, "fit_by_dask_ml", fit)
    found = streamed(stored, config())
    assert len(fits) > 1
    assert (found.sizes > 0).all()


@pytest.mark.parametrize("distinct", [1, 3])
def test_fewer_points_than_clusters_end_and_are_told(tmp_path: Path, distinct: int) -> None:
    vectors = blobs(distinct)[np.arange(60) % distinct]
    found = streamed(a_store(tmp_path / "s", vectors), config(5))
    assert (found.sizes > 0).sum() == distinct
    assert f"{distinct} of 5 clusters have images: no more of them have features of their own" in found.notes
    assert np.isfinite(found.state["centroids"]).all()
    np.testing.assert_allclose(found.distance, 0, atol=1e-4)
    assert (found.sizes[centroid_distances(vectors, found.state["centroids"]).argmin(axis=1)] > 0).all()


def test_one_cluster_has_no_runner_up(tmp_path: Path) -> None:
    found = streamed(a_store(tmp_path / "s", blobs(50)), config(1))
    assert found.sizes.tolist() == [50]
    assert (found.runner_up == -1).all()
    assert np.isinf(found.runner_up_distance).all()


def test_the_unit_of_the_features_is_no_matter(tmp_path: Path) -> None:
    """dask-ml alone would draw no seeds of small values, and iterate without end over large ones."""
    vectors = blobs()
    labels = [
        streamed(a_store(tmp_path / str(unit), (vectors * unit).astype("f4")), config()).labels
        for unit in (1e-6, 1.0, 1e6)
    ]
    assert adjusted_rand_score(labels[0], labels[1]) == adjusted_rand_score(labels[2], labels[1]) == 1.0


def test_dask_and_its_log_are_left_as_they_were(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before, logger = dict(dask.config.config), logging.getLogger("dask_ml.cluster.k_means")
    log = logger.level, logger.propagate, list(logger.handlers)
    few = blobs(3)[np.arange(60) % 3]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = streamed(a_store(tmp_path / "s", few), config(n_init=2))  # scikit-learn would warn: 3 distinct, 5 asked
    assert {record.getMessage() for record in caplog.records} <= {"Found fewer than 5 clusters in init (found 3)."}
    assert (logger.level, logger.propagate, logger.handlers) == log
    assert dict(dask.config.config) == before
    assert found.notes[0] == (
        "K-Means of dask-ml, over the store: one start by k-means||, of which clusters.n_init counts the choices of "
        "5 seeds"
    )


def test_progress_says_that_clusters_are_being_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cluster_stored(a_store(tmp_path / "s", blobs(200)), None, config(), None, show=True)
    assert "clustering: 0 runs of K-Means" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("keys", "bytes_", "engine", "wanted"),
    [
        ({}, 1000, True, False),
        ({}, 2000, True, True),
        ({}, 2000, False, False),
        ({"backend": "sklearn"}, 2000, True, False),
        ({"backend": "dask"}, 10, False, True),
        ({"parameters": {"tol": 0.1}}, 2000, True, False),
    ],
)
def test_auto_takes_dask_when_memory_does_not_suffice(
    monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any], bytes_: int, engine: bool, wanted: bool
) -> None:
    monkeypatch.setattr(streamed_clusters, "free_memory", lambda: 4000)
    assert should_use_dask(config(**keys), bytes_, engine) is wanted


def test_other_methods_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed_clusters, "free_memory", lambda: 1)
    assert not should_use_dask(ClustersConfig(method="birch", n_clusters=3), 2000, True)
    monkeypatch.setattr(streamed_clusters, "free_memory", lambda: None)
    assert not should_use_dask(config(), 2000, True)


@pytest.mark.parametrize(("package", "name"), [("dask", "dask"), ("dask_ml", "dask-ml")])
def test_a_package_that_lacks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, name: str
) -> None:
    for module in [each for each in sys.modules if each.split(".")[0] == package]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf'{name} is not installed; pip install "imgcluster\[dask\]"'):
        streamed(a_store(tmp_path / "s", blobs(50)), config())


OF_THE_ENGINE = ("run", "check", "fill_store", "sweep_clusters")
LACKING = {
    "distributed": ("engine=dask", OF_THE_ENGINE, "engine: dask needs the packages of its extra"),
    "dask": ("clusters.backend=dask", ("run", "check"), "clusters.backend: dask is not installed"),
    "dask_ml": ("clusters.backend=dask", ("run", "check"), "clusters.backend: dask-ml is not installed"),
}


@pytest.mark.parametrize("package", LACKING)
def test_a_package_that_lacks_is_named_before_any_work(
    config_file: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    override, calls, told = LACKING[package]
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(pipeline, "list_images", lambda _: pytest.fail("listed the images first"))
    for name in calls:
        with pytest.raises(ConfigError) as error:
            getattr(pipeline, name)(imgcluster.load_config(config_file, [override]))
        assert str(error.value) == f'{told}; pip install "imgcluster[dask]"'


def test_nothing_is_listed_or_stored_for_an_engine_that_lacks(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`extract_listed` is what commands other than `run` call."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    wanted = imgcluster.load_config(config_file, ["engine=dask"])
    with pytest.raises(ConfigError, match="engine: dask needs"):
        pipeline.extract_listed(list_images(wanted.images)[0], wanted, show=False)
    assert not (tmp_path / "store").exists()


def test_a_gpu_is_asked_for_where_the_work_is_done(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    far_away = 'engine={"dask": {"address": "tcp://127.0.0.1:9"}}'
    assert len(imgcluster.check(imgcluster.load_config(config_file, ["features.device=cuda", far_away]))) == 12
    for engine in ("engine=local", "engine=dask"):
        with pytest.raises(ConfigError, match=r"features\.device"):
            imgcluster.check(imgcluster.load_config(config_file, ["features.device=cuda", engine]))


def test_steps_in_memory_and_streamed_are_applied_alike(tmp_path: Path, small_blocks: int) -> None:
    vectors = blobs()
    steps = ("sqrt", "standardize", {"whiten": 3}, "l2")
    found = streamed(a_store(tmp_path / "s", vectors), config(transform=steps))
    points, _ = fit_steps(vectors, steps, 42)
    np.testing.assert_allclose(np.abs(apply_transform(vectors, found.state)), np.abs(points.array()), atol=1e-3)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run over 24 pictures and a broken one, clustered out of the store; not to be changed."""
    home = tmp_path_factory.mktemp("run")
    write_pictures(home / "pictures", range(24))
    (home / "pictures" / "0003a.jpg").write_bytes(b"no picture")
    return imgcluster.run(run_config(home, "dask"), show=False)


def run_config(home: Path, backend: str) -> imgcluster.Config:
    return imgcluster.config_from_dict(
        {
            "images": {"folder": str(home / "pictures")},
            "features": {"backbone": "efficientnet_lite0", "store": str(home / "store")},
            "clusters": {"method": "kmeans", "n_clusters": 3, "backend": backend, "numbering": "size"},
            "outputs": {"folder": str(home / backend)},
        }
    )


def test_a_run_clusters_out_of_its_store(finished: Run) -> None:
    theirs = imgcluster.run(run_config(finished.folder.parent, "sklearn"), show=False)
    assert finished.features.vectors.shape == (24, 0)
    assert adjusted_rand_score(finished.clusters.labels, theirs.clusters.labels) == 1.0
    record = json.loads((finished.folder / "run.json").read_bytes())
    assert record["notes"][0].startswith("K-Means of dask-ml, over the store")
    assert record["counts"]["clustered"] == 24
    ours, wanted = ((run.folder / "clusters.csv").read_text().splitlines() for run in (finished, theirs))
    assert [row.split(",")[0::6] for row in ours] == [row.split(",")[0::6] for row in wanted]
    assert (finished.folder / "submission.csv").read_text().count("\n") == 26
    facts = gather(read_run(finished.folder))
    assert (len(facts.looked), facts.lacking) == (24, "")
    assert facts.likeness is not None


@pytest.fixture
def short_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgcluster.utils.system.free_memory", lambda: 1)
    for module in ("report.gather", "evaluation.internal", "evaluation.cluster_stability"):
        monkeypatch.setattr(f"imgcluster.{module}.SAMPLED_ABOVE", 10)


@pytest.mark.usefixtures("short_of_memory")
def test_a_report_is_of_a_sample_where_memory_is_short(finished: Run, tmp_path: Path) -> None:
    facts = gather(read_run(finished.folder))
    told = "Map, silhouettes, neighbours and near-duplicates are of 10 of 24 images, drawn: the features of all"
    assert facts.lacking == f"{told} do not fit into memory."
    assert (len(facts.looked), len(facts.fine), len(facts.ids)) == (10, 24, 25)
    assert facts.failed.tolist().index(True) not in facts.looked.tolist()
    others = np.setdiff1d(np.arange(25), facts.looked)
    assert facts.places is not None
    assert np.isfinite(facts.places[facts.looked]).all()
    assert np.isnan(facts.places[others]).all()
    assert np.isnan(facts.silhouette[others]).all()
    assert facts.scores is not None
    assert facts.scores.sampled == 10
    some = features_of_run(finished.folder, sampled=10)
    every = features_of_run(finished.folder)
    assert some.drawn is not None
    np.testing.assert_array_equal(some.vectors, every.vectors[some.drawn])
    assert [facts.ids[row] for row in facts.looked] == some.ids
    copy = Path(shutil.copytree(finished.folder, tmp_path / "run"))
    page = write_report(copy, show=False).read_text()
    assert told in page
    assert json.loads((copy / "report" / "report.json").read_bytes())["sampled"] == 10
    near = json.loads((copy / "report" / "near" / "0.js").read_text().partition("=")[2].strip(" ;\n"))
    assert [row for row, others in enumerate(near) if others] == facts.looked.tolist()
    assert {other for others in near for other, _ in others} <= set(facts.looked.tolist())


@pytest.mark.usefixtures("short_of_memory")
def test_scores_are_of_a_sample_where_memory_is_short(finished: Run) -> None:
    note = "10 of 24 images, drawn: the features of all do not fit into memory"
    found = score_run(finished.folder)
    assert len(found.ids) == 10
    assert f"all scores are of {note}" in inner_scores_lines(found)
    trials = stability(finished.folder, trials=2, show=False)
    assert len(trials.ids) == 10
    assert f"of        {note}" in stability_lines(trials)


def test_all_are_looked_at_where_memory_suffices(finished: Run) -> None:
    assert len(score_run(finished.folder).ids) == 24
    assert not any("drawn" in line for line in inner_scores_lines(score_run(finished.folder)))
    assert features_of_run(finished.folder, sampled=10).drawn is None


@pytest.mark.slow
def test_a_run_of_what_is_stored_far_away_is_clustered_by_new_workers(
    s3: S3Server, config_file: Path, tmp_path: Path, command: Command
) -> None:
    bucket = f"run-{uuid4().hex[:8]}"
    s3.client.create_bucket(Bucket=bucket)
    sets = [
        f"features.store=s3://{bucket}/store",
        f"storage={json.dumps(s3.storage)}",
        'engine={"dask": {"workers": 2, "threads": 1}}',
        "clusters.backend=dask",
    ]
    options = [part for each in sets for part in ("--set", each)]
    assert command("extract", config_file, *options[:-4]).returncode == 0  # by this machine alone
    done = command("run", config_file, *options)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    record = json.loads((tmp_path / "out" / "run.json").read_bytes())
    assert record["notes"][0].startswith("K-Means of dask-ml, over the store")
