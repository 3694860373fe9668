#!/usr/bin/env bash
# imagededup: any two drawings on a transparent ground are exact duplicates, and one is on the list of files to remove.
#
# One would guess: icons of different shapes, black on transparent or white on transparent as icon sets come, differ by
# a perceptual hash, as they do to the eye on any ground.
# Seen: the alpha channel, which is all that tells such drawings apart, is dropped before hashing. What is left is a picture of one
# colour, and every picture of one colour has the same hash, black ones and white ones too: distance 0, whatever the threshold.
# `find_duplicates_to_remove` names all but one of them. PHash, DHash, AHash and WHash agree.
# Do instead: lay images with an alpha channel over a ground that contrasts with them before hashing, and treat a hash that a picture of
# one colour has as "not known" and never as a match.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet imagededup==0.3.3.post2 torch==2.14.1 torchvision==0.29.1 pillow==13.0.0 numpy==2.4.6
cd "$folder"
"$folder/environment/bin/python" - 2> /dev/null <<'PYTHON'
import importlib.metadata
import os

import numpy as np
from imagededup.methods import AHash, DHash, PHash, WHash
from PIL import Image

print("imagededup", importlib.metadata.version("imagededup"))
across, down = np.meshgrid(np.arange(96) - 48, np.arange(96) - 48)
shapes = {
    "disc": np.hypot(across, down) < 30,
    "bar": abs(down) < 8,
    "ring": abs(np.hypot(across, down) - 30) < 5,
}
os.makedirs("icons")
os.makedirs("icons-on-grey")
for colour, level in (("white", 255), ("black", 0)):
    for name, inside in shapes.items():
        pixels = np.full((96, 96, 4), level, np.uint8)
        pixels[..., 3] = 255 * inside
        Image.fromarray(pixels).save(f"icons/{colour}-{name}.png")
        Image.fromarray(np.where(inside, level, 128).astype(np.uint8)).save(f"icons-on-grey/{colour}-{name}.png")
for method in (PHash, DHash, AHash, WHash):
    hasher = method(verbose=False)
    removed = {}
    for folder in ("icons", "icons-on-grey"):
        hashes = hasher.encode_images(folder, num_enc_workers=0)
        removed[folder] = hasher.find_duplicates_to_remove(encoding_map=hashes, max_distance_threshold=0)
        print(f"{method.__name__:<6} {folder:<14} {len(hashes)} drawings, to remove: {len(removed[folder])}")
    assert len(removed["icons"]) == 5
    assert len(removed["icons-on-grey"]) < 5
PYTHON
