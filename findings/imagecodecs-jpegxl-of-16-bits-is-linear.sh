#!/usr/bin/env bash
# imagecodecs: jpegxl_encode of uint16 or float declares linear light, of uint8 sRGB: the same picture looks far brighter in a viewer.
#
# One would guess: values * 257 in uint16 is the same picture with finer steps, as in PNG and TIFF.
# Seen: imagecodecs 2026.3.6 takes libjxl's defaults by the type: sRGB for 8 bits, linear light for more. Its own decoder ignores the
# declaration and gives the values back, so nothing is noticed until another reader converts to sRGB: 128 of 255 becomes 188.
# Do instead: encode light (values linearized) for uint16 and float, or 8 bits; and as a reader, ask the header for the transfer curve.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet numpy==2.4.6 pillow==12.3.0 imagecodecs==2026.3.6 pillow-jxl-plugin==1.3.8
"$folder/environment/bin/python" - <<'PYTHON'
import io

import imagecodecs
import numpy as np
import pillow_jxl  # noqa: F401
from PIL import Image, ImageCms

grey = np.full((64, 64, 3), 128, np.uint8)
shown = {}
for name, values in (("uint8", grey), ("uint16", grey.astype(np.uint16) * 257), ("float32", grey.astype(np.float32) / 255)):
    data = imagecodecs.jpegxl_encode(values, lossless=True)
    assert np.array_equal(imagecodecs.jpegxl_decode(data), values)
    image = Image.open(io.BytesIO(data))
    profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    image = ImageCms.profileToProfile(image.convert("RGB"), profile, ImageCms.createProfile("sRGB"))
    shown[name] = image.getpixel((0, 0))[0]
    print(f"{name}: imagecodecs gives back the values; profile {ImageCms.getProfileDescription(profile).strip()!r}, shown as {shown[name]}")
assert abs(shown["uint8"] - 128) <= 1
assert shown["uint16"] > 180
PYTHON
