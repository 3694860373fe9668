#!/usr/bin/env bash
# OpenCV: the same grey picture with a maximum of 100 is read at full range from a plain PGM, and dark from a binary one.
#
# One would guess: P2 (digits) and P5 (bytes) are two spellings of a picture, and its maximum (the header's third number) says what is
# white, as netpbm.sourceforge.net/doc/pgm.html has it.
# Seen: OpenCV 5.0.0 scales samples to 255 from plain files alone. From P5 and P6, 100 of 100 stays 100. With a maximum above 255 it
# scales from neither: 1023 of 1023 stays 1023 of 65535, and as 8 bits becomes 3, nearly black. Pillow scales all of them. Instruments and
# 10- and 12-bit cameras write such files.
# Do instead: read the maximum from the header, and multiply by 255 / maximum, or 65535 / maximum, except for plain files of up to 255.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet opencv-python-headless==5.0.0.93 pillow==13.0.0 numpy==2.4.6
"$folder/environment/bin/python" - <<'PYTHON'
import io

import cv2
import numpy as np
from PIL import Image

print("OpenCV", cv2.__version__)


def files(samples, maximum):
    """Return a row of grey samples as a plain and as a binary PGM."""
    binary = np.array(samples, ">u2" if maximum > 255 else np.uint8).tobytes()
    size = f"{len(samples)} 1 {maximum}\n"
    return f"P2 {size}{' '.join(map(str, samples))}\n".encode(), f"P5 {size}".encode() + binary


def opencv(file, flag=cv2.IMREAD_UNCHANGED):
    return cv2.imdecode(np.frombuffer(file, np.uint8), flag).ravel().tolist()


def pillow(file):
    return np.asarray(Image.open(io.BytesIO(file))).ravel().tolist()


for maximum, full in ((100, 255), (1023, 65535)):
    plain, binary = files([0, maximum // 2, maximum], maximum)
    print(f"maximum {maximum}: plain {opencv(plain)}, binary {opencv(binary)}, by Pillow {pillow(binary)}")
    assert pillow(plain)[-1] == pillow(binary)[-1] == full
plain, binary = files([0, 50, 100], 100)
assert opencv(plain) == [0, 127, 255] and opencv(binary) == [0, 50, 100]
plain, binary = files([0, 512, 1023], 1023)
assert opencv(plain) == opencv(binary) == [0, 512, 1023]
assert opencv(binary, cv2.IMREAD_GRAYSCALE)[-1] == 3
PYTHON
