"""`predict`: labels of new images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imgcluster.errors import ConfigError
from imgcluster.labels.learning import learn
from imgcluster.labels.prediction import predict
from imgcluster.learning.classifiers import (
    CLASSIFIERS,
)
from imgcluster.learning.model import Learned
from tests.conftest import Command, write_pictures
from tests.support.learned import NAMES, RED, blank_labels


def test_new_images_are_read_as_those_that_were_learned_from(config_file: Path, labelled: Path, tmp_path: Path) -> None:
    plain = learn(config_file, labelled, out=tmp_path / "plain", show=False)
    swapped = ["images.bands=[3, 2, 1]", "images.range=[0, 200]"]
    model = learn(config_file, labelled, overrides=swapped, out=tmp_path / "model", show=False)
    assert model.fingerprints != plain.fingerprints
    write_pictures(tmp_path / "new", range(30, 39))
    found = predict(tmp_path / "model", tmp_path / "new", show=False)
    assert found.labels == [NAMES[number % 3] for number in range(30, 39)]
    assert model.features["reading"] == {"bands": (3, 2, 1), "range": (0, 200)}
    assert "reading" not in plain.features


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_predict_labels_new_images(name: str, config_file: Path, labelled: Path, tmp_path: Path) -> None:
    learn(config_file, labelled, out=tmp_path / "model", classifier=name, show=False)
    write_pictures(tmp_path / "new", range(30, 39))
    (tmp_path / "new" / "broken.jpg").write_bytes(b"no picture")
    found = predict(tmp_path / "model", tmp_path / "new", show=False)
    assert found.labels == [NAMES[number % 3] for number in range(30, 39)]
    table = found.table().set_index("id")
    assert table.loc["0030.jpg", "label"] == RED
    assert table.loc["broken.jpg"].tolist()[1:] == ["", "", "", "failed", found.features.failures[0].reason]
    best = found.probabilities.max(axis=1)
    assert table["probability"].tolist()[:9] == [f"{value:.4g}" for value in best]
    all_sure = predict(tmp_path / "model", tmp_path / "new", unsure=1.1, show=False).table()
    assert all_sure["unsure"].tolist() == ["yes"] * 9 + [""]


def test_what_was_learned_of_other_features_is_refused(config_file: Path, labelled: Path, tmp_path: Path) -> None:
    learn(config_file, labelled, out=tmp_path / "model", show=False)
    record = json.loads((tmp_path / "model" / "model.json").read_text())
    record["fingerprints"] = ["0" * 16]
    (tmp_path / "model" / "model.json").write_text(json.dumps(record))
    with pytest.raises(ConfigError, match="not made as those of the model were"):
        predict(tmp_path / "model", tmp_path / "pictures", show=False)
    with pytest.raises(ConfigError, match="knows features of 1,280 values, not of 7"):
        Learned.load(tmp_path / "model").probabilities(np.zeros((2, 7), np.float32))


def test_an_image_without_a_label_gets_the_commonest_in_a_template(
    config_file: Path, tmp_path: Path, command: Command
) -> None:
    (tmp_path / "few.csv").write_text("id,label\n0000,a\n0001,b\n0003,a\n")
    (tmp_path / "pictures" / "0007.jpg").write_bytes(b"no picture")
    assert command("learn", config_file, "few.csv", "--out", "model").returncode == 0
    blank_labels(tmp_path / "template.csv")
    done = command("predict", "model", "pictures", "--out", "sub.csv", "--template", "template.csv")
    assert done.returncode == 0
    assert pd.read_csv(tmp_path / "sub.csv", dtype=str).set_index("ImageID").loc["0007", "label"] == "a"
    assert "note: 1 of 12 rows have no image that could be read, the first '0007'; they get the commo" in done.stdout


def test_a_model_names_the_network_that_was_used(config_file: Path, tmp_path: Path) -> None:
    config_file.write_text(config_file.read_text().replace("backbone: efficientnet_lite0", "layer: fc7"))
    labels = tmp_path / "labels.csv"
    labels.write_text("id,label\n" + "".join(f"{number:04d},{number % 3}\n" for number in range(12)))
    model = learn(config_file, labels, out=tmp_path / "model", show=False)
    assert (model.features["backbone"], model.features["layer"]) == ("efficientnet_lite0", None)
    assert model.features["fallback"] is None
    assert predict(tmp_path / "model", tmp_path / "pictures", show=False).features.origins[0].fallback is None
