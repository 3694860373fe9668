#!/usr/bin/env bash
# Pillow: a 16-bit RGB TIFF whose planes lie apart opens as stripes; the same samples side by side open as the picture.
#
# One would guess: planes apart or samples side by side (tag 284) is a matter of storage, as it is for 8 bits; a layout that the
# decoder lacks is refused.
# Seen: Pillow 13.0.0 opens both layouts in mode RGB, without a word. Side by side, each value is divided by 256. Apart, each of its
# two bytes becomes a pixel: columns alternate between low and high bytes, and the right half of the picture is gone. A picture of
# one colour turns into noise of two. Satellite and microscope files are written in this way.
# Do instead: read tags 258 (bits) and 284 (2: planes apart) before Pillow decodes, and give such files to tifffile.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6
"$folder/environment/bin/python" - <<'PYTHON'
import io

import numpy as np
import PIL
import tifffile
from PIL import Image

print("Pillow", PIL.__version__)
COLOUR = (60_000, 30_000, 10_000)
samples = np.full((48, 64, 3), COLOUR, np.uint16)


def opened(planes, bits):
    """Return a TIFF's pixels by Pillow, (height, width, 3) uint8, having checked that tifffile reads it as it was written."""
    stored = samples if bits == 16 else (samples >> 8).astype(np.uint8)
    file = io.BytesIO()
    layout = np.ascontiguousarray(np.moveaxis(stored, 2, 0)) if planes == "separate" else stored
    tifffile.imwrite(file, layout, photometric="rgb", planarconfig=planes, byteorder="<")
    file.seek(0)
    assert (tifffile.imread(file) == layout).all()
    file.seek(0)
    image = Image.open(file)
    assert (image.mode, image.size) == ("RGB", (64, 48))
    return np.asarray(image)


for bits in (8, 16):
    for planes in ("contig", "separate"):
        pixels = opened(planes, bits)
        print(f"{bits:2} bits, {planes:8}: first pixels {pixels[0, :2].tolist()}, right {(pixels == samples >> 8).mean():.0%}")
assert (opened("contig", 8) == samples >> 8).all() and (opened("separate", 8) == samples >> 8).all()
assert (opened("contig", 16) == samples >> 8).all()
apart = opened("separate", 16)
assert (apart[:, 0::2] == samples[0, 0] & 255).all() and (apart[:, 1::2] == samples[0, 0] >> 8).all()
PYTHON
