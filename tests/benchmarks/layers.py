"""What layers cost: several in one pass against a pass each, and an early one against a late one."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import numpy as np
import torch

from imgcluster.backbones.build import build_extractor
from imgcluster.backbones.runtimes.torch_runtime import TorchRuntime
from imgcluster.backbones.select import choose_backbones
from imgcluster.config.loader import FeaturesConfig
from tests.benchmarks.clock import Side, median_ratio, take_turns
from tests.benchmarks.rows import Row

TOGETHER = ("relu3_3", "relu4_3", "fc6")
PER_ROUND, SIDE = 8, 224
ROUNDS = {False: 5, True: 1}  # by --quick
# Multiply-adds of VGG16 at 224 px: positions x channels x values behind each (3 x 3 x channels), 25088 x 4096 for fc6.
TO_RELU2_2 = 224**2 * 64 * (27 + 576) + 112**2 * 128 * (576 + 1152)
TO_FC6 = 15_346_630_656 + 25_088 * 4_096


def layers(quick: bool) -> Iterator[Row]:
    """VGG16 with random weights, fp32, on the CPU: batches of eight pictures of 224 x 224."""
    sides = {
        "together": _passes([TOGETHER]),
        "apart": _passes([(layer,) for layer in TOGETHER]),
        "relu2_2": _passes([("relu2_2",)]),
        "fc6": _passes([("fc6",)]),
    }
    rates = take_turns(sides, ROUNDS[quick])
    yield _row("three layers in one pass, against a pass each", rates["together"], rates["apart"], "> 1")
    aim = f"{TO_FC6 / TO_RELU2_2:.2f} by FLOPs"
    yield _row("relu2_2 alone, against fc6 alone", rates["relu2_2"], rates["fc6"], aim)


def _passes(wanted: list[tuple[str, ...]]) -> Side:
    runtimes = [_runtime(names) for names in wanted]
    pixels = np.random.default_rng(0).integers(0, 256, (PER_ROUND, 1, SIDE, SIDE, 3), dtype=np.uint8)
    for runtime in runtimes:
        runtime(pixels)

    def side(number: int) -> np.ndarray:
        for runtime in runtimes:
            runtime(pixels)
        return pixels

    return side


def _runtime(names: tuple[str, ...]) -> TorchRuntime:
    choice = choose_backbones(FeaturesConfig(weights="random", layer=names), progress=False)[0]
    return TorchRuntime(build_extractor(choice), choice.recipe, torch.device("cpu"), "fp32")


def _row(figure: str, ours: list[float], theirs: list[float], aim: str) -> Row:
    ratio = f"{median_ratio(ours, theirs):.2f}"
    return Row("layers", figure, f"{median(ours):.2f} img/s", f"{median(theirs):.2f} img/s", ratio, aim)
