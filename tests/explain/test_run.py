"""A run as `explain` reads it: its networks, points and clusters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import imgcluster
from imgcluster.explain.run import ExplainedRun
from imgcluster.images.decode import read_image
from tests.support.explained import SUBJECTS, MakeRun, half_of_peak, photograph, side_by_side


def cluster_of(run: Path, subject: str) -> int:
    of = {image.cluster for image in ExplainedRun(run).images if image.row % 3 == list(SUBJECTS).index(subject)}
    assert len(of) == 1  # the clusters are the subjects
    return int(of.pop() or 0)


def test_the_map_of_a_cluster_peaks_on_its_own_object(run: Path) -> None:
    opened = ExplainedRun(run)
    for left, right in (("cat", "coffee"), ("coffee", "rocket"), ("rocket", "cat")):
        picture = side_by_side(left, right)
        own, other = cluster_of(run, left), cluster_of(run, right)
        for against in ("others", other):
            heat = imgcluster.cluster_map(opened, picture, cluster=own, against=against)  # type: ignore[arg-type]
            assert half_of_peak(heat) == "left"
        assert half_of_peak(imgcluster.cluster_map(opened, picture, cluster=other, against=own)) == "right"


def test_a_picture_belongs_to_its_nearest_cluster_and_its_runner_up_is_the_next(run: Path) -> None:
    opened, picture = ExplainedRun(run), photograph("coffee")
    own = cluster_of(run, "coffee")
    assert np.array_equal(imgcluster.cluster_map(run, picture), imgcluster.cluster_map(run, picture, cluster=own))
    second = opened.nearest(opened.forward([picture]).points)[0][1]
    found = imgcluster.cluster_map(opened, picture, against="runner_up")
    assert np.array_equal(found, imgcluster.cluster_map(opened, picture, against=second))
    third = next(number for number in range(3) if number not in (own, second))
    assert not np.array_equal(found, imgcluster.cluster_map(opened, picture, against=third))


def test_points_are_where_the_run_found_them(run: Path) -> None:
    opened = ExplainedRun(run)
    images = opened.images[:5]
    points = opened.forward([read_image(image.path) for image in images]).points.detach()
    for image, point in zip(images, points, strict=True):
        away = (point - opened._centroids[image.cluster]).norm()
        assert float(away) == pytest.approx(image.distance, rel=1e-3)


def test_a_network_that_is_used_in_place_of_another_too_keeps_its_own_layer(make_run: MakeRun) -> None:
    both = ["features.backbone=[vgg16, efficientnet_lite0]", "features.layer={efficientnet_lite0: _blocks.3}"]
    run = make_run(*both, "features.fallback=efficientnet_lite0", "outputs.report=false")
    (choice,) = ExplainedRun(run).choices
    assert (choice.backbone.name, choice.layers) == ("efficientnet_lite0", ("_blocks.3",))


@pytest.mark.parametrize(
    ("overrides", "networks"),
    [
        (["features.layer=[_blocks.3, avgpool]"], ["efficientnet_lite0 _blocks.3._bn2, a 28 x 28 grid"]),
        pytest.param(
            ["features.backbone=[efficientnet_lite0, squeezenet1_1]", "features.block_l2=true", "features.views=flip"],
            ["efficientnet_lite0 _swish_1, a 7 x 7 grid", "squeezenet1_1 features.12.cat, a 13 x 13 grid"],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["features.views=whole", "clusters.n_clusters=1"],
            ["efficientnet_lite0 _swish_1, a 7 x 7 grid"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_joined_features_and_views(make_run: MakeRun, overrides: list[str], networks: list[str]) -> None:
    joined = "squeezenet1_1" in networks[-1]
    run = make_run(*overrides, *(["features.weights=random"] if joined else []))
    done = imgcluster.explain_run(run, images=["0001.png"], show=False)
    assert done.networks == networks
    assert done.is_random is joined
    assert len(done.pictures) == (1 if "clusters.n_clusters=1" in overrides else 2)
    opened = ExplainedRun(run)
    image = opened.images[1]
    point = opened.forward([read_image(image.path)]).points[0].detach()
    assert float((point - opened._centroids[image.cluster]).norm()) == pytest.approx(image.distance, rel=1e-3)
    assert imgcluster.cluster_map(opened, "0001.png").max() == 1
