#!/usr/bin/env bash
# CleanVision: grey images of 16 bits are "light", never "grayscale", and different ones are "near duplicates".
#
# One would guess: a well-exposed picture gets the same verdicts whether its PNG holds 8 or 16 bits.
# Seen: values above 255 are clipped to white before anything is measured, so every ordinary 16-bit picture is reported as too
# light, the check for grey ones passes it over, and pictures that have nothing in common are one set of near duplicates.
# The same pictures in 8 bits have none of these but "grayscale".
# Do instead: scale images of 16 bits to 8 (divide by 257) into a folder of their own before auditing them, and never act
# on a list of duplicates from a set with such files in it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet cleanvision==0.3.7 pillow==13.0.0 numpy==2.4.6 pandas==3.1.1 ImageHash==4.3.2
cd "$folder"
"$folder/environment/bin/python" - <<'PYTHON'
import contextlib
import importlib.metadata
import io
import os

import numpy as np
from cleanvision import Imagelab
from PIL import Image

print("cleanvision", importlib.metadata.version("cleanvision"), "pillow", importlib.metadata.version("pillow"))
across, down = np.meshgrid(np.linspace(0, 1, 160), np.linspace(0, 1, 160))
grain = np.random.default_rng(0).normal(0, 0.02, across.shape)
pictures = {
    "ramp": 0.2 + 0.6 * across + grain,
    "rings": 0.5 + 0.3 * np.sin(30 * np.hypot(across - 0.5, down - 0.5)) + grain,
    "checks": 0.5 + 0.25 * np.sign(np.sin(20 * across) * np.sin(20 * down)) + grain,
}
for bits, dtype in ((8, np.uint8), (16, np.uint16)):
    os.makedirs(str(bits))
    for name, values in pictures.items():
        Image.fromarray((values.clip(0, 1) * (2**bits - 1)).astype(dtype)).save(f"{bits}/{name}.png")
seen = {}
for bits in ("8", "16"):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        lab = Imagelab(data_path=bits)
        lab.find_issues(n_jobs=1, verbose=False)
    flags = [name for name in lab.issues.columns if name.startswith("is_")]
    seen[bits] = {name[3:-6]: int(lab.issues[name].sum()) for name in flags}
    print(f"{bits:>2} bits, {len(pictures)} images:", {name: count for name, count in seen[bits].items() if count})
assert seen["8"]["light"] == 0 and seen["8"]["near_duplicates"] == 0 and seen["8"]["grayscale"] == 3
assert seen["16"]["light"] == 3 and seen["16"]["grayscale"] == 0
assert seen["16"]["near_duplicates"] == 3
PYTHON
