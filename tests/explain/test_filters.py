"""Pictures that filters answer to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import imgcluster
from imgcluster.errors import ConfigError
from imgcluster.explain.activations import LayerNetwork
from imgcluster.explain.filters import ascend
from tests.support.explained import CPU, choice


def filters(seed: int, wanted: list[int], steps: int = 3) -> np.ndarray:
    return imgcluster.filter_images(
        "features.3.expand3x3", wanted, "squeezenet1_1", weights="random", side=48, steps=steps, seed=seed
    )


def test_filters_are_the_same_for_the_same_seed() -> None:
    first = filters(0, [0, 3])
    assert (first.shape, first.dtype) == ((2, 48, 48, 3), np.uint8)
    assert np.array_equal(first, filters(0, [0, 3]))
    assert np.abs(first.astype(int) - filters(1, [0, 3])).mean() > 10
    assert np.abs(first[0].astype(int) - first[1]).mean() > 5
    alone = filters(0, [3])[0]  # whatever else is asked for, but for the last bits of sums
    assert np.abs(alone.astype(int) - first[1]).mean() < 1


def test_a_filter_answers_more_to_its_picture_than_to_noise() -> None:
    network = LayerNetwork.build(choice("squeezenet1_1", "features.3.expand3x3"), CPU)
    start = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 20 + 118
    made = torch.tensor(ascend(network, start, [0, 3, 9], 20)).permute(0, 3, 1, 2)
    recipe = network.choice.recipe
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (recipe.mean, recipe.std))
    before, after = (network.network((pixels / 255 - mean) / std)[0][:, [0, 3, 9]] for pixels in (start, made))
    assert (after.mean(dim=(2, 3)).diag() > before.mean(dim=(2, 3))[0] + 0.1).all()
    moved = (made - start).square().mean(dim=(1, 2, 3)).sqrt()
    assert ((moved > 5) & (moved <= 20)).all()  # 20 steps, each 1.0 in the root mean square


@pytest.mark.parametrize("wanted", [[64], [-1]])
def test_a_filter_that_is_not_there(wanted: list[int]) -> None:
    with pytest.raises(ConfigError, match=rf"features.3.expand3x3 has no filter {wanted[0]}: it has 64, from 0"):
        filters(0, wanted)
