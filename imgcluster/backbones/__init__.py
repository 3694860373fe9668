"""Pretrained networks: which one a run gets, how it is built, and what its layers are called."""

from imgcluster.backbones.build import build_extractor
from imgcluster.backbones.choose import Choice, check_backbones, choose_backbones
from imgcluster.backbones.find import find_backbone

__all__ = ["Choice", "build_extractor", "check_backbones", "choose_backbones", "find_backbone"]
