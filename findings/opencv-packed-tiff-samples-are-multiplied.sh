#!/usr/bin/env bash
# OpenCV: a TIFF of 12 packed bits comes out multiplied by 16; the same values in a TIFF of 16 bits come out as they are.
#
# One would guess: IMREAD_UNCHANGED gives the stored values, "as is": a camera's 12-bit value 100 is 100, whether its file packs two
# samples into three bytes or gives each two bytes.
# Seen: packed samples of 10, 12 and 14 bits are shifted up by 6, 4 and 2 bits, into a uint16 that looks like the other file's.
# Thresholds and calibrations that were made for one kind of file are off by 64, 16 or 4 for the other, and nothing in the array says
# which it is. IMREAD_COLOR refuses the packed file and makes a nearly black picture of the other one.
# Do instead: read tag 258 (bits per sample), and shift down by 16 less that number; or use tifffile with imagecodecs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet opencv-python==5.0.0.93 tifffile==2026.3.3 imagecodecs==2026.3.6 numpy==2.4.6
"$folder/environment/bin/python" - "$folder" <<'PYTHON'
import sys

import cv2
import numpy as np
import tifffile

print("opencv", cv2.__version__)
path = f"{sys.argv[1]}/a.tif"
for bits in (10, 12, 14):
    samples = (np.arange(48 * 64, dtype=np.uint16) % 2**bits).reshape(48, 64)
    for stored in (bits, 16):
        tifffile.imwrite(path, samples, photometric="minisblack", bitspersample=stored, byteorder="<")
        assert (tifffile.imread(path) == samples).all()
        found = cv2.imread(path, cv2.IMREAD_UNCHANGED)
        assert found.dtype == np.uint16
        picture = cv2.imread(path, cv2.IMREAD_COLOR)
        factor = 2 ** (16 - stored)
        print(f"values of {bits} bits in a file of {stored}: multiplied by {factor}; a picture: {picture is not None}")
        assert (found == samples * factor).all()
        assert (picture is None) == (stored < 16)
PYTHON
