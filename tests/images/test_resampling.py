"""Resizing gives the bits of torch's antialiased interpolation, whatever the sizes and the values."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from imgcluster.config import Recipe
from imgcluster.images import preprocess
from imgcluster.images.resampling import KERNELS, resample

ALL = (slice(None), slice(None))
INTERPOLATIONS = pytest.mark.parametrize("interpolation", KERNELS)


def by_torch(image: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    values = torch.from_numpy(image).permute(2, 0, 1)[None]
    return interpolate(values, size, mode=interpolation, antialias=True)[0].permute(1, 2, 0).numpy()


def noise(height: int, width: int, *, extreme: bool = False) -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return np.where(values < 128, 0, 255).astype(np.uint8) if extreme else values


@INTERPOLATIONS
@pytest.mark.parametrize("extreme", [False, True])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ((512, 512), (256, 256)),
        ((480, 640), (256, 341)),
        ((200, 150), (341, 256)),  # larger
        ((40, 300), (256, 256)),  # one side larger, one smaller
        ((256, 300), (256, 224)),  # one side as it is
        ((20, 30_000), (16, 16)),  # weights of a side are so many and so small that float32 does not hold their sums
        ((1, 1), (7, 5)),
    ],
)
def test_pixels_are_torchs(old: tuple[int, int], new: tuple[int, int], interpolation: str, extreme: bool) -> None:
    image = noise(*old, extreme=extreme)
    np.testing.assert_array_equal(resample(image, new, interpolation, ALL), by_torch(image, new, interpolation))


@INTERPOLATIONS
@given(sides=st.tuples(*[st.integers(1, 200)] * 4), extreme=st.booleans())
@settings(max_examples=50, deadline=None)
def test_pixels_of_any_sizes_are_torchs(sides: tuple[int, int, int, int], extreme: bool, interpolation: str) -> None:
    image, new = noise(*sides[:2], extreme=extreme), sides[2:]
    np.testing.assert_array_equal(resample(image, new, interpolation, ALL), by_torch(image, new, interpolation))


@INTERPOLATIONS
def test_a_window_is_cut_out_of_the_whole(interpolation: str) -> None:
    image, window = noise(100, 140), (slice(3, 40), slice(50, 64))
    whole = resample(image, (50, 70), interpolation, ALL)
    np.testing.assert_array_equal(resample(image, (50, 70), interpolation, window), whole[window])


def test_pictures_may_be_views_that_cannot_be_written() -> None:
    image = noise(60, 80)[5:-5, ::-1, ::-1]
    image.flags.writeable = False
    wanted = by_torch(np.ascontiguousarray(image), (20, 30), "bilinear")
    np.testing.assert_array_equal(resample(image, (20, 30), "bilinear", ALL), wanted)


@pytest.mark.parametrize("is_loaded", [True, False])
def test_pictures_are_prepared_alike_with_torch_and_without(is_loaded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("resample", "_by_torch"):
        way = getattr(preprocess, name)
        monkeypatch.setattr(preprocess, name, lambda *given, name=name, way=way: (calls.append(name), way(*given))[1])
    if not is_loaded:
        monkeypatch.delitem(sys.modules, "torch")
    image, out = noise(480, 640), np.empty((1, 224, 224, 3), np.uint8)
    preprocess.prepare(image, Recipe((("resize", 256), ("center_crop", 224))), out)
    monkeypatch.undo()
    assert calls == ["_by_torch" if is_loaded else "resample"]
    whole = by_torch(image, (256, 341), "bilinear")
    np.testing.assert_array_equal(out[0], whole[16:240, 58:282])


@pytest.mark.parametrize(("count", "is_loaded"), [(preprocess.IMAGES_WORTH_TORCH, True), (160, False)])
def test_torch_is_loaded_for_many_images_alone(count: int, is_loaded: bool) -> None:
    code = (
        "import sys; from imgcluster.config import BACKBONES; from imgcluster.images import ready_to_prepare; "
        f"ready_to_prepare({count}, BACKBONES['efficientnet_lite0'].recipe); print('torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == str(is_loaded)
