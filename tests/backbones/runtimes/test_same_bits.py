"""Whether a picture's bits depend on the others in its batch: found out, remembered, and seen to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from imgcluster.backbones.runtimes import openvino_conversion as converted
from imgcluster.backbones.runtimes import plan as execution
from imgcluster.backbones.runtimes.openvino_runtime import OpenVinoRuntime
from imgcluster.backbones.runtimes.same_bits import alone_and_together, at_any_place
from imgcluster.backbones.runtimes.torch_runtime import TorchRuntime
from imgcluster.backbones.select import choose_backbones
from imgcluster.config.loader import FeaturesConfig
from imgcluster.config.recipe import Recipe

RECIPE = Recipe((("squash", 4),))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMGCLUSTER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Fake:
    """A runtime whose vectors have something of the size of the batch, or of the place in it."""

    def __init__(self, by_size: float = 0.0, by_place: float = 0.0) -> None:
        self.sizes: list[int] = []
        self._by_size, self._by_place = by_size, by_place

    def __call__(self, pixels: np.ndarray) -> list[np.ndarray]:
        self.sizes.append(len(pixels))
        means = pixels.reshape(len(pixels), -1).mean(axis=1, dtype=np.float32)
        shift = self._by_size * len(pixels) + self._by_place * np.arange(len(pixels), dtype=np.float32)
        return [np.zeros((len(pixels), 2), np.float32), (means + shift)[:, None]]


@pytest.mark.parametrize(
    ("by_size", "by_place", "alone", "places"),
    [(0, 0, True, True), (1e-3, 0, False, True), (0, 1e-3, False, False)],
)
def test_another_last_bit_is_seen(by_size: float, by_place: float, alone: bool, places: bool) -> None:
    made: list[int] = []

    def build(images: int) -> Any:
        made.append(images)
        return Fake(by_size, by_place)

    assert alone_and_together(build, RECIPE, 3) == alone
    assert made == [1, 3]
    assert at_any_place(Fake(by_size, by_place), RECIPE, 4) == places  # type: ignore[arg-type]


def planned(runtime: str, **keys: Any) -> tuple[Any, execution.Plan]:
    steps = [{"squash": 64}, {"normalize": "backbone"}]
    config = FeaturesConfig(
        backbone="efficientnet_lite0", preprocess=steps, device="cpu", precision="fp32", runtime=runtime, **keys
    )
    choice = choose_backbones(config)[0]
    return choice, execution.plan_for(choice, config)


def noise(images: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (images, 1, 64, 64, 3), dtype=np.uint8)


def test_openvino_computes_one_by_one_what_depends_on_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def depends(build: Any, recipe: Recipe, together: int) -> bool:
        asked.append(together)
        return False

    monkeypatch.setattr(execution, "alone_and_together", depends)
    choice, plan = planned("openvino", batch_size=4)
    split = execution.build_runtime(choice, plan)
    assert isinstance(split, OpenVinoRuntime)
    assert (asked, len(split._requests[0]), split._images) == ([2], 4, 1)
    again = execution.build_runtime(choice, plan)
    assert (asked, again._images) == ([2], 1)  # type: ignore[attr-defined]
    one = OpenVinoRuntime(converted.from_cache(execution._network_of(choice)), choice.recipe, "fp32", 1)
    alone = np.concatenate([one(noise(4)[at : at + 1])[0] for at in range(4)])
    np.testing.assert_array_equal(split(noise(4))[0], alone)


def test_a_batch_of_one_needs_no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("alone_and_together", "at_any_place"):
        monkeypatch.setattr(execution, name, lambda *_: pytest.fail("tried"))
    for runtime in ("openvino", "torch"):
        execution.build_runtime(*planned(runtime, batch_size=1))


def test_torch_computes_one_by_one_what_depends_on_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "at_any_place", lambda *_: False)
    choice, plan = planned("torch", batch_size=3)
    runtime = execution.build_runtime(choice, plan)
    assert isinstance(runtime, TorchRuntime)
    sizes: list[int] = []
    runtime.network.register_forward_pre_hook(lambda module, given: sizes.append(len(given[0])))
    found = runtime(noise(3))[0]
    assert sizes == [1, 1, 1]
    np.testing.assert_array_equal(found, np.roll(runtime(np.roll(noise(3), 1, axis=0))[0], -1, axis=0))


def test_what_was_converted_runs_as_it_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    convert = converted._convert
    monkeypatch.setattr(converted, "_convert", lambda *about: made.append(convert(*about)) or made[0])

    class Network(nn.Module):
        def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
            return [pixels.mean(dim=(2, 3))]

    model = converted.converted(Network, "network", RECIPE)
    assert len(made) == 1
    assert model is not made[0]  # of some networks, the one in memory computes in another order
