"""Guessed names of clusters."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import imgcluster
from imgcluster.backbones import class_names
from imgcluster.errors import StoreError
from imgcluster.report import cluster_names as names
from imgcluster.report import write_report
from imgcluster.report.gather import gather
from imgcluster.runs.features import features_of_run
from imgcluster.runs.finished import FinishedRun, read_run
from tests.support.reported import no_work


@pytest.fixture
def always_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "SURE_SHARE", 0.0)
    monkeypatch.setattr(names, "AGREEING", 0.0)


@pytest.mark.usefixtures("always_sure")
def test_names_are_guesses_of_the_networks_own_head(hostile: Path) -> None:
    facts = gather(read_run(hostile))
    assert len(class_names()) == 1000
    assert class_names()[386] == "African elephant"
    for card in facts.cards:
        assert card.guess is not None
        rows = np.flatnonzero(facts.labels == card.number)
        rows = rows[np.argsort(facts.distance[rows], kind="stable")]
        images = [facts.paths[row] for row in rows[np.linspace(0, len(rows) - 1, 9).round().astype(int)]]
        found = imgcluster.extract(images, backbone="efficientnet_lite0", layers=["logits"])
        logits = np.asarray(found["logits"], np.float64)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        mean = (odds / odds.sum(axis=1, keepdims=True)).mean(axis=0)
        best = np.argsort(-mean)[:2]
        assert card.guess.name.split(", ")[0] == class_names()[best[0]].split(", ")[0]
        shown = mean[best].sum() if mean[best[1]] >= mean[best[0]] / 2 else mean[best[0]]
        assert card.guess.share == pytest.approx(shown, abs=0.05)  # in other numbers: bf16 or not


PROBABILITIES = {  # of three images and four classes
    "sure": ([[0.6, 0.2, 0.1, 0.1], [0.7, 0.1, 0.1, 0.1], [0.4, 0.5, 0.05, 0.05]], "a"),
    "two alike": ([[0.55, 0.4, 0.05, 0], [0.55, 0.4, 0.05, 0], [0.5, 0.45, 0.05, 0]], "a, b"),
    "unlikely": ([[0.4, 0.3, 0.2, 0.1]] * 3, None),
    "not agreed": ([[0.98, 0.01, 0.01, 0], [0.4, 0.6, 0, 0], [0.4, 0.6, 0, 0]], None),
}


@pytest.mark.parametrize(("given", "name"), PROBABILITIES.values(), ids=PROBABILITIES)
def test_a_name_needs_a_network_that_is_sure_over_the_cluster(given: list[list[float]], name: str | None) -> None:
    found = names._named(np.array(given), ["a", "b", "c", "d"])
    assert (None if found is None else found.name) == name


def test_clusters_of_which_the_network_is_not_sure_have_no_name(
    hostile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(hostile, run)
    monkeypatch.setattr(names, "SURE_SHARE", 1.1)
    (run / "report" / "report.json").unlink()
    page = write_report(run, show=False).read_text()
    record = json.loads((run / "report" / "report.json").read_text())
    assert (record["names"], len(record["unsure"])) == ({}, 3)
    assert "looks like" not in page
    assert "Names are guesses" not in page
    monkeypatch.setattr("imgcluster.report.gather.guess_names", no_work)
    write_report(run, show=False)  # the network is not asked again


@pytest.mark.usefixtures("always_sure")
def test_a_report_that_named_every_cluster_is_not_believed(hostile: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(hostile, run)
    path = run / "report" / "report.json"
    record = json.loads(path.read_text())
    record["names"] = {str(number): {"name": "bow, mousetrap", "share": 0.1} for number in range(3)}
    del record["unsure"]
    path.write_text(json.dumps(record))
    assert "mousetrap" not in write_report(run, show=False).read_text()


def changed(run: FinishedRun, features: dict[str, Any], origin: dict[str, Any]) -> FinishedRun:
    """The same run with other keys in its config's section `features` and in the origin of its features."""
    config = {**run.record["config"], "features": {**run.record["config"]["features"], **features}}
    origins = [{**run.record["features"][0], **origin}]
    return FinishedRun(run.folder, {**run.record, "config": config, "features": origins}, run.rows, run.clusters_sha256)


def no_features(rows: Sequence[int]) -> np.ndarray:
    raise StoreError("the store is gone")


@pytest.mark.parametrize(
    ("features", "origin", "reason"),
    [
        ({"weights": "random"}, {}, "not those of a network trained on ImageNet"),
        ({}, {"runtime": "file"}, "not those of a network trained on ImageNet"),
        ({"store": "/proc/none"}, {}, "no names: features.store"),
    ],
)
def test_without_such_a_head_there_are_no_names(
    features: dict[str, Any], origin: dict[str, Any], reason: str, hostile: Path
) -> None:
    run = changed(read_run(hostile), features, origin)
    found = names.guess_names({0: [0]}, run, no_features, run_network=True)
    assert found.by_cluster == {}
    assert reason in found.reason


@pytest.mark.usefixtures("always_sure")
@pytest.mark.parametrize(
    ("features", "origin"),
    [({"preprocess": "stage"}, {}), ({"block_l2": True}, {}), ({}, {"pooling": "max"}), ({}, {"layer": "_swish_1"})],
)
def test_where_the_classifier_takes_no_features_the_network_is_asked_only_on_request(
    features: dict[str, Any], origin: dict[str, Any], hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = changed(read_run(hostile), features, origin)
    vectors = features_of_run(hostile).vectors[:, : 100 if "layer" in origin else None]
    found = names.guess_names({0: [0, 1]}, run, lambda rows: vectors[rows], run_network=False)
    assert (found.by_cluster, found.wants_network) == ({}, True)
    asked = names.guess_names({0: [0, 1]}, run, lambda rows: vectors[rows], run_network=True)
    own = features_of_run(hostile).vectors
    wanted = names.guess_names({0: [0, 1]}, read_run(hostile), lambda rows: own[rows], run_network=False)
    first, second = asked.by_cluster[0], wanted.by_cluster[0]
    assert first is not None
    assert second is not None
    assert first.name == second.name
