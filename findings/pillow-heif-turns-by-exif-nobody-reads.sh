#!/usr/bin/env bash
# pillow-heif: `image.save("a.heic", exif=...)` writes the orientation where no reader of HEIC looks, and the picture lies on its side.
#
# One would guess: saving as HEIC with the EXIF of a photograph keeps the photograph upright, as it does for JPEG, PNG, WebP and AVIF:
# whoever opens it and calls ImageOps.exif_transpose, or any viewer, sees it as before.
# Seen: pillow-heif 1.8.1 turns HEIC by the property `irot`, as the format wants it (ISO/IEC 23008-12), and its reader ignores the
# orientation in EXIF and resets it to 1. But an orientation that is passed as `exif=` goes into the file's EXIF alone, without `irot`.
# So the idiom `save(..., exif=image.getexif())` loses the turn for good, for its own reader and for viewers alike. Pillow's AVIF
# writer makes `irot` of the same argument.
# Do instead: turn the pixels first, ImageOps.exif_transpose(image).save(...).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet pillow==13.0.0 pillow-heif==1.8.1
"$folder/environment/bin/python" - <<'PYTHON'
import io

import pillow_heif
from PIL import Image, ImageOps

pillow_heif.register_heif_opener()
exif = Image.Exif()
exif[0x0112] = 6  # a quarter turn clockwise: the photograph is upright, 96 x 128
stored = io.BytesIO()
Image.new("RGB", (128, 96)).save(stored, "JPEG", exif=exif)


def seen(format, turn_first=False):
    photograph, again = Image.open(io.BytesIO(stored.getvalue())), io.BytesIO()
    if turn_first:
        ImageOps.exif_transpose(photograph).save(again, format)
    else:
        photograph.save(again, format, exif=photograph.getexif())
    return ImageOps.exif_transpose(Image.open(again)).size, b"irot" in again.getvalue()


for format in ("JPEG", "WEBP", "AVIF", "HEIF"):
    size, turned = seen(format)
    print(f"{format}, exif=...: {size[0]} x {size[1]}{', with irot' if turned else ''}")
    assert (size == (96, 128)) == (format != "HEIF")
size, _ = seen("HEIF", turn_first=True)
print(f"HEIF, turned before it is saved: {size[0]} x {size[1]}")
assert size == (96, 128)
PYTHON
