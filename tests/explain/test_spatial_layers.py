"""Layers with places."""

from __future__ import annotations

from imgcluster.config.backbone_table import BACKBONES
from imgcluster.explain.spatial_layers import before_activation
from tests.support.explained import LITE


def test_what_goes_into_an_activation_is_climbed() -> None:
    vgg, lite = BACKBONES["vgg11"], BACKBONES[LITE]
    assert before_activation(vgg, "relu4_1", 224) == "features.11"
    assert before_activation(vgg, "conv4_1", 224) == "features.11"
    assert before_activation(lite, "_swish_1", 224) == "_bn1"
    assert before_activation(vgg, "fc6", 224) == "classifier.0"
