"""Clusters are found once: other names, numbers and layouts write files only, and write what a first run would."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import imgcluster
from imgcluster import load_config
from imgcluster.clustering import cache as kept_clusters
from imgcluster.clustering import cluster as clusters_in_memory
from imgcluster.clustering.cache import KeptClusters
from imgcluster.clustering.cluster import cluster_features
from imgcluster.clustering.grouping import Groups
from imgcluster.clustering.streamed import cluster as streamed_clusters
from imgcluster.clustering.streamed.cluster import cluster_stored
from imgcluster.config.loader import ClustersConfig
from imgcluster.features.store.reader import Chunk, StoredVectors
from imgcluster.types import Clusters
from imgcluster.utils import kept
from imgcluster.utils.files import cache_folder

ALGORITHM = ("choose_k", "fit_space", "group", "nearest_two")
Count = Callable[[], list[str]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Count:
    """What was called of the steps of clustering since the last time that one asked."""
    called: list[str] = []

    def counted(name: str) -> Callable[..., Any]:
        real = getattr(clusters_in_memory, name)

        def call(*given: Any, **keys: Any) -> Any:
            called.append(name)
            return real(*given, **keys)

        return call

    for name in ALGORITHM:
        monkeypatch.setattr(clusters_in_memory, name, counted(name))

    def since() -> list[str]:
        found = called.copy()
        called.clear()
        return found

    return since


def outputs(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("clusterer.npz", "clusters.csv", "submission.csv")}


def run(config_file: Path, *overrides: str) -> imgcluster.Run:
    return imgcluster.run(load_config(config_file, overrides), force=True, show=False)


ANEW = [
    ["clusters.numbering=size"],
    ["clusters.numbering=first_appearance"],
    ["clusters.numbering=truth:truth.csv"],
    ["outputs.label_offset=1"],
    ["outputs.layout=names", "outputs.names={0: a, 1: b, 2: c}"],
    ["outputs.layout=one_hot"],
    ["outputs.submission=other.csv"],
]


@pytest.mark.parametrize("asked", ANEW, ids=lambda asked: asked[0])
def test_other_names_and_numbers_write_files_only(
    config_file: Path, tmp_path: Path, calls: Count, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "truth.csv").write_text("id,label\n0000,2\n0001,0\n")
    first = run(config_file, "clusters.n_clusters=2..4")
    assert calls() == ["fit_space", "choose_k", "group", "nearest_two"]
    if "outputs.layout=one_hot" in asked:
        wide_template(tmp_path)
    again = run(config_file, "clusters.n_clusters=2..4", *asked)
    assert calls() == []
    assert set(first.clusters.notes) <= set(again.clusters.notes)  # numbering has notes of its own
    name = "other.csv" if "outputs.submission=other.csv" in asked else "submission.csv"
    written = {name: (tmp_path / "out" / name).read_bytes() for name in (name, "clusterer.npz", "clusters.csv")}
    monkeypatch.setenv("IMGCLUSTER_CACHE", str(tmp_path / "another"))  # where nothing is kept
    run(config_file, "clusters.n_clusters=2..4", *asked)
    assert calls() == ["fit_space", "choose_k", "group", "nearest_two"]
    assert written == {name: (tmp_path / "out" / name).read_bytes() for name in written}


def wide_template(folder: Path) -> None:
    (folder / "template.csv").write_text("ImageID,0,1,2\n" + "".join(f"{number:04d},0,0,0\n" for number in range(12)))


def test_probabilities_need_no_algorithm(config_file: Path, tmp_path: Path, calls: Count) -> None:
    run(config_file)
    calls()
    wide_template(tmp_path)
    run(config_file, "outputs.layout=soft")
    assert calls() == ["fit_space"]  # the distances to all centroids are in the space of the points


def test_the_number_that_was_chosen_is_not_clustered_again_when_it_is_asked_for(
    config_file: Path, calls: Count
) -> None:
    k = len(run(config_file, "clusters.n_clusters=auto").clusters.sizes)
    calls()
    run(config_file, f"clusters.n_clusters={k}")
    assert calls() == []
    run(config_file, "clusters.n_clusters=2..20")  # as auto does
    assert calls() == []


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (["clusters.random_state=1"], ["fit_space", "choose_k", "group", "nearest_two"]),
        (["clusters.n_clusters=2..3"], ["fit_space", "choose_k"]),  # and three are found already
        (["clusters.n_clusters=2"], ["fit_space", "group", "nearest_two"]),
        (["clusters.transform=[l2]"], ["fit_space", "choose_k", "group", "nearest_two"]),
        (["clusters.method=birch"], ["fit_space", "choose_k", "group", "nearest_two"]),
        (["features.layer=logits"], ["fit_space", "choose_k", "group", "nearest_two"]),
    ],
)
def test_what_changes_the_clusters_is_worked_out(
    config_file: Path, calls: Count, asked: list[str], wanted: list[str]
) -> None:
    run(config_file, "clusters.n_clusters=2..4")
    calls()
    run(config_file, "clusters.n_clusters=2..4", *asked)
    assert calls() == wanted


def test_other_versions_and_other_vectors_are_worked_out(
    config_file: Path, pictures: Path, calls: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config_file)
    calls()
    (pictures / "0003.jpg").write_bytes((pictures / "0004.jpg").read_bytes())
    run(config_file)
    assert calls() == ["fit_space", "group", "nearest_two"]
    monkeypatch.setattr(kept_clusters, "installed", lambda package: "9.9")
    run(config_file)
    assert calls() == ["fit_space", "group", "nearest_two"]


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:-30], lambda data: b"", lambda data: data.replace(b"labels", b"lavels")]
)
def test_what_is_damaged_is_worked_out(
    config_file: Path, tmp_path: Path, calls: Count, spoil: Callable[[bytes], bytes]
) -> None:
    run(config_file, "clusters.n_clusters=2..4")
    calls()
    before = outputs(tmp_path / "out")
    kept = sorted((cache_folder() / "clusters").iterdir())
    assert sorted(path.suffix for path in kept) == [".json", ".npz"]
    for path in kept:
        path.write_bytes(spoil(path.read_bytes()) if path.suffix == ".npz" else b'["3", 3]')
    run(config_file, "clusters.n_clusters=2..4")
    assert calls() == ["fit_space", "choose_k", "group", "nearest_two"]
    assert outputs(tmp_path / "out") == before
    run(config_file, "clusters.n_clusters=2..4")
    assert calls() == []  # kept anew


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("IMGCLUSTER_CACHE", str(tmp_path / "file"))
    assert len(run(config_file).clusters.sizes) == 3


METHODS: list[dict[str, Any]] = [
    {"method": "auto", "n_clusters": 3},
    {"method": "kmeans", "n_clusters": "auto", "transform": ["standardize", {"pca": 4}]},
    {"method": "agglomerative", "n_clusters": 4},
    {"method": "gaussian_mixture", "n_clusters": 3, "transform": [{"pca": 3}]},
    {"method": "birch", "n_clusters": 3},
    {"method": "hdbscan"},
    {"method": "dbscan"},
    {"method": "mean_shift"},
    {"method": "affinity_propagation"},
    {"method": "kmeans", "n_clusters": 4, "order": {"smooth": 1.0}},
    {"n_clusters": 4, "order": "sequence"},
]


def vectors(rows: int = 60) -> np.ndarray:
    random = np.random.default_rng(4)
    return (random.normal(0, 6, (4, 40))[np.arange(rows) % 4] + random.normal(0, 1, (rows, 40))).astype(np.float32)


@pytest.mark.parametrize("keys", METHODS, ids=str)
@pytest.mark.parametrize("soft", [False, True])
def test_what_is_kept_of_each_method_is_what_it_found(keys: dict[str, Any], soft: bool, calls: Count) -> None:
    points = vectors()
    plain = cluster_features(points, ClustersConfig(**keys, numbering="size"), soft=soft, show=False)
    cluster_features(points, ClustersConfig(**keys), show=False, kept=KeptClusters(points))
    calls()
    config = ClustersConfig(**keys, numbering="size")
    found = cluster_features(points, config, soft=soft, show=False, kept=KeptClusters(points))
    assert calls() in ([], ["fit_space"])
    assert_same(found, plain)


def assert_same(found: Clusters, wanted: Clusters) -> None:
    for name in ("labels", "distance", "runner_up", "runner_up_distance", "sizes", "probabilities"):
        one, other = getattr(found, name), getattr(wanted, name)
        if other is None:
            assert one is None
        else:
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
    assert list(found.state) == list(wanted.state)
    for name, array in wanted.state.items():
        np.testing.assert_array_equal(found.state[name], array)
        assert found.state[name].dtype == array.dtype
    assert (found.notes, found.names) == (wanted.notes, wanted.names)


def test_the_cache_keeps_what_was_used_last(monkeypatch: pytest.MonkeyPatch, calls: Count) -> None:
    points, configs = vectors(), [ClustersConfig(method="kmeans", n_clusters=k) for k in (2, 3, 4, 5)]

    def cluster(config: ClustersConfig) -> list[str]:
        cluster_features(points, config, show=False, kept=KeptClusters(points))
        return calls()

    cluster(configs[0])
    (path,) = (cache_folder() / "clusters").iterdir()
    monkeypatch.setattr(kept, "MAX_BYTES", 3 * path.stat().st_size + 2000)
    cluster(configs[1])
    cluster(configs[2])
    assert cluster(configs[0]) == []
    cluster(configs[3])
    assert len(list(path.parent.iterdir())) == 3
    assert cluster(configs[0]) == []
    assert cluster(configs[1]) != []
    monkeypatch.setattr(kept, "MAX_BYTES_OF_ONE", 10)
    before = sorted(path.parent.iterdir())
    cluster(ClustersConfig(method="kmeans", n_clusters=7))
    assert sorted(path.parent.iterdir()) == before


def test_what_is_no_plain_array_is_not_kept(monkeypatch: pytest.MonkeyPatch, calls: Count) -> None:
    points = vectors()
    odd = Groups(np.zeros(60, np.int64), points[:1], {"labels": np.array([{}], object)})
    monkeypatch.setattr("imgcluster.clustering.cluster.group", lambda *_, **__: odd)
    monkeypatch.setattr("imgcluster.clustering.cluster.numbered_clusters", lambda *_, **__: Clusters(*[odd.labels] * 5))
    for _ in range(2):
        cluster_features(points, ClustersConfig(method="kmeans", n_clusters=1), show=False, kept=KeptClusters(points))
    assert calls() == ["fit_space", "nearest_two"] * 2


# --- vectors that stay in the store ---


def test_of_vectors_in_a_store_it_is_the_same(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: Path
) -> None:
    called: list[str] = []
    for name in ("fit_streamed", "streamed_moments", "choose_k"):
        real = getattr(streamed_clusters, name)

        def call(*given: Any, _real: Callable[..., Any] = real, _name: str = name, **keys: Any) -> Any:
            called.append(_name)
            return _real(*given, **keys)

        monkeypatch.setattr(streamed_clusters, name, call)
    asked = ("clusters.backend=dask", "clusters.n_clusters=2..4")
    anew = (*asked, "clusters.numbering=size", "outputs.label_offset=1")
    run(config_file, *asked)
    assert called == ["fit_streamed", "choose_k", "streamed_moments"]
    run(config_file, *anew)
    assert len(called) == 3
    before = outputs(tmp_path / "out")
    shutil.rmtree(tmp_path / "store")  # other shards of the same images
    run(config_file, *anew, "features.batch_size=1")
    assert len(called) == 3
    with monkeypatch.context() as patch:
        patch.setenv("IMGCLUSTER_CACHE", str(tmp_path / "another"))
        run(config_file, *anew)
    assert len(called) == 6
    assert outputs(tmp_path / "out") == before
    (pictures / "0003.jpg").write_bytes((pictures / "0004.jpg").read_bytes())
    run(config_file, *anew)
    assert len(called) == 9


def test_of_vectors_that_nobody_knows_nothing_is_kept(tmp_path: Path) -> None:
    points = vectors()
    np.save(tmp_path / "vectors.npy", points)
    stored = StoredVectors([Chunk(tmp_path / "vectors.npy", np.arange(60), np.arange(60))], 40, 60)
    config = ClustersConfig(method="kmeans", n_clusters="2..4", backend="dask")
    clusters = cluster_stored(stored, None, config, None, show=False, kept=KeptClusters(stored))
    assert len(clusters.sizes) == 4
    assert not (cache_folder() / "clusters").exists()
