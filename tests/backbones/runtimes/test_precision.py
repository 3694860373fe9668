"""What is tolerated of bfloat16, on features that deviate by known amounts."""

from __future__ import annotations

import numpy as np
import pytest

from imgcluster.backbones.runtimes.base import Blocks
from imgcluster.backbones.runtimes.openvino_package import Unsupported
from imgcluster.backbones.runtimes.precision import (
    EXACT_CONVOLUTIONS,
    MIN_AGREEMENT,
    MIN_COSINE,
    NEIGHBORS,
    Compute,
    check_precision,
    deviation,
)

IMAGES, DIM = 32, 64


def features() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(IMAGES, DIM)).astype(np.float32)


def turned(points: np.ndarray, cosine: float) -> np.ndarray:
    """Return vectors of the same length, at a cosine to each of the points."""
    other = np.random.default_rng(1).normal(size=points.shape)
    other -= points * ((other * points).sum(1, keepdims=True) / (points**2).sum(1, keepdims=True))
    other *= np.linalg.norm(points, axis=1, keepdims=True) / np.linalg.norm(other, axis=1, keepdims=True)
    return np.asarray(cosine * points + np.sqrt(1 - cosine**2) * other, np.float32)


def network(whole: float, mixed: float) -> Compute:
    """Return a network whose features in bfloat16 have these cosines to those in fp32."""

    def compute(precision: str, exact: int) -> Blocks:
        points = features()
        return [points if precision == "fp32" else turned(points, mixed if exact else whole)]

    return compute


@pytest.mark.parametrize(
    ("whole", "mixed", "chosen", "tried"),
    [
        (0.99999, 0.99999, ("bf16", 0), 1),
        (0.98, 0.99999, ("bf16", EXACT_CONVOLUTIONS), 2),
        (0.98, 0.99, ("fp32", 0), 2),
        (MIN_COSINE - 0.0001, MIN_COSINE - 0.0001, ("fp32", 0), 2),
    ],
)
def test_the_fastest_precision_within_the_bounds_is_taken(
    whole: float, mixed: float, chosen: tuple[str, int], tried: int
) -> None:
    check = check_precision(network(whole, mixed), IMAGES)
    assert (check.precision, check.exact, check.images, len(check.tried)) == (*chosen, IMAGES, tried)
    cosines = [each.cosine for each in check.tried]
    assert cosines == pytest.approx([whole, mixed][:tried], abs=1e-5)


def test_one_bad_image_is_enough() -> None:
    def compute(precision: str, _: int) -> Blocks:
        points = features()
        if precision == "bf16":
            points[7] = turned(points, 0.99)[7]
        return [points]

    check = check_precision(compute, IMAGES)
    assert (check.precision, check.tried[0].cosine) == ("fp32", pytest.approx(0.99, abs=1e-5))


def test_the_worst_layer_counts() -> None:
    points = features()
    found = deviation(0, [points, turned(points, 0.9)], [points, points])
    assert found.cosine == pytest.approx(0.9, abs=1e-5)
    assert found.agreement < deviation(0, [points], [points]).agreement == 1


def test_neighbours_count_where_all_images_look_alike_to_a_network() -> None:
    """A large part that all features share makes every cosine nearly 1, whatever becomes of the rest."""
    points = features() + 1000
    other = points + np.random.default_rng(2).normal(size=points.shape)
    found = deviation(0, [other], [points])
    assert found.cosine > MIN_COSINE
    assert found.agreement < MIN_AGREEMENT
    assert not found.is_tolerable


def test_equal_vectors_are_neighbours_in_any_order() -> None:
    points = np.repeat(features()[:4], NEIGHBORS + 3, axis=0)
    shaken = points + np.random.default_rng(3).normal(size=points.shape).astype(np.float32) * 1e-4
    assert deviation(0, [shaken], [points]).agreement == 1


def test_features_of_zeros_are_the_same() -> None:
    points = features()
    points[0] = 0
    assert deviation(0, [points], [points]).cosine == 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("row", [0, IMAGES - 1])
def test_what_is_not_finite_is_not_tolerated(value: float, row: int) -> None:
    points = features()
    points[row, 3] = value
    assert not deviation(0, [points], [features()]).is_tolerable


def test_a_mixture_that_openvino_cannot_compile_is_left_out() -> None:
    def compute(precision: str, exact: int) -> Blocks:
        if exact:
            raise Unsupported("a sum of another precision")
        return network(0.9, 1.0)(precision, exact)

    check = check_precision(compute, IMAGES)
    assert (check.precision, len(check.tried)) == ("fp32", 1)


def test_a_network_that_openvino_cannot_execute_is_no_verdict() -> None:
    def compute(precision: str, exact: int) -> Blocks:
        raise Unsupported("no such operator")

    with pytest.raises(Unsupported):
        check_precision(compute, IMAGES)
