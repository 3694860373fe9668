#!/usr/bin/env bash
# tifffile: imwrite(bitspersample=12, byteorder=">") writes other values than it is given, and even tifffile reads them so.
#
# One would guess: the byte order is a matter of storage; packed samples are a stream of bits, the same in both orders, and what
# imwrite has written imread gives back.
# Seen: with "<" packed samples of 10, 12 and 14 bits come back; with ">" they do not, by tifffile or by OpenCV, which agree on
# what the file holds: each value with its two bytes exchanged before its bits were cut off. No warning. With 16 bits both orders are right.
# Do instead: write packed samples in little-endian files (`byteorder="<"`; the default is the machine's), or without `bitspersample`.
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

print("tifffile", tifffile.__version__)
path = f"{sys.argv[1]}/a.tif"
for bits in (10, 12, 14, 16):
    samples = (np.arange(48 * 64, dtype=np.uint16) % 1024).reshape(48, 64)
    for order in "<>":
        tifffile.imwrite(path, samples, photometric="minisblack", bitspersample=bits, byteorder=order)
        found = tifffile.imread(path)
        by_opencv = cv2.imread(path, cv2.IMREAD_UNCHANGED) >> (16 - bits)
        right = (found == samples).mean()
        print(f"{bits} bits, byteorder {order!r}: {right:.0%} of the values come back; {samples[0, 1:4]} as {found[0, 1:4]}")
        assert (found == by_opencv).all()
        assert (found == samples).all() == (order == "<" or bits == 16)
        if order == ">" and bits < 16:
            assert (found == samples.byteswap() & (2**bits - 1)).all()
PYTHON
