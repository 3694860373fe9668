"""New images assigned to the clusters of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imgcluster import load_config, run
from imgcluster.errors import ConfigError, OutputError
from imgcluster.labels.assignment import assign
from imgcluster.runs.clusterer import read_clusterer
from tests.conftest import Command, write_picture, write_pictures, write_template
from tests.support.feature_runs import config_of, noise


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


def test_assign_without_any_readable_image(command: Command, config_file: Path, tmp_path: Path) -> None:
    run(load_config(config_file), show=False)
    done = command("assign", tmp_path / "out", tmp_path / "nothing.jpg", "--out", tmp_path / "new.csv")
    assert (done.returncode, "the only image cannot be read: " in done.stderr) == (1, True)


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


def test_how_sure_new_images_are(command: Command, config_file: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", range(36))
    write_template(tmp_path / "template.csv", range(36))
    for method in ("auto", "kmeans"):
        done = command("run", config_file, "--set", f"clusters.method={method}", "--quiet", "--force")
        assert done.returncode == 0, done.stderr
        line = ("assign", tmp_path / "out", tmp_path / "pictures", "--out", tmp_path / f"{method}.csv", "--quiet")
        done = command(*line, "--force")
        assert ("note: no column probability: " in done.stdout) == (method == "kmeans")
        table = pd.read_csv(tmp_path / f"{method}.csv", dtype={"id": str})
        assert ("probability" in table.columns) == (method == "auto")
        if method == "auto":
            own = pd.read_csv(tmp_path / "out/clusters.csv", dtype={"id": str})
            assert table["probability"].between(0.5, 1).all()
            np.testing.assert_allclose(table["probability"], own["probability"], atol=0.2)


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
