"""Classifiers on features: fitted by scikit-learn, stored and applied as plain arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from imgcluster.errors import ConfigError
from imgcluster.utils import row_slices

Arrays = dict[str, np.ndarray]

C_VALUES = (
    1.0,
    10.0,
    100.0,
    1000.0,
)  # of features of the length 1, that are smaller than what scikit-learn's 1.0 is for
USUAL_C = 100.0  # where a class has too few images to compare
FOLDS = 5
MAX_COMPARED = 5_000  # images that C is chosen on: the choice does not get better with more
MAX_ITERATIONS = 1_000
SINGLE_THREAD_VALUES = 8_000_000  # up to here a second thread costs more than it gains
NEIGHBOURS = 5
VALIDATION_SHARE = 0.2
LEAST = 5  # images of a class, from which one is held back
HIDDEN_UNITS = 256


@dataclass(frozen=True)
class Fitted:
    """arrays: what `probabilities` needs; notes: what was chosen, for a person; settings: the same, by name."""

    arrays: Arrays
    notes: list[str] = field(default_factory=list)
    settings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Classifier:
    """fit: (points, classes, random_state) -> Fitted; scores: (points, arrays) -> (m, n_classes) probabilities.

    points: (n, dim) float32. classes: (n,) int64, from 0, each there at least once.
    """

    fit: Callable[[np.ndarray, np.ndarray, int], Fitted]
    scores: Callable[[np.ndarray, Arrays], np.ndarray]


def fit_classifier(name: str, points: np.ndarray, classes: np.ndarray, random_state: int) -> Fitted:
    """Fit one of CLASSIFIERS to points, (n, dim) float32, of classes, (n,) int64 from 0, two at least.

    logistic: multinomial logistic regression; C is that of C_VALUES with the least log loss in five folds, or in as
    many as the smallest class has images. svm: a linear support vector machine. knn: the five nearest, weighted by
    cosine. mlp: a hidden layer of 256. In the first two, classes weigh the same, whatever their sizes.
    Raises ConfigError: no such classifier.
    """
    check_classifier(name)
    with warnings.catch_warnings(), _threads_for(points):
        warnings.simplefilter("ignore")  # of iterations: a thousand of them are near enough
        return CLASSIFIERS[name].fit(points, classes, random_state)


def probabilities(name: str, points: np.ndarray, arrays: Arrays) -> np.ndarray:
    """Return how likely each class is, (m, n_classes) float64, rows that add up to 1."""
    parts = [CLASSIFIERS[name].scores(points[part], arrays) for part in row_slices(*points.shape)]
    return np.concatenate(parts) if parts else np.empty((0, int(arrays["n_classes"])))


def validation_split(classes: np.ndarray, random_state: int) -> np.ndarray:
    """Draw a fifth of each class with `LEAST` images or more for validation: (n,) bool. Every class keeps some."""
    draw = np.random.default_rng(random_state)
    held = np.zeros(len(classes), bool)
    for number in np.unique(classes):
        rows = draw.permutation(np.flatnonzero(classes == number))
        if len(rows) >= LEAST:
            held[rows[: round(VALIDATION_SHARE * len(rows))]] = True
    return held


def check_classifier(name: str) -> None:
    """Raise ConfigError where there is no such classifier."""
    if name not in CLASSIFIERS:
        raise ConfigError(f"classifier: there is no {name!r}; allowed: {', '.join(CLASSIFIERS)}")


def fit_logistic(points: np.ndarray, classes: np.ndarray, c: float) -> Fitted:
    """Fit `logistic` with this C."""
    with warnings.catch_warnings(), _threads_for(points):
        warnings.simplefilter("ignore")
        model = _logistic(c).fit(points, classes)
    arrays = _linear(model.coef_.astype(np.float64), model.intercept_.astype(np.float64))
    return Fitted(arrays, [f"logistic: C {c:g}"], {"C": c})


def _logistic(c: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=c, class_weight="balanced", max_iter=MAX_ITERATIONS)


def _threads_for(points: np.ndarray) -> Any:
    """One thread for small products: on 200 x 1280 two are ten times as slow, for most of the time they wait."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1 if points.size <= SINGLE_THREAD_VALUES else None)


def _turned(points: np.ndarray) -> np.ndarray:
    """Return points that are much fewer than their dimensions in as many coordinates as they are, (n, n); else as is.

    The weights of a penalised linear model are a sum of its points, so that nothing is lost, and a rotation changes no
    length: the minimum is the same, and found in a fraction of the time. Only when it counts as found differs a little.
    """
    count, dim = points.shape
    if 2 * count > dim:
        return points
    triangle = np.asarray(np.linalg.qr(points.T.astype(np.float64), mode="r"))
    return np.ascontiguousarray(triangle.T, dtype=points.dtype)


def _fit_logistic(points: np.ndarray, classes: np.ndarray, random_state: int) -> Fitted:
    chosen, note = _choose_c(points, classes, random_state)
    return replace(fit_logistic(points, classes, chosen), notes=[note])


def _choose_c(points: np.ndarray, classes: np.ndarray, random_state: int) -> tuple[float, str]:
    """Return the C with the least log loss in folds, and why. By accuracy many are equal, and small ones unsure."""
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    folds = min(FOLDS, int(np.bincount(classes).min()))
    if folds < 2:
        return USUAL_C, f"logistic: C fixed at {USUAL_C:g}: a class has one labelled image, too few to cross-validate"
    drawn = _drawn(classes, random_state)
    split = StratifiedKFold(folds, shuffle=True, random_state=random_state)
    few = _turned(points[drawn])
    with _threads_for(few):
        scores = [
            cross_val_score(_logistic(c), few, classes[drawn], cv=split, scoring="neg_log_loss").mean()
            for c in C_VALUES
        ]
    best = int(np.argmax(scores))
    chosen = C_VALUES[best]
    return chosen, f"logistic: C {chosen:g}, by {folds} folds of {len(drawn):,} images: log loss {-scores[best]:.3f}"


def _drawn(classes: np.ndarray, random_state: int) -> np.ndarray:
    """Draw `MAX_COMPARED` images at most, of each class its share, but as many as there are folds."""
    if len(classes) <= MAX_COMPARED:
        return np.arange(len(classes))
    draw = np.random.default_rng(random_state)
    share = MAX_COMPARED / len(classes)
    groups = (draw.permutation(np.flatnonzero(classes == number)) for number in range(int(classes.max()) + 1))
    return np.sort(np.concatenate([group[: max(FOLDS, round(share * len(group)))] for group in groups]))


def _fit_svm(points: np.ndarray, classes: np.ndarray, random_state: int) -> Fitted:
    from sklearn.svm import LinearSVC

    model = LinearSVC(class_weight="balanced", max_iter=10 * MAX_ITERATIONS, random_state=random_state)
    model.fit(points, classes)
    arrays = _linear(model.coef_.astype(np.float64), model.intercept_.astype(np.float64))
    return Fitted(arrays, ["svm: probabilities are the softmax of its distances, a guess"])


def _linear(weights: np.ndarray, bias: np.ndarray) -> Arrays:
    """Return a linear model with a row for each class: of two, scikit-learn keeps one row."""
    if len(weights) == 1:
        weights, bias = np.concatenate([0 * weights, weights]), np.concatenate([0 * bias, bias])
    return {"weights": weights, "bias": bias, "n_classes": np.array(len(weights))}


def _linear_scores(points: np.ndarray, arrays: Arrays) -> np.ndarray:
    return softmax(points.astype(np.float64) @ arrays["weights"].T + arrays["bias"])


def _fit_knn(points: np.ndarray, classes: np.ndarray, random_state: int) -> Fitted:
    count = np.array(int(classes.max()) + 1)
    return Fitted({"vectors": np.asarray(points, np.float32), "classes": classes, "n_classes": count})


def _knn_scores(points: np.ndarray, arrays: Arrays) -> np.ndarray:
    from sklearn.neighbors import KNeighborsClassifier

    count = min(NEIGHBOURS, len(arrays["vectors"]))
    model = KNeighborsClassifier(count, weights="distance", metric="cosine", algorithm="brute")
    return np.asarray(model.fit(arrays["vectors"], arrays["classes"]).predict_proba(points))


def _fit_mlp(points: np.ndarray, classes: np.ndarray, random_state: int) -> Fitted:
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier((HIDDEN_UNITS,), learning_rate_init=0.01, max_iter=MAX_ITERATIONS, random_state=random_state)
    model.fit(points, classes)
    hidden = {"hidden": model.coefs_[0], "hidden_bias": model.intercepts_[0]}
    return Fitted({**hidden, **_linear(model.coefs_[1].T, model.intercepts_[1])})


def _mlp_scores(points: np.ndarray, arrays: Arrays) -> np.ndarray:
    hidden = np.maximum(points.astype(np.float64) @ arrays["hidden"] + arrays["hidden_bias"], 0)
    return _linear_scores(hidden, arrays)


def softmax(scores: np.ndarray) -> np.ndarray:
    """Return (m, n_classes) of scores as probabilities."""
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


CLASSIFIERS = {
    "logistic": Classifier(_fit_logistic, _linear_scores),
    "svm": Classifier(_fit_svm, _linear_scores),
    "knn": Classifier(_fit_knn, _knn_scores),
    "mlp": Classifier(_fit_mlp, _mlp_scores),
}
