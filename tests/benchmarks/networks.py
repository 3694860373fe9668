"""Networks by OpenVINO in fp32 and bfloat16: `python -m tests.benchmarks.networks [NAME ...]` writes the table.

The table is docs/networks.md; it is written as the work goes, and networks that are in it are left out unless they are
named. Weights are random, except those of the embedded network; BatchNorm has its initial statistics in one row and
those of photographs in the other, without which random networks hardly round.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from imgcluster.backbones.networks import network_with
from imgcluster.backbones.runtimes.base import Runtime
from imgcluster.backbones.runtimes.check_pictures import some_of
from imgcluster.backbones.runtimes.comparison import compare_precisions, different_pixels, features_of
from imgcluster.backbones.runtimes.openvino_runtime import auto_batch_size
from imgcluster.backbones.runtimes.plan import Plan, build_runtime
from imgcluster.backbones.runtimes.precision import EXACT_CONVOLUTIONS, PrecisionCheck
from imgcluster.backbones.runtimes.torch_runtime import scaled
from imgcluster.backbones.select import Choice, choose_backbones
from imgcluster.config import BACKBONES, BUNDLED, FORMULAS, FeaturesConfig
from imgcluster.datasets.registry import write_sample
from imgcluster.images.listing import walk_images
from imgcluster.types import ImageFile
from tests import ROOT
from tests.benchmarks.clock import Side, median_ratio, seconds, take_turns
from tests.benchmarks.rows import Row

TABLE = ROOT / "docs" / "networks.md"
RULE = "|---|---|---|---|---|---|---|---|---|"
DINOV2 = "timm:vit_small_patch14_dinov2.lvd142m"
AIMED_AT = ("resnet50", "convnext_tiny", "vit_b_16", DINOV2)
OF_TIMM = (DINOV2, "timm:vit_base_patch32_clip_224.openai", "timm:mobilenetv4_conv_medium.e500_r256_in1k")
CPU = "cpu"
ROUNDS, SECONDS_OF_A_ROUND = 5, 1.5
MAX_IMAGES_OF_A_ROUND = 256
INITIAL, SETTLED, TRAINED, WEIGHTLESS = "random", "random, BatchNorm of photographs", "ImageNet", "none"


@dataclass(frozen=True)
class Measured:
    """A row of the table. openvino: times torch; bf16, auto: times OpenVINO's fp32; cosine, agreement: of bfloat16."""

    network: str
    weights: str
    torch: str
    openvino: str
    bf16: str
    cosine: str
    agreement: str
    chosen: str
    auto: str


def networks(quick: bool) -> Iterator[Row]:
    """The networks that are aimed at, with their weights as initialised: `precision: auto` against fp32."""
    for name in AIMED_AT[:1] if quick else AIMED_AT:
        row = next(measured(name))
        yield Row("networks", f"{name}: auto is {row.chosen}; images/s against fp32", ratio=row.auto, aim=">= 1.8")


def measured(name: str) -> Iterator[Measured]:
    """Measure a network, and yield a row for each kind of weights."""
    with TemporaryDirectory() as folder:
        write_sample("photos", Path(folder) / "photos")
        images = walk_images(Path(folder) / "photos" / "test")
        checks = {}
        for kind, choice in _kinds(name, images, Path(folder)).items():
            check = compare_precisions(choice, images)
            assert check is not None
            checks[kind] = check
        rates = _rates(choice, images, mixed=any(check.exact for check in checks.values()))
        yield from (_row(name, kind, check, rates) for kind, check in checks.items())


def _kinds(name: str, images: list[ImageFile], folder: Path) -> dict[str, Choice]:
    if name in BUNDLED:
        return {TRAINED: _choice(name, "imagenet")}
    if name in FORMULAS:
        return {WEIGHTLESS: _choice(name, "imagenet")}
    initial = _choice(name, "random")
    model = network_with(initial.backbone, initial.weights)
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return {INITIAL: initial}
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all pictures
        norm.train()
    with torch.no_grad():
        model(
            scaled(
                torch.from_numpy(different_pixels(some_of(images, initial.recipe), initial.recipe)[:, 0]),
                initial.recipe,
            )
        )
    path = folder / "weights.pth"
    torch.save(model.state_dict(), path)
    return {INITIAL: initial, SETTLED: _choice(name, str(path))}


def _choice(name: str, weights: str) -> Choice:
    return choose_backbones(FeaturesConfig(backbone=name, weights=weights, device="cpu"), progress=False)[0]


def _rates(choice: Choice, images: list[ImageFile], *, mixed: bool) -> dict[str, list[float]]:
    size = auto_batch_size(choice.recipe)
    pixels = different_pixels(some_of(images, choice.recipe), choice.recipe)
    plan = Plan(CPU, "openvino", "fp32", size)
    plans = {"torch": replace(plan, runtime="torch"), "fp32": plan, "bf16": replace(plan, precision="bf16")}
    if mixed:
        plans["mixed"] = replace(plan, precision="bf16", exact=EXACT_CONVOLUTIONS)
    sides = {name: _side(build_runtime(choice, each), pixels, size) for name, each in plans.items()}
    return take_turns(sides, ROUNDS)


def _side(runtime: Runtime, pixels: np.ndarray, size: int) -> Side:
    def compute(images: int) -> list[np.ndarray]:
        some = np.stack(list(islice(cycle(pixels), -(-images // size) * size)))
        return list(features_of(runtime, some, size, lambda _: None)[0])

    compute(4 * size)
    images = min(MAX_IMAGES_OF_A_ROUND, round(4 * size * SECONDS_OF_A_ROUND / seconds(lambda: compute(4 * size))) + 1)
    return lambda _: compute(images)


def _row(name: str, kind: str, check: PrecisionCheck, rates: dict[str, list[float]]) -> Measured:
    whole = check.tried[0]
    side = "fp32" if check.precision == "fp32" else "mixed" if check.exact else "bf16"
    chosen = f"bf16, first {check.exact} fp32" if check.exact else check.precision
    return Measured(
        name,
        kind,
        f"{median(rates['torch']):.3g}",
        f"{median_ratio(rates['fp32'], rates['torch']):.2f}",
        f"{median_ratio(rates['bf16'], rates['fp32']):.2f}",
        f"{whole.cosine:.5f}",
        f"{whole.agreement:.2f}",
        chosen,
        f"{median_ratio(rates[side], rates['fp32']):.2f}",
    )


def main() -> None:
    """Measure the networks named, or those that the table lacks, and write their rows."""
    warnings.simplefilter("ignore")
    prose, _, table = TABLE.read_text(encoding="utf-8").partition(RULE + "\n")
    rows = table.splitlines()
    here = {_name_of(row) for row in rows}
    names = sys.argv[1:] or [name for name in (*AIMED_AT, *BACKBONES, *OF_TIMM) if name not in here]
    for name in dict.fromkeys(names):
        new = [f"| {' | '.join(astuple(row))} |" for row in measured(name)]
        rows = [row for row in rows if _name_of(row) != name] + new
        TABLE.write_text(f"{prose}{RULE}\n" + "".join(f"{row}\n" for row in sorted(rows)), encoding="utf-8")
        print(*new, sep="\n", flush=True)


def _name_of(row: str) -> str:
    return row.split("|")[1].strip()


if __name__ == "__main__":
    main()
