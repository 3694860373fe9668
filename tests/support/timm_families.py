"""Networks of timm, one per family, against timm itself: `python -m tests.support.timm_families [FAMILY ...]`.

Writes tests/support/timm_families.csv, a row for each family, as it goes; families with a verdict by the installed
versions are left out unless they are named. Weights are random, and the same ones each time.
"""

from __future__ import annotations

import csv
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn

from imgcluster.backbones.build import capture
from imgcluster.backbones.layer_outputs import Pooled
from imgcluster.backbones.networks import empty_network, random_network
from imgcluster.backbones.runtimes import openvino_conversion as converted
from imgcluster.backbones.runtimes import plan as execution
from imgcluster.backbones.runtimes.openvino_package import Unsupported
from imgcluster.backbones.runtimes.plan import Plan, build_runtime
from imgcluster.backbones.runtimes.torch_runtime import TorchRuntime, scaled
from imgcluster.backbones.select import Choice, find_backbone
from imgcluster.backbones.weights.load import Weights
from imgcluster.errors import ConfigError

TABLE = Path(__file__).parent / "timm_families.csv"
VERSIONS = " ".join(f"{package} {version(package)}" for package in ("timm", "torch", "openvino"))
RANDOM = Weights("random", None, "")
CPU = torch.device("cpu")
TOLERANCE = 1e-4  # of the largest value: other kernels add up in another order
PICTURES = 4
MOST_PARAMETERS = 150e6  # larger ones take gigabytes and minutes
SAME, UNTRIED = "same", "not tried"
LONGEST = 200  # characters of a reason


@dataclass(frozen=True)
class Verdict:
    """How a network's default vector compares with `forward_head(forward_features(x), pre_logits=True)`.

    torch, openvino: `same`, or how far it is off, or why it cannot be run. bits: of OpenVINO, whether a picture has the
    same ones in batches of 2 and of 1, as a run makes them; torch_bits: of torch, at each place of a batch of 4.
    """

    family: str
    network: str
    parameters: int
    side: int = 0
    dim: int = 0
    torch: str = ""
    openvino: str = ""
    bits: str = ""
    torch_bits: str = ""
    versions: str = VERSIONS


def smallest(family: str) -> tuple[str, int]:
    """Return the name of a family's network with the fewest parameters, and their number."""
    found = []
    for name in timm.list_models(module=family):
        try:
            backbone = find_backbone(f"timm:{name}")
        except ConfigError:  # its pictures are no squares
            continue
        found.append((sum(values.numel() for values in empty_network(backbone).parameters()), name))
    parameters, name = min(found)
    return name, parameters


def lively(model: nn.Module) -> nn.Module:
    """Change weights that leave parts of a random network without effect: biases, scales, and what is all zeros."""
    generator = torch.Generator().manual_seed(1)
    for key, values in model.state_dict().items():
        if not values.is_floating_point():
            continue
        if key.endswith("running_var"):
            values.uniform_(0.5, 1.5, generator=generator)
        elif values.ndim < 2:
            values.add_(torch.randn(values.shape, generator=generator), alpha=0.1)
        elif not values.any():
            values.normal_(0, 0.02, generator=generator)
    return model


def vectors(name: str) -> tuple[Choice, nn.Module, np.ndarray, np.ndarray]:
    """Return a network's choice, what a run executes of it, pictures, and their vectors by timm's own functions."""
    backbone = find_backbone(f"timm:{name}")
    choice = Choice(backbone, (backbone.default_layer,), "auto", backbone.recipe, RANDOM)
    model = lively(random_network(backbone))
    side = choice.recipe.side
    pixels = np.random.default_rng(1).integers(0, 256, (PICTURES, 1, side, side, 3), dtype=np.uint8)
    with torch.no_grad():
        given: Any = model
        wanted: Tensor = given.forward_head(
            given.forward_features(scaled(torch.from_numpy(pixels[:, 0]), choice.recipe)), pre_logits=True
        )
    network = Pooled(capture(model, choice.layers, name), choice.layers, choice.pooling).eval()
    return choice, network, pixels, wanted.numpy()


def compared(found: np.ndarray, wanted: np.ndarray) -> str:
    if found.shape != wanted.shape:
        return f"{found.shape[1:]}, not {wanted.shape[1:]}"
    off = float(np.abs(found - wanted).max() / np.abs(wanted).max())
    return SAME if off <= TOLERANCE else f"off by {off:.2g}"


def judged(family: str, name: str, parameters: int) -> Verdict:
    """Run a network in every way."""
    verdict = Verdict(family, name, parameters)
    if parameters > MOST_PARAMETERS:
        return replace(verdict, torch=UNTRIED, openvino=UNTRIED)
    try:
        choice, network, pixels, wanted = vectors(name)
    except ConfigError as error:
        return replace(verdict, torch=f"refused: {error}", openvino="")
    verdict = replace(verdict, side=choice.recipe.side, dim=wanted.shape[-1])
    verdict = replace(verdict, **_by_openvino(choice, network, pixels, wanted))  # while the layout is torch's own
    by_torch = TorchRuntime(network, choice.recipe, CPU, "fp32")
    found = compared(_run(by_torch, pixels, PICTURES), wanted)
    return replace(verdict, torch=found, torch_bits=_places(by_torch, pixels))


def _by_openvino(choice: Choice, network: nn.Module, pixels: np.ndarray, wanted: np.ndarray) -> dict[str, str]:
    """Convert the network where a run looks for it, and let a run's runtimes compute in batches of 2 and of 1."""
    try:
        converted.converted(lambda: network, execution._network_of(choice), choice.recipe)
        two, one = (
            _run(build_runtime(choice, Plan(CPU, "openvino", "fp32", images)), pixels, images) for images in (2, 1)
        )
    except Unsupported as error:
        return {"openvino": f"refused: {error}"}
    return {"openvino": compared(two, wanted), "bits": SAME if np.array_equal(one, two) else "others"}


def _run(runtime: Any, pixels: np.ndarray, images: int) -> np.ndarray:
    parts = [runtime(pixels[start : start + images])[0] for start in range(0, len(pixels), images)]
    return np.concatenate(parts)


def _places(runtime: Any, pixels: np.ndarray) -> str:
    first, *others = (np.roll(runtime(np.roll(pixels, by, axis=0))[0], -by, axis=0) for by in range(len(pixels)))
    return SAME if all(np.array_equal(first, other) for other in others) else "others"


def read_table() -> list[Verdict]:
    """Return the rows that are there."""
    if not TABLE.exists():
        return []
    with TABLE.open(newline="", encoding="utf-8") as file:
        numbers = ("parameters", "side", "dim")
        return [
            Verdict(**{key: int(value) if key in numbers else value for key, value in row.items()})
            for row in csv.DictReader(file)
        ]


def write_table(verdicts: Iterable[Verdict]) -> None:
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Verdict)])
        writer.writerows(sorted(map(astuple, verdicts)))


def main(families: list[str]) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rows = {row.family: row for row in read_table() if row.versions == VERSIONS}
    for family in set(timm.list_modules()) - set(rows):
        rows[family] = Verdict(family, *smallest(family))
    write_table(rows.values())  # which are the smallest takes minutes to find out
    todo = [rows[family] for family in families or rows if families or not rows[family].torch]
    for row in sorted(todo, key=lambda row: row.parameters):
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as cache:
            os.environ["IMGCLUSTER_CACHE"] = cache
            try:
                verdict = judged(row.family, row.network, row.parameters)
            except Exception as error:  # any at all: that is what this is for
                reason = f"ERROR {type(error).__name__}: {error}"[:LONGEST]
                verdict = Verdict(row.family, row.network, row.parameters, torch=reason)
        rows[row.family] = verdict
        print(*astuple(verdict)[:-1], f"{time.monotonic() - start:.0f} s", sep="  ", flush=True)
        write_table(rows.values())


if __name__ == "__main__":
    main(sys.argv[1:])
