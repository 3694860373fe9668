"""`compare`: combinations of networks, layers, transforms, methods and numbers of clusters, best first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_score

from imgcluster import load_config, run
from imgcluster.clustering.cluster import cluster_features
from imgcluster.clustering.diffusion import DEEP
from imgcluster.errors import ConfigError
from imgcluster.evaluation.comparison import Grid, compare
from imgcluster.features.transforms import fit_transform
from tests.conftest import Command
from tests.support.feature_runs import config_of, noise


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
    monkeypatch.setattr("imgcluster.features.listed.extract_features", lambda *_: pytest.fail("worked"))
    for wrong in ("l2", ["l3"], [{"pca": "x"}]):
        with pytest.raises(ConfigError, match=r"clusters.transform"):
            compare(config, Grid(transforms=[wrong]), show=False)


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


def test_compare_computes_each_vector_once(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(config_file)
    grid = Grid(layers=["avgpool", "logits"], methods=["kmeans"], ks=[2, 3])
    compare(config, grid, show=False)
    monkeypatch.setattr("imgcluster.features.extraction.build_runtime", lambda *_: pytest.fail("computed again"))
    compare(config, grid, show=False)
