"""Colour profiles for files of tests, and what they make of colours."""

from __future__ import annotations

import struct

import numpy as np
from PIL import ImageCms


def profile(name: str) -> bytes:
    """An ICC profile: sRGB, or one of primaries and a gamma that are far from it."""
    if name == "sRGB":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return wide_profile()


def wide_profile() -> bytes:
    """An RGB profile with the primaries of Display P3 and a gamma of 1.8 (ICC.1:2022, 8.3 and 10)."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65_536)) for value in values)

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(1.8 * 256)) + bytes(2)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"wide\0" + bytes(78),
        b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1.0, 0.8249),
        b"rXYZ": b"XYZ " + bytes(4) + fixed(0.51512, 0.24120, -0.00105),
        b"gXYZ": b"XYZ " + bytes(4) + fixed(0.29198, 0.69225, 0.04189),
        b"bXYZ": b"XYZ " + bytes(4) + fixed(0.15710, 0.06657, 0.78407),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    at, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for key, content in tags.items():
        table += key + struct.pack(">II", at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = bytearray(128)
    head[:4] = struct.pack(">I", at + len(body))
    head[8:24] = struct.pack(">I", 0x02400000) + b"mntrRGB XYZ "[:12]
    head[36:40], head[68:80] = b"acsp", fixed(0.9642, 1.0, 0.8249)
    return bytes(head) + struct.pack(">I", len(tags)) + table + body


def managed(rgb: np.ndarray) -> np.ndarray:
    """The truth of the wide profile, computed without a library of colour: linear light, primaries, sRGB's curve."""
    linear = (rgb / 255) ** 1.8
    to_xyz = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
    srgb = np.array([[0.4360, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])  # at D50
    light = (linear @ (np.linalg.inv(srgb) @ to_xyz).T).clip(0, 1)
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (curve * 255).round().astype(np.uint8)
