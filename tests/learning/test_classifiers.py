"""Classifiers, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import LinearSVC

from imgcluster.learning.classifiers import (
    C_VALUES,
    CLASSIFIERS,
    MAX_COMPARED,
    _drawn,
    fit_classifier,
    probabilities,
    validation_split,
)


def blobs(per_class: int, n_classes: int = 3, dim: int = 40) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(per_class)
    classes = np.repeat(np.arange(n_classes), per_class)
    centres = np.random.default_rng(9).normal(size=(n_classes, dim))
    return (centres[classes] + draw.normal(size=(len(classes), dim))).astype(np.float32), classes


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
