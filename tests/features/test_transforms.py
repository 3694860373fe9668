"""Transforms fitted to features."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from imgcluster.features.transforms import fit_transform


@pytest.mark.parametrize("count", [1, 4])
def test_equal_points_have_components_without_a_warning(count: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, _ = fit_transform(np.ones((count, 8), np.float32), [{"pca": 1}], 0)
    assert found.tolist() == [[0.0]] * count
