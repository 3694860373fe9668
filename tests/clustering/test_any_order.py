"""`method: auto` gives the same labels in any order of the images, with any number of threads, and for copies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

import imgcluster
from imgcluster.clustering.cluster import cluster_features
from imgcluster.config.loader import ClustersConfig, config_from_dict
from imgcluster.datasets.registry import write_sample
from imgcluster.evaluation.cluster_stability import stability
from imgcluster.features.copies import canonical_copies, find_copies
from imgcluster.features.transforms import Points, fit_steps
from imgcluster.labels import spread_labels, suggest_images
from imgcluster.types import Clusters
from imgcluster.utils import parallel
from tests import ROOT
from tests.support.feature_runs import blobs, config_of, noise

ORDERS = range(3)


def orders(count: int) -> list[np.ndarray]:
    return [np.random.default_rng(seed).permutation(count) for seed in ORDERS]


def digits(count: int) -> np.ndarray:
    return np.asarray(load_digits().data[:count], np.float32)


def mixed() -> np.ndarray:
    """Around centres so close that K-Means ends in other clusters from other starts."""
    return (np.repeat(noise(8, 64), 25, axis=0) + np.random.default_rng(1).normal(0, 1.5, (200, 64))).astype(np.float32)


VECTORS: dict[str, Callable[[], np.ndarray]] = {
    "digits": lambda: digits(400),
    "mixed": mixed,
    "few values": lambda: mixed()[:, :6],
    "equal images among them": lambda: digits(240)[np.arange(400) % np.repeat([240, 30], 200)],
    "all equal": lambda: np.tile(noise(1, 40), (30, 1)),
    "two": lambda: noise(2, 40),
    "one": lambda: noise(1, 40),
}


def assert_same(found: Clusters, wanted: Clusters, order: np.ndarray) -> None:
    """All that is said of an image is the same to the last bit."""
    for name in ("labels", "distance", "runner_up", "runner_up_distance", "probability", "probabilities"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name)[order], name)
    assert found.hierarchy is not None
    assert wanted.hierarchy is not None
    np.testing.assert_array_equal(found.hierarchy.finest, wanted.hierarchy.finest[order])
    np.testing.assert_array_equal(found.hierarchy.splits, wanted.hierarchy.splits)
    assert found.notes == wanted.notes
    assert found.chosen == wanted.chosen
    np.testing.assert_array_equal(found.state["centroids"], wanted.state["centroids"])


@pytest.mark.parametrize(
    ("name", "n_clusters"), [*((name, 10) for name in VECTORS), *((name, "auto") for name in list(VECTORS)[:-2])]
)
def test_any_order_gives_the_same_labels(name: str, n_clusters: int | str) -> None:
    vectors = VECTORS[name]()
    k = min(n_clusters, len(vectors)) if isinstance(n_clusters, int) else n_clusters
    config = ClustersConfig(n_clusters=k, numbering="size", n_init=3)
    wanted = cluster_features(vectors, config, soft=True, show=False)
    for order in orders(len(vectors)):
        assert_same(cluster_features(vectors[order], config, soft=True, show=False), wanted, order)


@pytest.mark.parametrize("transform", [["l2"], ["standardize", {"pca": 20}], [{"whiten": 0.9}]])
def test_so_do_transforms_of_a_config(transform: list[object]) -> None:
    vectors = VECTORS["equal images among them"]()
    config = ClustersConfig(n_clusters=9, transform=transform, n_init=3)
    wanted = cluster_features(vectors, config, soft=True, show=False)
    for order in orders(len(vectors)):
        assert_same(cluster_features(vectors[order], config, soft=True, show=False), wanted, order)


@pytest.mark.parametrize("n_clusters", [8, "auto"])
@pytest.mark.parametrize("times", [2, 3])
def test_copies_of_all_images_change_nothing(times: int, n_clusters: int | str) -> None:
    config = ClustersConfig(n_clusters=n_clusters, n_init=3)
    wanted = cluster_features(mixed(), config, show=False)
    rows = np.random.default_rng(0).permutation(np.tile(np.arange(200), times))
    found = cluster_features(mixed()[rows], config, show=False)
    np.testing.assert_array_equal(found.labels, wanted.labels[rows])
    np.testing.assert_array_equal(found.probability, wanted.probability[rows])  # type: ignore[index]  # `auto` has some
    assert found.chosen == wanted.chosen


def test_more_components_than_distinct_images_are_as_many_as_these() -> None:
    config = ClustersConfig(n_clusters=3, transform=[{"pca": 20}])
    found = cluster_features(np.repeat(noise(8, 40), 5, axis=0), config, show=False)
    assert found.state["0_components"].shape == (8, 40)


def test_features_that_differ_in_the_last_bits_give_the_same_labels() -> None:
    config = ClustersConfig(n_clusters=8, n_init=3)
    wanted = cluster_features(mixed(), config, show=False).labels
    for seed in ORDERS:
        nearly = mixed() * (1 + 1e-6 * np.random.default_rng(seed).normal(size=mixed().shape))
        np.testing.assert_array_equal(cluster_features(nearly.astype(np.float32), config, show=False).labels, wanted)


def test_large_vectors_are_read_in_their_order_and_give_the_same_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.concatenate([mixed(), mixed()[:50]])
    config = ClustersConfig(n_clusters=8, n_init=3)
    wanted = cluster_features(vectors, config, show=False).labels
    monkeypatch.setattr(parallel, "IN_MEMORY_BYTES", 40_000)  # less than the vectors take
    for order in (np.arange(250), *orders(250)):
        np.testing.assert_array_equal(cluster_features(vectors[order], config, show=False).labels, wanted[order])


def test_the_canonical_order_is_that_of_the_values() -> None:
    rows = mixed()[np.arange(300) % 200]
    plain, found = (find_copies(lambda part: rows[part], [slice(0, 300)]), Points(rows).canonical)
    np.testing.assert_array_equal(np.sort(found.first), plain.first)
    np.testing.assert_array_equal(rows[found.first][found.place], rows)
    assert (np.diff(found.place[found.order]) >= 0).all()
    for order in orders(300):
        moved = rows[order]
        shuffled = canonical_copies(lambda part, moved=moved: moved[part], [slice(0, 90), slice(90, 300)], 64)  # type: ignore[misc]  # the default binds it
        np.testing.assert_array_equal(moved[shuffled.first], rows[found.first])


def test_steps_are_fitted_to_chosen_rows_as_to_these_alone() -> None:
    rows = np.random.default_rng(0).permutation(200)[:150]
    for steps in (["sqrt", "l2", {"pca": 20}, "equalize", "l2"], ["standardize"], []):
        points, _ = fit_steps(np.abs(mixed()), steps, 0, rows)
        wanted, _ = fit_steps(np.abs(mixed())[rows], steps, 0)
        assert len(points) == 150
        np.testing.assert_allclose(points.array(), wanted.array(), atol=1e-4)
        np.testing.assert_array_equal(points.take(np.array([7, 3])), points.array()[[7, 3]])


@pytest.mark.parametrize("threads", [2, 3])
def test_products_of_chosen_rows_have_the_same_bits_for_any_number_of_threads(threads: int) -> None:
    vectors = noise(2000, 300)
    chosen, centre = Points(vectors, rows=np.arange(2000)), vectors.mean(axis=0)
    with threadpool_limits(1, user_api="blas"):
        wanted = chosen.scatter(centre)
        np.testing.assert_allclose(np.tril(wanted), np.tril(Points(vectors).scatter(centre)), rtol=1e-9, atol=1e-9)
    with threadpool_limits(threads, user_api="blas"):
        assert chosen.scatter(centre).tobytes() == wanted.tobytes()


THREADS = """
import sys
from hashlib import sha256
import numpy as np
from imgcluster.clustering.cluster import cluster_features
from imgcluster.config.loader import ClustersConfig
vectors = np.load(sys.argv[1])[np.random.default_rng(int(sys.argv[2])).permutation(10_200)]
found = cluster_features(vectors, ClustersConfig(n_clusters=12, n_init=2), show=False)
back = np.argsort(np.random.default_rng(int(sys.argv[2])).permutation(10_200))
for array in (found.state["2_components"], found.labels[back], found.distance[back], found.hierarchy.finest[back]):
    print(sha256(array.tobytes()).hexdigest())
"""
LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def test_many_images_have_the_same_labels_with_one_thread_and_two_and_in_any_order(tmp_path: Path) -> None:
    """So many that K-Means starts on some of them, and that an index finds their neighbours."""
    centres = np.repeat(noise(60, 300), 170, axis=0)  # of so many values, that BLAS shares them among threads
    np.save(tmp_path / "vectors.npy", centres + np.random.default_rng(2).normal(0, 1, centres.shape).astype(np.float32))

    def found(threads: int, seed: int) -> str:
        environment = {**os.environ, **dict.fromkeys(LIBRARIES, str(threads)), "IMGCLUSTER_CACHE": str(tmp_path / "c")}
        command = [sys.executable, "-c", THREADS, str(tmp_path / "vectors.npy"), str(seed)]
        done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
        (tmp_path / "c").rename(tmp_path / f"kept{threads}{seed}")  # or the second one would find the neighbours there
        return done.stdout

    wanted = found(1, 0)
    assert found(2, 0) == wanted
    assert found(3, 1) == wanted


@pytest.mark.parametrize(("sample", "step"), [("photos", 16), ("stage", 5)])
def test_a_run_gives_each_image_the_same_label_in_any_order_of_the_ids(tmp_path: Path, sample: str, step: int) -> None:
    """By the network that comes along, in batches that are not full, so that each image stands elsewhere in them."""
    write_sample(sample, tmp_path / "sample")
    paths = sorted((tmp_path / "sample" / "test").iterdir())[::step]

    def labels(name: str, order: np.ndarray, n_clusters: int | str) -> dict[str, int]:
        ids = [paths[number].stem for number in order]
        (tmp_path / f"{name}.csv").write_text("\n".join(["id", *ids, ""]))
        config = config_from_dict(
            {
                "images": {"folder": str(tmp_path / "sample" / "test"), "ids": str(tmp_path / f"{name}.csv")},
                "features": {"backbone": "efficientnet_lite0", "batch_size": 7, "store": str(tmp_path / name)},
                "clusters": {"n_clusters": n_clusters, "numbering": "size"},
                "outputs": {"folder": str(tmp_path / f"run_{name}"), "report": False},
            }
        )
        found = imgcluster.run(config, force=True, show=False)
        assert found.features.ids == ids
        return dict(zip(ids, found.clusters.labels.tolist(), strict=True))

    wanted = {k: labels("wanted", np.arange(len(paths)), k) for k in (6, "auto")}
    for number, order in enumerate(orders(len(paths))[:2]):
        for k, of_images in wanted.items():
            assert labels(str(number), order, k) == of_images


def test_what_begins_with_the_clusters_of_auto_gives_the_same_in_any_order(tmp_path: Path) -> None:
    found = []
    for order in (np.arange(90), *orders(90)[:1]):
        folder = tmp_path / str(len(found))
        folder.mkdir()
        vectors = blobs(3, n=90, dim=40)[0]
        config = config_of(folder, vectors, method="auto", n_clusters=3, numbering="size")
        ids = [f"i{number:02d}" for number in range(90)]
        (folder / "ids.csv").write_text("\n".join(["id", *(ids[row] for row in order), ""]))
        (folder / "known.csv").write_text("id,label\ni00,a\ni07,b\ni11,c\ni30,a\n")
        run = imgcluster.run(config, show=False)
        stays = stability(folder / "out", trials=4, show=False)
        spread = spread_labels(folder / "out", folder / "known.csv")
        asked = suggest_images(folder / "out", 12, labels=folder / "known.csv")
        swept = imgcluster.sweep_clusters(config, range(2, 6), show=False)
        found.append(
            (
                dict(zip(run.features.ids, run.clusters.labels.tolist(), strict=True)),
                dict(zip(stays.ids, stays.stays.tolist(), strict=True)),
                dict(zip(spread.ids, spread.labels, strict=True)),
                sorted(asked.ids),
                [(row.k, row.modularity) for row in swept.rows],
            )
        )
    for one, other in zip(*found, strict=True):
        assert one == other
