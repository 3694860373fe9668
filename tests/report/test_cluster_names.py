"""Guessed names of clusters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import imgcluster
from imgcluster.backbones import class_names
from imgcluster.errors import StoreError
from imgcluster.report import cluster_names as names
from imgcluster.report.gather import gather
from imgcluster.runs.features import features_of_run
from imgcluster.runs.finished import FinishedRun, read_run


def test_names_are_guesses_of_the_networks_own_head(hostile: Path) -> None:
    facts = gather(read_run(hostile))
    record = json.loads((hostile / "report" / "report.json").read_text())
    assert len(class_names()) == 1000
    assert class_names()[386] == "African elephant"
    for card in facts.cards:
        assert card.guess is not None
        images = [facts.paths[row] for row in card.typical[:9]]
        found = imgcluster.extract(images, backbone="efficientnet_lite0", layers=["logits"])
        logits = np.asarray(found["logits"], np.float64)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        mean = (odds / odds.sum(axis=1, keepdims=True)).mean(axis=0)
        best = np.argsort(-mean)[:2]
        assert card.guess.name.split(", ")[0] == class_names()[best[0]].split(", ")[0]
        shown = mean[best].sum() if mean[best[1]] >= mean[best[0]] / 2 else mean[best[0]]
        assert card.guess.share == pytest.approx(shown, abs=0.05)  # in other numbers: bf16 or not
        assert record["names"][str(card.number)]["name"] == card.guess.name


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
    assert (
        asked.by_cluster[0].name
        == names.guess_names(
            {0: [0, 1]}, read_run(hostile), lambda rows: features_of_run(hostile).vectors[rows], run_network=False
        )
        .by_cluster[0]
        .name
    )
