"""Learning from a few labels: `learn`, what it says, and the commands from labels to a submission."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import imgcluster
from imgcluster.errors import ConfigError
from imgcluster.labels.learning import learn
from imgcluster.labels.prediction import predict
from imgcluster.learning.model import Learned, prepared
from tests.conftest import Command, write_pictures
from tests.support.learned import BLUE, NAMES, blank_labels


def test_features_mode_is_plain_scikit_learn_on_the_same_vectors(
    config_file: Path, labelled: Path, tmp_path: Path
) -> None:
    model = learn(config_file, labelled, out=tmp_path / "model", show=False)
    run = imgcluster.run(imgcluster.load_config(config_file), show=False)
    vectors = run.features.vectors
    rows = [0, 1, 2, 3, 5, 6, 7, 8]
    points = np.sqrt(np.abs(vectors)) * np.sign(vectors)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    truth = [NAMES[number % 3] for number in rows]
    c = float(model.notes[-1].split("C ")[1].split(",")[0])
    plain = LogisticRegression(C=c, class_weight="balanced", max_iter=1000).fit(points[rows], truth)
    assert model.classes == plain.classes_.tolist() == sorted(NAMES)
    np.testing.assert_allclose(model.probabilities(vectors), plain.predict_proba(points), atol=1e-6)


def test_a_run_is_as_good_as_its_config(config_file: Path, labelled: Path, tmp_path: Path) -> None:
    imgcluster.run(imgcluster.load_config(config_file), show=False)
    by_config = learn(config_file, labelled, out=tmp_path / "a", show=False)
    by_run = learn(tmp_path / "out", labelled, out=tmp_path / "b", show=False)
    for name, array in by_config.arrays.items():
        np.testing.assert_array_equal(array, by_run.arrays[name])
    assert by_config.fingerprints == by_run.fingerprints


@pytest.mark.parametrize("deeper", ["", "more/"])
def test_a_folder_for_each_label_is_learned_from(deeper: str, config_file: Path, tmp_path: Path) -> None:
    for number in range(9):
        folder = tmp_path / "sorted" / NAMES[number % 3] / deeper
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:04d}.png").write_bytes(b"no picture: it is never read")
    (tmp_path / "sorted" / "0010.png").write_bytes(b"")  # has no label
    model = learn(config_file, tmp_path / "sorted", out=tmp_path / "model", show=False)
    assert model.counts == dict.fromkeys(sorted(NAMES), 3)
    (note,) = [note for note in model.notes if note.startswith("matched")]
    assert note.endswith("; 0 labels and 3 images left over")
    assert predict(tmp_path / "model", tmp_path / "pictures", show=False).labels == [NAMES[n % 3] for n in range(12)]


def test_a_folder_of_other_images_is_learned_from_as_the_message_says(
    config_file: Path, tmp_path: Path, command: Command
) -> None:
    (tmp_path / "my train").mkdir()
    for number in range(6):
        write_pictures(tmp_path / "my train" / NAMES[number % 3], range(100 + number, 101 + number))
    refused = command("learn", config_file, "my train", "--out", "model")
    assert refused.returncode == 1
    steps = "; to learn from its images: imgcluster init 'my train', then imgcluster learn 'my train.yaml' 'my train' "
    assert refused.stderr.endswith(f"{steps}--out MODEL\n")
    assert command("init", "my train").returncode == 0
    quick = ["--set", "features.backbone=efficientnet_lite0", "--set", "features.views=center"]
    done = command("learn", "my train.yaml", "my train", "--out", "model", *quick)
    assert done.returncode == 0, done.stderr
    assert Learned.load(tmp_path / "model").features["backbone"] == "efficientnet_lite0"


def test_learn_changes_keys_of_a_config_and_not_of_a_run(config_file: Path, labelled: Path, tmp_path: Path) -> None:
    set_to = ["features.views=whole"]
    model = learn(config_file, labelled, out=tmp_path / "model", overrides=set_to, show=False)
    assert model.features["views"] == "whole"
    run = imgcluster.run(imgcluster.load_config(config_file), show=False).folder
    with pytest.raises(
        ConfigError, match=r"^overrides: '.*' is a run folder, which has no keys to override; name its config$"
    ):
        learn(run, labelled, out=tmp_path / "other", overrides=set_to, show=False)


def test_the_commands_from_labels_to_a_submission(
    config_file: Path, labelled: Path, tmp_path: Path, command: Command
) -> None:
    learnt = command("learn", config_file, labelled, "--out", "model", "--quiet")
    assert (learnt.returncode, learnt.stderr) == (0, "")
    assert learnt.stdout.splitlines()[:2] == ["labels    8 images of 3 classes", f"       3  {BLUE!r}"]
    assert "no scores: no class has 5 images" in learnt.stdout
    done = command("predict", "model", "pictures", "--out", "all.csv", "--quiet")
    assert done.returncode == 0, done.stderr
    assert "unsure    0 of 12 images" in done.stdout
    labels = pd.read_csv(tmp_path / "all.csv", dtype=str)["label"]
    assert labels.tolist() == [NAMES[number % 3] for number in range(12)]
    blank_labels(tmp_path / "template.csv")
    shaped = command("predict", "model", "pictures", "--out", "sub.csv", "--template", "template.csv", "--quiet")
    assert shaped.returncode == 0, shaped.stderr
    submission = pd.read_csv(tmp_path / "sub.csv", dtype=str)
    assert submission.columns.tolist() == ["ImageID", "label", "note"]
    assert submission["ImageID"].tolist() == [f"{number:04d}" for number in range(12)]
    assert submission["label"].tolist() == labels.tolist()
    assert (
        "note: matched 12 labels by name: 12 without endings ('0000.jpg' is image '0000'); none left" in shaped.stdout
    )
    assert command("validate", "sub.csv", "template.csv", "--layout", "names").returncode == 0
    again = command("predict", "model", "pictures", "--out", "sub.csv")
    assert (again.returncode, "exists; overwrite it with --force" in again.stderr) == (1, True)
    relearnt = command("learn", config_file, labelled, "--out", "model")
    assert (relearnt.returncode, "holds a model; overwrite it with --force" in relearnt.stderr) == (1, True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("id,label\n0000,a\n0001,a\n", "all images are 'a': there is nothing to tell apart"),
        ("id,label\n0000,\n0001,\n", "no label"),
        ("id,label\nx,a\ny,b\n", "none of the 2 labelled ids"),
        ("", "is empty"),
        ("id,label\n0000,a\n0000,b\n", "0000"),
    ],
)
def test_labels_that_say_nothing_are_told(
    content: str, words: str, config_file: Path, tmp_path: Path, command: Command
) -> None:
    (tmp_path / "labels.csv").write_text(content)
    result = command("learn", config_file, "labels.csv", "--out", "model")
    assert result.returncode == 1
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "model").exists()


def test_what_is_left_out_is_said(config_file: Path, tmp_path: Path, command: Command) -> None:
    (tmp_path / "pictures" / "0007.jpg").write_bytes(b"no picture")
    (tmp_path / "labels.csv").write_text("id,label\n0000,a\n0001,b\n0003,a\n0007,b\nother,a\n")
    result = command("learn", config_file, "labels.csv", "--out", "model")
    assert result.returncode == 0, result.stderr
    assert "note: 1 labelled image cannot be read: '0007'" in result.stdout
    assert "note: 1 labelled image is not among the images: 'other'" in result.stdout
    assert "note: 1 of 2 classes have one image: 'b'" in result.stdout


def test_a_wrong_classifier_or_folder_is_told(config_file: Path, labelled: Path, command: Command) -> None:
    wrong = command("learn", config_file, labelled, "--out", "model", "--classifier", "forest")
    assert "there is no 'forest'; allowed: logistic, svm, knn, mlp" in wrong.stderr
    taken = command("learn", config_file, labelled, "--out", "pictures")
    assert (taken.returncode, "is not a model of imgcluster's and not empty" in taken.stderr) == (1, True)


def test_scores_are_of_images_held_back(tmp_path: Path) -> None:
    write_pictures(tmp_path / "many", range(30))
    (tmp_path / "c.yaml").write_text(
        f"images: {{folder: '{tmp_path / 'many'}'}}\n"
        f"features: {{backbone: efficientnet_lite0, store: '{tmp_path / 'store'}'}}\n"
        f"clusters: {{n_clusters: 2}}\noutputs: {{folder: '{tmp_path / 'out'}'}}\n"
    )
    draw = np.random.default_rng(0)
    (tmp_path / "true.csv").write_text("id,label\n" + "".join(f"{n:04d}.jpg,{NAMES[n % 3][:3]}\n" for n in range(30)))
    (tmp_path / "chance.csv").write_text("id,label\n" + "".join(f"{n:04d}.jpg,{draw.integers(3)}\n" for n in range(30)))
    true = learn(tmp_path / "c.yaml", tmp_path / "true.csv", out=tmp_path / "true", show=False)
    assert true.scores == {"accuracy": 1, "balanced_accuracy": 1, "macro_f1": 1, "images": 6}
    chance = learn(tmp_path / "c.yaml", tmp_path / "chance.csv", out=tmp_path / "chance", show=False)
    assert chance.scores["accuracy"] < 0.9
    assert prepared(np.full((1, 4), -4, np.float32)).tolist() == [[-0.5] * 4]
