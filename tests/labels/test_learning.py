"""Learning from a few labels: the classifiers, the models as they are kept, the commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import LinearSVC

import imgcluster
from imgcluster.errors import ConfigError
from imgcluster.labels.learning import learn
from imgcluster.labels.prediction import predict
from imgcluster.learning.classifiers import (
    C_VALUES,
    CLASSIFIERS,
    MAX_COMPARED,
    _drawn,
    fit_classifier,
    probabilities,
    validation_split,
)
from imgcluster.learning.model import Learned, prepared
from tests.conftest import Command, write_pictures

RED, GREEN, BLUE = "red, dark", "green", "007"
NAMES = (RED, GREEN, BLUE)


def blobs(per_class: int, n_classes: int = 3, dim: int = 40) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(per_class)
    classes = np.repeat(np.arange(n_classes), per_class)
    centres = np.random.default_rng(9).normal(size=(n_classes, dim))
    return (centres[classes] + draw.normal(size=(len(classes), dim))).astype(np.float32), classes


# The classifiers are scikit-learn's.


@pytest.mark.parametrize("n_classes", [2, 3])
def test_logistic_is_scikit_learns_with_the_best_c(n_classes: int) -> None:
    points, classes = blobs(8, n_classes)
    fitted = fit_classifier("logistic", points, classes, 3)
    split = StratifiedKFold(5, shuffle=True, random_state=3)

    def model(c: float) -> LogisticRegression:
        return LogisticRegression(C=c, class_weight="balanced", max_iter=1000)

    means = [cross_val_score(model(c), points, classes, cv=split, scoring="neg_log_loss").mean() for c in C_VALUES]
    best = C_VALUES[int(np.argmax(means))]
    others = blobs(50, n_classes)[0]
    wanted = model(best).fit(points, classes).predict_proba(others)
    np.testing.assert_allclose(probabilities("logistic", others, fitted.arrays), wanted, atol=1e-6)
    assert fitted.notes[0].startswith(f"logistic: C {best:g}, by 5 folds of {len(points)} images: log loss ")
    assert float(fitted.notes[0].rpartition(" ")[2]) == pytest.approx(-max(means), abs=0.002)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", ["knn", "mlp", "svm"])
def test_the_others_are_scikit_learns_too(name: str, n_classes: int) -> None:
    points, classes = blobs(8, n_classes)
    others = blobs(50, n_classes)[0]
    found = probabilities(name, others, fit_classifier(name, points, classes, 3).arrays)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    if name == "svm":
        model = LinearSVC(class_weight="balanced", max_iter=10_000, random_state=3).fit(points, classes)
        np.testing.assert_array_equal(found.argmax(axis=1), model.predict(others))
        return
    theirs = {
        "knn": KNeighborsClassifier(5, weights="distance", metric="cosine"),
        "mlp": MLPClassifier((256,), learning_rate_init=0.01, max_iter=1000, random_state=3),
    }[name]
    np.testing.assert_allclose(found, theirs.fit(points, classes).predict_proba(others), atol=1e-5)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_one_image_of_a_class_is_allowed(name: str) -> None:
    points, classes = blobs(6)
    keep = np.r_[0, 6:18]
    arrays = fit_classifier(name, points[keep], classes[keep], 0).arrays
    found = probabilities(name, points, arrays)
    assert found.shape == (18, 3)
    assert (found.argmax(axis=1)[keep] == classes[keep]).mean() > 0.9
    assert probabilities(name, points[:0], arrays).shape == (0, 3)


def test_small_classes_count_as_much_as_large_ones() -> None:
    draw = np.random.default_rng(0)
    points = np.concatenate([draw.normal(0, 1, (400, 2)), draw.normal(1.5, 1, (20, 2))]).astype(np.float32)
    classes = np.repeat([0, 1], [400, 20])
    found = probabilities("logistic", points, fit_classifier("logistic", points, classes, 0).arrays).argmax(axis=1)
    assert (found[classes == 1] == 1).mean() > 0.7


def test_c_is_chosen_on_a_share_of_many_images() -> None:
    classes = np.repeat([0, 1, 2], [20_000, 9_990, 10])
    drawn = _drawn(classes, 0)
    assert abs(len(drawn) - MAX_COMPARED) < 10
    counts = np.bincount(classes[drawn])
    assert counts[2] == 5
    assert counts[0] / counts[1] == pytest.approx(2, abs=0.01)
    assert len(set(drawn.tolist())) == len(drawn)


def test_a_fifth_of_each_class_of_five_is_held_back() -> None:
    classes = np.repeat([0, 1, 2], [50, 5, 4])
    held = validation_split(classes, 0)
    assert np.bincount(classes[held], minlength=3).tolist() == [10, 1, 0]
    assert (validation_split(classes, 0) == held).all()
    assert (validation_split(classes, 1) != held).any()


# Models.


@pytest.fixture
def labelled(tmp_path: Path, config_file: Path) -> Path:
    """Labels of the first nine of the twelve pictures, one of them blank."""
    rows = [f'{number:04d},"{"" if number == 4 else NAMES[number % 3]}"' for number in range(9)]
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(["ImageID,label", *rows]) + "\n")
    return path


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


def test_a_model_is_the_same_after_saving(config_file: Path, labelled: Path, tmp_path: Path) -> None:
    model = learn(config_file, labelled, out=tmp_path / "model", show=False)
    again = Learned.load(tmp_path / "model")
    assert (again.classes, again.counts, again.features) == (model.classes, model.counts, model.features)
    vectors = np.random.default_rng(0).normal(size=(4, 1280)).astype(np.float32)
    np.testing.assert_array_equal(again.probabilities(vectors), model.probabilities(vectors))
    assert {path.suffix for path in (tmp_path / "model").iterdir()} == {".json", ".safetensors"}
    first = (tmp_path / "model" / "model.safetensors").read_bytes()
    learn(config_file, labelled, out=tmp_path / "model", show=False)
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == first


def test_a_run_is_as_good_as_its_config(config_file: Path, labelled: Path, tmp_path: Path) -> None:
    imgcluster.run(imgcluster.load_config(config_file), show=False)
    by_config = learn(config_file, labelled, out=tmp_path / "a", show=False)
    by_run = learn(tmp_path / "out", labelled, out=tmp_path / "b", show=False)
    for name, array in by_config.arrays.items():
        np.testing.assert_array_equal(array, by_run.arrays[name])
    assert by_config.fingerprints == by_run.fingerprints


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


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("model.json", None, "is no model: it has no model.json"),
        ("model.json", b"{", "is damaged"),
        ("model.json", b'{"format": 99}', "another version"),
        ("model.safetensors", b"\0", "is damaged"),
        ("model.safetensors", None, "is no model"),
    ],
)
def test_models_that_are_none(
    name: str, content: bytes | None, words: str, config_file: Path, labelled: Path, tmp_path: Path
) -> None:
    learn(config_file, labelled, out=tmp_path / "model", show=False)
    path = tmp_path / "model" / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        Learned.load(tmp_path / "model")


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


# The commands.


def blank_labels(template: Path) -> None:
    """Let a template say nothing of its labels: these are words, and its own are numbers."""
    table = pd.read_csv(template, dtype=str, keep_default_na=False)
    table["label"] = ""
    table.to_csv(template, index=False)


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
    assert "note: 1 labelled images cannot be read: '0007'" in result.stdout
    assert "note: 1 labelled images are not among the images: 'other'" in result.stdout
    assert "note: 1 of 2 classes have one image: 'b'" in result.stdout


def test_a_wrong_classifier_or_folder_is_told(config_file: Path, labelled: Path, command: Command) -> None:
    wrong = command("learn", config_file, labelled, "--out", "model", "--classifier", "forest")
    assert "there is no 'forest'; allowed: logistic, svm, knn, mlp" in wrong.stderr
    taken = command("learn", config_file, labelled, "--out", "pictures")
    assert (taken.returncode, "is no model of imgcluster's and not empty" in taken.stderr) == (1, True)


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


def test_a_model_names_the_network_that_was_used(config_file: Path, tmp_path: Path) -> None:
    config_file.write_text(config_file.read_text().replace("backbone: efficientnet_lite0", "layer: fc7"))
    labels = tmp_path / "labels.csv"
    labels.write_text("id,label\n" + "".join(f"{number:04d},{number % 3}\n" for number in range(12)))
    model = learn(config_file, labels, out=tmp_path / "model", show=False)
    assert (model.features["backbone"], model.features["layer"]) == ("efficientnet_lite0", None)
    assert model.features["fallback"] is None
    assert predict(tmp_path / "model", tmp_path / "pictures", show=False).features.origins[0].fallback is None
