#!/usr/bin/env bash
# OpenCV: a red PAM (Netpbm's P7) is read as blue, and a red picture is written as a blue PAM; black and white is read as packed bits.
#
# One would guess: the decoder for PAM orders channels as the one for PPM does (BGR, as everywhere in OpenCV), and a sample of
# TUPLTYPE BLACKANDWHITE is a byte, as in every PAM (netpbm.sourceforge.net/doc/pam.html).
# Seen: OpenCV 5.0.0 copies the samples as they are. `imread` of a red PAM gives (255, 0, 0), which is blue in BGR; `imwrite` puts blue
# into a file that says RGB. What OpenCV wrote it reads back rightly, so a round trip shows nothing. With IMREAD_GRAYSCALE the file is
# taken as RGB. Of BLACKANDWHITE it reads a bit for a pixel: the picture comes out black, with most bytes ignored.
# Do instead: read PAM with FFmpeg (PyAV), or reverse the channels of a three- or four-channel PAM, and refuse BLACKANDWHITE.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet opencv-python-headless==5.0.0.93 av==18.1.0 numpy==2.4.6
"$folder/environment/bin/python" - <<'PYTHON'
import av
import cv2
import numpy as np

print("OpenCV", cv2.__version__)


def pam(kind, depth, maximum, samples):
    """Return a PAM of eight pixels in a row."""
    header = f"P7\nWIDTH 8\nHEIGHT 1\nDEPTH {depth}\nMAXVAL {maximum}\nTUPLTYPE {kind}\nENDHDR\n"
    return header.encode() + bytes(samples)


def opencv(file, flag=cv2.IMREAD_UNCHANGED):
    return cv2.imdecode(np.frombuffer(file, np.uint8), flag)


def ffmpeg(file):
    """Return RGB, (height, width, 3) uint8."""
    return av.CodecContext.create("pam", "r").decode(av.Packet(file))[0].to_ndarray(format="rgb24")


RED = [255, 0, 0]
red_pam, red_ppm = pam("RGB", 3, 255, 8 * RED), b"P6\n8 1\n255\n" + bytes(8 * RED)
assert ffmpeg(red_pam)[0, 0].tolist() == RED
print("red PPM, BGR:", opencv(red_ppm)[0, 0].tolist(), " red PAM, BGR:", opencv(red_pam)[0, 0].tolist())
assert opencv(red_ppm)[0, 0].tolist() == RED[::-1] and opencv(red_pam)[0, 0].tolist() == RED
assert opencv(red_pam, cv2.IMREAD_GRAYSCALE)[0, 0] == opencv(red_ppm, cv2.IMREAD_GRAYSCALE)[0, 0] == 76

options = [cv2.IMWRITE_PAM_TUPLETYPE, cv2.IMWRITE_PAM_FORMAT_RGB]
written = cv2.imencode(".pam", np.full((1, 8, 3), RED[::-1], np.uint8), options)[1].tobytes()
print("written from red:", written[-3:].hex(" "), " by FFmpeg, RGB:", ffmpeg(written)[0, 0].tolist())
assert b"TUPLTYPE RGB\n" in written and ffmpeg(written)[0, 0].tolist() == RED[::-1]
assert opencv(written)[0, 0].tolist() == RED[::-1]  # the round trip

bits = [0, 1, 1, 0, 1, 1, 1, 1]
black_and_white = pam("BLACKANDWHITE", 1, 1, bits)
shown = ffmpeg(black_and_white)[0, :, 0]
print("black and white:", shown.tolist(), " by OpenCV:", opencv(black_and_white)[0].tolist())
assert shown.tolist() == [255 * bit for bit in bits]
assert not opencv(black_and_white).any()
PYTHON
