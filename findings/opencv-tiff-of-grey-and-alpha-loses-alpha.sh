#!/usr/bin/env bash
# OpenCV: IMREAD_UNCHANGED of a TIFF with grey and alpha gives the grey alone; of the same picture as PNG, all of it.
#
# One would guess: IMREAD_UNCHANGED, "the loaded image as is (with alpha channel)", keeps an alpha channel, or fails.
# Seen: PNG of mode LA comes as four channels with the alpha in the last; TIFF of mode LA, whose header declares the second
# sample as unassociated alpha, comes as a picture of one channel, without a word. A drawing that only alpha tells from its
# ground is a picture of one colour then. TIFF of RGBA keeps its alpha, but the colour of fully transparent pixels is zeroed.
# Do instead: look at tags 277 and 338 (samples per pixel, extra samples) of a TIFF before OpenCV decodes it, and read two
# samples with Pillow or tifffile.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet opencv-python==5.0.0.93 pillow==13.0.0 numpy==2.4.6
"$folder/environment/bin/python" - <<'PYTHON'
import io

import cv2
import numpy as np
from PIL import Image

print("opencv", cv2.__version__)
samples = np.full((32, 32, 2), 200, np.uint8)
samples[..., 1] = 0
samples[8:24, 8:24, 1] = 255  # a square that alpha alone shows


def decoded(mode, format):
    """Return what OpenCV makes of a picture that Pillow has written, having checked that Pillow reads it as it was."""
    pixels = samples if mode == "LA" else np.concatenate([samples[..., :1]] * 3 + [samples[..., 1:]], axis=2)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format)
    assert (np.asarray(Image.open(file)) == pixels).all()
    return cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_UNCHANGED)


shapes = {}
for mode in ("LA", "RGBA"):
    for format in ("PNG", "TIFF"):
        found = decoded(mode, format)
        shapes[mode, format] = found.shape
        print(f"{format} of {mode}: {found.shape}, values {sorted(set(found.ravel().tolist()))}")
assert shapes["LA", "PNG"] == shapes["RGBA", "PNG"] == shapes["RGBA", "TIFF"] == (32, 32, 4)
assert shapes["LA", "TIFF"] == (32, 32)
assert decoded("RGBA", "TIFF")[0, 0].tolist() == [0, 0, 0, 0]
assert decoded("RGBA", "PNG")[0, 0].tolist() == [200, 200, 200, 0]
PYTHON
