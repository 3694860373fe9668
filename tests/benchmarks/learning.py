"""Ways of learning from a few labels, each with the same draws; features mode on many images against scikit-learn."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from imgcluster import Training, learn, predict, write_sample
from imgcluster.learning.classifiers import fit_classifier
from tests.benchmarks.rows import Row

EACH = (1, 2, 5, 10, 20)  # labels a class
# Draws of these: minutes each, of those that train. Photographs are told apart without training from 5 on.
DRAWS = {"digits": {1: 10, 2: 10, 5: 10, 10: 5, 20: 3}, "photos": {1: 10, 2: 10, 5: 3}}
STEPS = {"digits": ("rotate", "shift"), "photos": ("crop", "flip", "color")}
FILES = {"digits": "{id}.png", "photos": "{id}.jpg"}
AIMED = {("photos", 5): "0.90"}
MODES = ("features", "augment", "finetune")
MANY, DIM, CLASSES = 100_000, 1280, 10


@dataclass(frozen=True)
class _Set:
    """A sample: its name, folder, and {id: class}."""

    name: str
    root: Path
    truth: dict[str, str]

    def path(self, id: str) -> Path:
        return self.root / "test" / FILES[self.name].format(id=id)


def learning(quick: bool) -> Iterator[Row]:
    """Accuracy on the images without a label, by mode and labels a class; then seconds of many images."""
    with TemporaryDirectory() as own:
        for name in DRAWS:
            images = _written(Path(own), name)
            for each in EACH:
                for mode in MODES:
                    yield from _row(images, each, mode, quick)
    yield _many(quick)


def _written(own: Path, name: str) -> _Set:
    root = own / name
    write_sample(name, root)
    (root / "c.yaml").write_text(
        f"images: {{folder: '{root / 'test'}', ids: '{root / 'truth.csv'}', file: '{FILES[name]}'}}\n"
        f"features: {{backbone: efficientnet_lite0, store: '{root / 'store'}'}}\n"
        f"clusters: {{n_clusters: 2}}\noutputs: {{folder: '{root / 'run'}'}}\n"
    )
    with (root / "truth.csv").open(newline="") as rows:
        return _Set(name, root, dict(list(csv.reader(rows))[1:]))


def _row(images: _Set, each: int, mode: str, quick: bool) -> Iterator[Row]:
    draws = 10 if mode == "features" else DRAWS[images.name].get(each, 0)
    found = [
        _accuracy(images, _drawn(images.truth, each, seed), mode) for seed in range(min(draws, 1 if quick else 10))
    ]
    if found:
        spread = f"{np.std(found):.3f}"
        figure = f"{images.name}, {each} a class, {mode}: accuracy; std"
        yield Row(
            "learning", figure, f"{np.mean(found):.3f}", spread, str(len(found)), AIMED.get((images.name, each), "")
        )


def _drawn(truth: dict[str, str], each: int, seed: int) -> list[str]:
    draw = np.random.default_rng([each, seed])
    ids, classes = list(truth), np.array(list(truth.values()))
    rows = [draw.permutation(np.flatnonzero(classes == one))[:each] for one in sorted(set(truth.values()))]
    return [ids[row] for row in np.concatenate(rows)]


def _accuracy(images: _Set, known: list[str], mode: str) -> float:
    labels, model = images.root / "labels.csv", images.root / "model"
    labels.write_text("id,label\n" + "".join(f"{id},{images.truth[id]}\n" for id in known))
    training = None if mode == "features" else Training(augment=STEPS[images.name])
    learn(images.root / "c.yaml", labels, out=model, mode=mode, training=training, show=False)
    hidden = [id for id in images.truth if id not in set(known)]
    found = predict(model, [images.path(id) for id in hidden], show=False)
    return float(np.mean([label == images.truth[id] for id, label in zip(hidden, found.labels, strict=True)]))


def _many(quick: bool) -> Row:
    """Seconds to fit ours, C chosen, against one scikit-learn fit and against its own search of the same C."""
    from sklearn.linear_model import LogisticRegression

    count = MANY // 10 if quick else MANY
    draw = np.random.default_rng(0)
    classes = np.arange(count) % CLASSES
    centres = draw.normal(size=(CLASSES, DIM)).astype(np.float32)
    points = centres[classes] + 6 * draw.normal(size=(count, DIM)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)

    def ours() -> Any:
        return fit_classifier("logistic", points, classes, 0)

    def theirs() -> Any:
        c = ours_fitted.settings["C"]
        return LogisticRegression(C=c, class_weight="balanced", max_iter=1000).fit(points, classes)

    start = time.perf_counter()
    ours_fitted = ours()
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    theirs()
    plain = time.perf_counter() - start
    figure = f"{count:,} x {DIM}, C by folds; scikit-learn with that C: s"
    return Row("learning", figure, f"{seconds:.1f}", f"{plain:.1f}", f"{seconds / plain:.2f}")
