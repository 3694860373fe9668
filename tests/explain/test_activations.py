"""Activations, against hooks of plain torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import imgcluster
from imgcluster.backbones.networks import random_network
from imgcluster.config.backbone_table import BACKBONES
from imgcluster.errors import ConfigError
from imgcluster.images.preprocess import prepare
from tests.support.explained import noise, photograph


def test_activations_are_what_hooks_see() -> None:
    image = photograph("cat")
    grid = imgcluster.activation_grid(image, "relu4_1", "vgg11", weights="random")
    model = random_network(BACKBONES["vgg11"])
    seen: list[torch.Tensor] = []
    model.features[12].register_forward_hook(lambda module, inputs, output: seen.append(output.detach().clone()))
    pixels = np.empty((1, 224, 224, 3), np.uint8)
    prepare(image, BACKBONES["vgg11"].recipe, pixels)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    model((torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - mean) / std)
    channels = seen[0][0].double().numpy()
    assert grid.shape == (32 * 28, 16 * 28)
    for number in (0, 17, 511):
        row, column = divmod(number, 16)
        cell = grid[28 * row : 28 * row + 28, 28 * column : 28 * column + 28].astype(int)
        one = channels[number]
        expected = ((one - one.mean()) / (one.std() or 1) * 64 + 128).clip(0, 255)
        assert np.abs(cell - expected).max() <= 1
    assert grid.std() > 30


def test_a_layer_without_places_has_no_activations() -> None:
    with pytest.raises(ConfigError, match="vgg11 fc6: has no grid of places"):
        imgcluster.activation_grid(noise(), "fc6", "vgg11", weights="random")


def test_tokens_are_shown_as_the_grid_they_stand_for() -> None:
    grid = imgcluster.activation_grid(noise(224, 224), "encoder.ln", "vit_b_32", weights="random")
    assert grid.shape == (768 // 16 * 7, 16 * 7)
