"""Scores of a run without known labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import silhouette_score

from imgcluster import load_config, run
from imgcluster.cli.format.scores import inner_scores_lines
from imgcluster.evaluation.internal import score_run
from imgcluster.runs.features import features_of_run
from tests.conftest import Command
from tests.support.feature_runs import blobs, config_of


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
