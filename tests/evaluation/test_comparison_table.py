"""The table of a comparison, kept from one call to the next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from filelock import FileLock
from pyarrow import parquet
from sklearn.metrics import adjusted_rand_score

from imgcluster import load_config
from imgcluster.clustering.cluster import cluster_features
from imgcluster.config.loader import ClustersConfig, config_from_dict
from imgcluster.errors import OutputError
from imgcluster.evaluation import comparison_table as tried
from imgcluster.evaluation.comparison import Grid, compare
from tests.conftest import write_picture


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
