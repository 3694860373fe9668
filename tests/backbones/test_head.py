"""The classifier on features that are there already gives what the whole network gives of the pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from imgcluster.backbones import head
from imgcluster.backbones.build import capture
from imgcluster.backbones.head import ACTIVATIONS, classify
from imgcluster.backbones.networks import random_network
from imgcluster.backbones.pooling import pool
from imgcluster.backbones.weights.load import Weights, find_weights
from imgcluster.config.backbone_table import BACKBONES, Backbone

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


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_torchs(name: str) -> None:
    values = np.concatenate([np.linspace(-8, 8, 1001), [-1000, 1000]]).astype(np.float32)
    wanted = getattr(torch.nn, name)()(torch.from_numpy(values)).numpy()
    np.testing.assert_allclose(ACTIVATIONS[name](values), wanted, rtol=1e-5, atol=1e-6)


def test_a_classifier_is_kept_by_the_weights_it_is_of(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone, vectors = BACKBONES["resnet18"], np.ones((1, 512), np.float32)
    random = find_weights(backbone, "random")
    first = classify(backbone, random, "avgpool", vectors)
    built: list[Weights] = []

    def other_network(backbone: Backbone, weights: Weights) -> torch.nn.Module:
        built.append(weights)
        model = random_network(backbone)
        model.get_parameter("fc.bias").data[7] += 100
        return model

    monkeypatch.setattr(head, "network_with", other_network)
    np.testing.assert_array_equal(classify(backbone, random, "avgpool", vectors), first)
    assert not built
    other = classify(backbone, replace(random, sha256="other"), "avgpool", vectors)
    assert other is not None
    assert other.argmax() == 7
    assert len(built) == 1


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
