"""The classifier on features that are there already gives what the whole network gives of the pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from imgcluster.backbones.build import capture
from imgcluster.backbones.head import classify
from imgcluster.backbones.networks import random_network
from imgcluster.backbones.pooling import pool
from imgcluster.backbones.weights.load import find_weights
from imgcluster.config.backbone_table import BACKBONES

# A network of each kind of ending: one linear step, several with activations, tokens, a map that is still to be pooled.
TAKEN = {
    "efficientnet_lite0": "avgpool",
    "resnet18": "avgpool",
    "mobilenet_v3_small": "classifier.1",
    "vgg11": "fc6",
    "vit_b_32": "encoder.ln",
    "mnasnet0_5": "mean",
}


def features_and_odds(name: str, layer: str) -> tuple[np.ndarray, np.ndarray]:
    """Pooled features of a layer and the network's own class probabilities, of two pictures of noise."""
    network = capture(random_network(BACKBONES[name]), [layer, "predictions"], name)
    with torch.no_grad():
        values, odds = network(torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0)))
    return pool(values, "auto", layer).numpy(), odds.numpy()


@pytest.mark.parametrize(("name", "layer"), TAKEN.items())
def test_the_classifier_gives_what_the_network_gives(name: str, layer: str) -> None:
    features, odds = features_and_odds(name, layer)
    found = classify(BACKBONES[name], find_weights(BACKBONES[name], "random"), layer, features)
    assert found is not None
    np.testing.assert_allclose(found, odds, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "layer", "dim"),
    [
        ("squeezenet1_1", "classifier.0", 512),  # a convolution and a ReLU on the map come before it is pooled
        ("resnet18", "layer3", 256),
        ("resnet18", "avgpool", 100),  # vectors of another length, as after another pooling
        ("resnet18", "logits", 1000),
    ],
)
def test_other_layers_are_not_taken(name: str, layer: str, dim: int) -> None:
    backbone = BACKBONES[name]
    assert classify(backbone, find_weights(backbone, "random"), layer, np.zeros((2, dim), np.float32)) is None
