"""The table of transform steps: complete, and the same step in each of its ways."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from imgcluster.config.fields import Step as StepOfConfig
from imgcluster.features.steps import STEPS, unit_length
from imgcluster.features.transforms import Points

OF_ITS_OWN_IMAGES = {"umap"}  # neither in blocks nor with gradients
PARAMETERS = {"sqrt": None, "l2": None, "standardize": None, "equalize": None, "pca": 4, "whiten": 0.8}


def names_in(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("enum", [])
        yield from [schema["const"]] if "const" in schema else []
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from names_in(part)


def test_every_step_of_the_config_has_every_way_or_says_that_it_has_none() -> None:
    assert set(names_in(TypeAdapter(StepOfConfig).json_schema())) == set(STEPS) == {*PARAMETERS, *OF_ITS_OWN_IMAGES}
    for name, step in STEPS.items():
        assert callable(step.fit)
        assert callable(step.apply)
        for way in (step.fit_blocks, step.apply_torch):
            assert callable(way) != (name in OF_ITS_OWN_IMAGES)


@pytest.mark.parametrize("name", PARAMETERS)
def test_all_ways_of_a_step_agree(name: str) -> None:
    vectors = np.random.default_rng(1).normal(2, 1, (50, 9)).astype(np.float32) * np.arange(1, 10, dtype=np.float32)
    step, points = STEPS[name], Points(vectors)
    assert step.fit_blocks is not None
    assert step.apply_torch is not None
    fitted, in_blocks = step.fit(points, PARAMETERS[name], 0), step.fit_blocks(points, PARAMETERS[name])
    assert fitted.keys() == in_blocks.keys()
    applied = step.apply(vectors, fitted)
    np.testing.assert_allclose(step.apply(vectors, in_blocks), applied, rtol=1e-3, atol=1e-3)
    tensors = {key: torch.as_tensor(array) for key, array in fitted.items()}
    np.testing.assert_allclose(step.apply_torch(torch.as_tensor(vectors), tensors), applied, rtol=1e-4, atol=1e-4)


def test_equalized_values_differ_by_the_root_of_the_root_of_what_they_did_and_constant_ones_stay() -> None:
    values = np.random.default_rng(3).normal(size=(400, 3)).astype(np.float32) * np.float32([1, 16, 0])
    values[:, 2] = 5
    step = STEPS["equalize"]
    equalized = step.apply(values, step.fit(Points(values), None, 0))
    np.testing.assert_allclose(equalized.std(axis=0), values.std(axis=0, dtype=np.float64) ** 0.75, rtol=1e-4)
    np.testing.assert_array_equal(equalized[:, 2], values[:, 2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_get_the_length_1_and_zeros_stay(dtype: type[np.floating[Any]]) -> None:
    rows = np.random.default_rng(2).normal(size=(5, 3)).astype(dtype)
    rows[2] = 0
    scaled = unit_length(rows, dtype)
    assert scaled.dtype == dtype
    np.testing.assert_allclose(np.linalg.norm(scaled, axis=1), [1, 1, 0, 1, 1], rtol=1e-6)
