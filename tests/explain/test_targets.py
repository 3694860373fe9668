"""What a heat map is of: classes, clusters, and the transform of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import imgcluster
from imgcluster.clustering.distances import centroid_distances
from imgcluster.errors import ClusteringError, ConfigError
from imgcluster.explain.targets import class_index, class_names, margins, transformed
from imgcluster.features.transforms import apply_transform, fit_transform
from tests.support.explained import LITE, photograph

CHAINS: list[list[Any]] = [
    [],
    ["sqrt", "l2", {"pca": 4}, "l2"],
    ["standardize", {"whiten": 3}],
    [{"pca": 0.9}, "standardize", "sqrt"],
]


@pytest.mark.parametrize("steps", CHAINS)
def test_the_transform_is_the_run_s_with_gradients(steps: list[Any]) -> None:
    rng = np.random.default_rng(0)
    vectors, others = (rng.normal(size=(30, 6)).astype(np.float32) for _ in range(2))
    _, state = fit_transform(vectors, steps, 0)
    others[0] = 0
    features = torch.tensor(others, requires_grad=True)
    points = transformed(features, state)
    assert np.allclose(points.detach().numpy(), apply_transform(others, state), atol=1e-5)
    (gradient,) = torch.autograd.grad(points.square().sum() + points.sum(), features)
    assert gradient.isfinite().all()
    assert (gradient[1:].abs().sum(dim=1) > 0).all()


def test_umap_cannot_be_followed_back() -> None:
    with pytest.raises(ClusteringError, match="umap cannot be followed back to the pictures"):
        transformed(torch.zeros(1, 2), {"steps": np.array(["umap"])})


def test_margins_are_differences_of_squared_distances() -> None:
    rng = np.random.default_rng(0)
    points, centroids = rng.normal(size=(3, 5)), rng.normal(size=(4, 5))
    centroids[1] = np.nan  # nobody's number
    squared = centroid_distances(points, centroids[[0, 2, 3]]) ** 2
    given = torch.tensor(points), torch.tensor(centroids)
    against_others = margins(*given, [0, 2, 3], [None, None, None])
    expected = [squared[0, [1, 2]].mean(), squared[1, [0, 2]].mean(), squared[2, [0, 1]].mean()]
    assert np.allclose(against_others, np.array(expected) - squared[[0, 1, 2], [0, 1, 2]])
    assert np.allclose(margins(*given, [0, 2, 3], [3, 0, 2]), squared[[0, 1, 2], [2, 0, 1]] - np.diag(squared))
    alone = margins(given[0], given[1][:2], [0, 0, 0], [None, None, None])
    assert np.allclose(alone, (points**2).sum(axis=1) - squared[:, 0])


@pytest.mark.parametrize(("asked", "index"), [(386, 386), ("386", 386), ("African elephant", 386), ("espresso", 967)])
def test_a_class_by_index_or_name(asked: int | str, index: int) -> None:
    assert class_index(asked) == index


@pytest.mark.parametrize(
    ("asked", "n_classes", "message"),
    [
        ("african_elefant", 1000, r"there is no class 'african_elefant'; near it: African elephant \(386\)"),
        ("cat", 1000, r"near it: .*Persian cat \(283\)"),
        ("qqqqqq", 1000, "there is no class 'qqqqqq'; give a number"),
        (1000, 1000, "class 1000: there are 1,000, from 0 to 999"),
        ("espresso", 21841, "names are those of ImageNet's 1,000; this network has 21,841"),
        ("-1", 1000, "there is no class '-1'"),
    ],
)
def test_a_class_that_is_not_there(asked: int | str, n_classes: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        class_index(asked, n_classes)


def test_a_name_of_several_classes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["Crane" if number in (134, 517) else name for number, name in enumerate(class_names())]
    monkeypatch.setattr("imgcluster.explain.targets.class_names", lambda: names)
    with pytest.raises(ConfigError, match="class 'crane' is the name of several: 134, 517; give the number"):
        class_index("crane")


def test_the_names_are_in_the_order_of_the_scores() -> None:
    likeliest = imgcluster.grad_cam(photograph("coffee"), None, LITE)
    assert np.array_equal(likeliest, imgcluster.grad_cam(photograph("coffee"), "espresso", LITE))
    assert class_names()[967] == "espresso"
