#!/usr/bin/env bash
# Pillow: the same call of Image.resize gives other pixels in 13 than in 12, also where a picture only shrinks.
#
# One would guess: a resize with a named filter is defined by picture, size and filter; a new major version may be quicker, and is
# equal for ordinary pictures.
# Seen: 12 resizes across first and down then, always; 13 chooses the order by the shapes. As each pass rounds to 8 bits, pixels
# differ by up to a few levels. Features computed before and after an upgrade are of two kinds, and nothing tells them apart.
# Do instead: keep the version, or a digest of a few resized pictures, with everything that was computed from pixels;
# or resize one side per call, which every version does alike.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 12.3.0 13.0.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet "pillow==$version" numpy==2.4.6
    "$folder/$version/bin/python" - "$folder/$version.npz" <<'PYTHON'
import sys

import numpy as np
import PIL
from PIL import Image

print("pillow", PIL.__version__)
found = {}
for height, width, size in ((61, 20, 32), (53, 37, 24), (200, 300, 224)):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))
    found[f"{height} x {width} to {size} x {size}"] = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))
    across = picture.resize((size, height), Image.Resampling.BILINEAR)
    found[f"{height} x {width} to {size} x {size}, one side per call"] = np.asarray(
        across.resize((size, size), Image.Resampling.BILINEAR)
    )
np.savez(sys.argv[1], **found)
PYTHON
done
"$folder/13.0.0/bin/python" - "$folder/12.3.0.npz" "$folder/13.0.0.npz" <<'PYTHON'
import sys

import numpy as np

older, newer = (np.load(path) for path in sys.argv[1:])
differing = {}
for name in older.files:
    difference = np.abs(older[name].astype(int) - newer[name].astype(int))
    differing[name] = int(difference.max())
    print(f"{name}: pixels that differ {(difference.max(axis=2) > 0).mean():.0%}, at most by {difference.max()} of 255")
assert differing["53 x 37 to 24 x 24"] > 0
assert all(most == 0 for name, most in differing.items() if "per call" in name)
PYTHON
