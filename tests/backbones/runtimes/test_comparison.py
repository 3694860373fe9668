"""Which images of a run are compared, and that it is bfloat16 with fp32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imgcluster.backbones.runtimes import comparison
from imgcluster.backbones.runtimes.base import Blocks
from imgcluster.backbones.runtimes.comparison import compare_precisions
from imgcluster.backbones.runtimes.precision import IMAGES_COMPARED, Compute, PrecisionCheck
from imgcluster.backbones.select import choose_backbones
from imgcluster.config.loader import FeaturesConfig
from imgcluster.images.listing import walk_images
from tests.conftest import write_picture

RUN = 130
CHECK = PrecisionCheck("bf16", 0, IMAGES_COMPARED)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures whose brightest pixel is their number, of more than one colour."""
    (tmp_path / "pictures").mkdir()
    for number in range(RUN):
        pixels = np.zeros((40, 40, 3), np.uint8)
        pixels[:20] = number + 1
        write_picture(tmp_path / "pictures" / f"{number:04d}.png", pixels)
    return tmp_path / "pictures"


def compared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the numbers of the images that are compared."""
    seen: list[np.ndarray] = []

    def features(runtime: object, pixels: np.ndarray, size: int, advance: object) -> Blocks:
        seen.append(pixels)
        return []

    def check(compute: Compute, images: int) -> PrecisionCheck:
        compute("fp32", 0)
        assert images == len(seen[0])
        return CHECK

    monkeypatch.setattr(comparison, "features_of", features)
    monkeypatch.setattr(comparison, "check_precision", check)
    config = FeaturesConfig(backbone="efficientnet_lite0", preprocess=[{"squash": 64}], device="cpu")
    choice = choose_backbones(config)[0]
    found = compare_precisions(choice, walk_images(folder))
    assert found is (CHECK if seen else None)
    return [int(each.max()) - 1 for each in seen[0]] if seen else []


def test_images_of_the_whole_run_are_compared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compared(folder, monkeypatch) == list(range(0, 128, 4))


def test_others_take_the_place_of_unusable_images(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "0000.png").write_bytes(b"no picture")
    (folder / "0004.png").write_bytes((folder / "0008.png").read_bytes())
    write_picture(folder / "0012.png", np.full((40, 40, 3), 7, np.uint8))
    assert compared(folder, monkeypatch) == [8, *range(16, 128, 4), 2, 6, 10]


def test_too_few_different_images_are_not_compared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in folder.iterdir():
        path.write_bytes((folder / f"{int(path.stem) % 7:04d}.png").read_bytes())
    assert compared(folder, monkeypatch) == []


def test_a_real_network_is_compared_with_itself(folder: Path) -> None:
    """With more of the network in fp32, its features are nearer to those in fp32."""
    config = FeaturesConfig(backbone="efficientnet_lite0", preprocess=[{"squash": 64}], device="cpu")
    found = compare_precisions(choose_backbones(config)[0], walk_images(folder))
    assert found is not None
    assert (found.images, found.precision in ("bf16", "fp32")) == (IMAGES_COMPARED, True)
    cosines = [each.cosine for each in found.tried]
    assert all(0.9 < cosine <= 1 for cosine in cosines)
    assert cosines == sorted(cosines)
