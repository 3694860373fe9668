#!/usr/bin/env bash
# Pillow: a BigTIFF opens when its bytes are little-endian; big-endian, it is "Corrupt EXIF data" and no image.
#
# One would guess: what reads both byte orders of classic TIFF, and BigTIFF, reads both byte orders of BigTIFF.
# Seen: Pillow 13.0.0 takes the big-endian one for a classic TIFF: it warns of "Corrupt EXIF data", though the file has no EXIF, and raises
# UnidentifiedImageError. tifffile and OpenCV read all four alike. Tiled scans above 4 GiB are BigTIFF by necessity.
# Do instead: a file that begins with the bytes 4D 4D 00 2B goes to tifffile or OpenCV.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet pillow==13.0.0 tifffile==2026.3.3 opencv-python-headless==5.0.0.93 numpy==2.4.6
"$folder/environment/bin/python" - <<'PYTHON'
import io
import warnings

import cv2
import numpy as np
import PIL
import tifffile
from PIL import Image, UnidentifiedImageError

print("Pillow", PIL.__version__)
pixels = np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)
opened = {}
for order in "<>":
    for big in (False, True):
        file = io.BytesIO()
        tifffile.imwrite(file, pixels, photometric="rgb", byteorder=order, bigtiff=big)
        assert (tifffile.imread(io.BytesIO(file.getvalue())) == pixels).all()
        assert (cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR_RGB) == pixels).all()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                opened[order, big] = bool((np.asarray(Image.open(io.BytesIO(file.getvalue()))) == pixels).all())
            except UnidentifiedImageError:
                opened[order, big] = False
        said = "; ".join(str(each.message).strip() for each in caught)
        print(f"{order} {'BigTIFF' if big else 'TIFF':7} {file.getvalue()[:4].hex(' ')}: {opened[order, big]} {said}")
assert opened == {("<", False): True, ("<", True): True, (">", False): True, (">", True): False}
assert "Corrupt EXIF" in said
PYTHON
