"""The summary of several backbones, and the profile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imgcluster import load_config, run
from imgcluster.backbones.runtimes.precision import Deviation, PrecisionCheck
from imgcluster.cli.format.run import ADVICE, _precision_text, profile_lines, summarize_features, summarize_run
from imgcluster.config.loader import FeaturesConfig
from imgcluster.features.extraction import extract_features
from imgcluster.features.result import Features
from imgcluster.images.listing import walk_images
from imgcluster.types import Failure, ImageFile

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


def failing(reasons: dict[str, str]) -> list[str]:
    failures = [Failure(ImageFile(id, Path(id)), reason) for id, reason in reasons.items()]
    features = Features([], np.empty((0, 2), np.float32), failures, [])
    return [line for line in summarize_features(features) if line.startswith("  failed")]


def test_failures_are_counted_by_reason_the_commonest_first() -> None:
    pointers = {f"{number:02d}.jpg": "a Git LFS pointer" for number in range(12)}
    assert failing({"a.jpg": "truncated JPEG", **pointers, "b\n.jpg": "truncated JPEG", "c.jpg": "broken link"}) == [
        "  failed  12 images (00.jpg, 01.jpg, 02.jpg, ...): a Git LFS pointer",
        r"  failed  a.jpg, 'b\n.jpg': truncated JPEG",
        "  failed  c.jpg: broken link",
    ]


def test_of_many_reasons_the_first_few_are_named() -> None:
    lines = failing({f"{number}.jpg": f"reason {max(0, number - 2)}" for number in range(9)})
    assert lines[0] == "  failed  0.jpg, 1.jpg, 2.jpg: reason 0"
    assert lines[5:] == ["  failed  2 more images: 2 other reasons, see clusters.csv"]
    lines = failing({f"{number}.jpg": f"reason {number}" for number in range(6)})
    assert lines[5:] == ["  failed  1 more image: another reason, see clusters.csv"]


def test_nothing_is_said_where_nothing_failed() -> None:
    assert failing({}) == []


def summary(config_file: Path, *overrides: str) -> list[str]:
    return summarize_run(run(load_config(config_file, overrides), force=True, show=False)).splitlines()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["clusters.method=auto"], "number of clusters as set"),
        (["clusters.method=auto", "clusters.n_clusters=auto"], "number of clusters of 2 to 11 by modularity"),
    ],
    ids=str,
)
def test_how_auto_decides_is_a_sentence(config_file: Path, overrides: list[str], said: str) -> None:
    (line,) = (line for line in summary(config_file, *overrides) if line.startswith("method "))
    assert line == (
        "method    auto: sqrt, l2, pca, equalize, l2, then K-Means on a diffusion embedding of the nearest neighbours; "
        f"{said}"
    )
    assert not [line for line in summary(config_file) if line.startswith("method ")]


def test_clusters_without_a_name_are_named_by_their_numbers(config_file: Path) -> None:
    some, all = "outputs.names={0: red, 2: blue}", "outputs.names={0: red, 1: '1', 2: blue}"
    notes = [[line for line in summary(config_file, names) if "have no name" in line] for names in (some, all)]
    assert notes == [["note: outputs.names: 1 of 3 clusters have no name: 1"], []]


def test_a_comparison_of_precisions_is_one_short_line() -> None:
    tried = (Deviation(0, 0.99, 0.94), Deviation(12, 0.9995, 0.97))
    texts = [
        _precision_text(PrecisionCheck("bf16", 12, 32, tried)),
        _precision_text(PrecisionCheck("fp32", 0, 32)),
        _precision_text(PrecisionCheck("bf16", 0, 0)),
    ]
    assert texts == [
        "bf16, first 12 convolutions fp32 (32 images: smallest cosine to fp32 0.9995, 97% of neighbours the same)",
        "fp32 (bf16 is not available)",
        "bf16: as the features in the store",
    ]
