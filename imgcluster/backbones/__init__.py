"""Pretrained networks: which one a run gets, how it is built, and what its layers are called."""

from imgcluster.backbones.build import build_extractor
from imgcluster.backbones.choose import Choice, choose_backbone
from imgcluster.backbones.find import find_backbone
from imgcluster.backbones.layers import check_layers

__all__ = ["Choice", "build_extractor", "check_layers", "choose_backbone", "find_backbone"]
