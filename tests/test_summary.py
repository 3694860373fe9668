"""The summary of several backbones, and the profile."""

from __future__ import annotations

from pathlib import Path

from imgcluster.config import FeaturesConfig
from imgcluster.features import extract_features
from imgcluster.images import walk_images
from imgcluster.summary import ADVICE, profile_lines, summarize_features
from imgcluster.tables import Features

SECONDS = {"decoding": 3.0, "waiting for images": 1.0, "network": 2.0, "waiting for the disk": 0.5}


def joined(pictures: Path, store: Path) -> Features:
    names = ("efficientnet_lite0", "squeezenet1_1")
    config = FeaturesConfig(backbone=names, weights="random", runtime="torch", store=str(store))
    return extract_features(walk_images(pictures), config, show=False)


def test_each_backbone_has_its_lines(pictures: Path, tmp_path: Path) -> None:
    lines = summarize_features(joined(pictures, tmp_path / "s"))
    assert lines[0] == (
        "images    12: efficientnet_lite0: 12 computed, 0 from the store; "
        "squeezenet1_1: 12 computed, 0 from the store, 0 failed"
    )
    assert [line.split()[1] for line in lines if line.startswith("backbone")] == ["efficientnet_lite0", "squeezenet1_1"]
    assert lines[-1] == "joined    1792-d"


def test_the_profile_names_what_limits(pictures: Path, tmp_path: Path) -> None:
    features = joined(pictures, tmp_path / "s")
    features.origins[0].seconds.clear()
    features.origins[0].seconds.update(SECONDS)
    lines = profile_lines(features)
    assert lines[0] == "profile   efficientnet_lite0, torch: seconds, of all threads together"
    assert lines[1] == "      3.00  decoding"
    assert lines[5] == f"limited by {ADVICE['network']}"
    assert sum(line.startswith("profile") for line in lines) == 2


def test_from_the_store_nothing_limits(pictures: Path, tmp_path: Path) -> None:
    joined(pictures, tmp_path / "s")
    assert not [line for line in profile_lines(joined(pictures, tmp_path / "s")) if line.startswith("limited")]
