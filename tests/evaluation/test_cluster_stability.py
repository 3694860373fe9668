"""Stability of the clusters of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imgcluster import load_config, run
from imgcluster.clustering.grouping import Groups
from imgcluster.config.loader import ClustersConfig
from imgcluster.errors import ConfigError
from imgcluster.evaluation.cluster_stability import stability
from imgcluster.features.transforms import Points
from imgcluster.runs.features import labels_of_run
from tests.conftest import Command, write_picture, write_template
from tests.support.feature_runs import config_of, noise


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


def test_trials_leave_out_what_is_never_drawn(config_file: Path, tmp_path: Path) -> None:
    run(load_config(config_file, ["clusters.n_clusters=11", "clusters.transform=[{pca: 12}]"]), show=False)
    found = stability(tmp_path / "out", trials=1, show=False)
    assert np.isnan(found.stays).sum() == 2
    assert (found.table()["stays"] == "").sum() == 2
    with pytest.raises(ConfigError, match=r"^trials: 0"):
        stability(tmp_path / "out", trials=0)


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
