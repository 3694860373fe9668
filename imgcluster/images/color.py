"""Convert colours by their ICC profile to sRGB, as image viewers do."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

MODES = {1: "L", 3: "RGB", 4: "CMYK"}  # of Pillow, by the number of channels
SPACES = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK"}  # the names in a profile (ICC.1:2022, table 19)
MAX_ROUNDING = 2  # of 255: what differs by no more between two builds of sRGB is sRGB
GRID = 9  # values of each channel that tell whether a profile is sRGB
LEAST_CONTRAST = 16  # of 255, between the darkest and the lightest grey that a profile makes
PROFILES_KEPT = 32


def to_srgb(colours: np.ndarray, icc: bytes) -> np.ndarray:
    """Convert (height, width, 1, 3 or 4) uint8, grey, RGB or CMYK, to (height, width, 1 or 3) uint8 in sRGB.

    Grey and RGB come back as they are where the profile is that of sRGB, is damaged, is one for other channels or
    leaves nothing to be seen; CMYK then is converted without a profile.
    """
    mode = MODES.get(colours.shape[2])
    transform = transform_of(icc, mode) if mode else None
    if transform is None:
        return from_inks(colours) if mode == "CMYK" else colours
    values = np.ascontiguousarray(colours[..., 0] if mode == "L" else colours)
    converted = ImageCms.applyTransform(Image.fromarray(values, mode), transform)
    return np.asarray(converted)


def from_inks(inks: np.ndarray) -> np.ndarray:
    """Convert CMYK, (height, width, 4) uint8 with 0 for no ink, to RGB without a profile."""
    white = 255 - inks.astype(np.uint16)
    return ((white[..., :3] * white[..., 3:] + 127) // 255).astype(np.uint8)


def from_lab(image: Image.Image) -> Image.Image:
    """Convert a picture in CIELab with the white point D50 to sRGB."""
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(
        image, ImageCms.ImageCmsProfile(lab), ImageCms.ImageCmsProfile(srgb), outputMode="RGB"
    )
    return image if converted is None else converted


@lru_cache(PROFILES_KEPT)
def transform_of(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from a profile to sRGB; None where it has nothing to do, makes no sense, or does not fit."""
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(icc))
        if profile.profile.xcolor_space != SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return None if _is_blind(transform, mode) or (mode != "CMYK" and _is_identity(transform, mode)) else transform


def _is_blind(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Tell whether black and white, and all greys between, become nearly the same: nonsense that can be parsed."""
    ramp = np.linspace(0, 255, GRID).round().astype(np.uint8)[None, :, None]
    blank = np.zeros_like(ramp)
    values = {"L": ramp[..., 0], "RGB": ramp.repeat(3, axis=2), "CMYK": np.dstack([blank, blank, blank, ramp])}[mode]
    found = np.asarray(ImageCms.applyTransform(Image.fromarray(values, mode), transform))
    return int(np.ptp(found.mean(axis=2))) < LEAST_CONTRAST


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    values = np.linspace(0, 255, GRID).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(values, values, values), axis=-1).reshape(GRID, -1, 3)
    given = grid if mode == "RGB" else grid[..., 0]
    found = np.asarray(ImageCms.applyTransform(Image.fromarray(np.ascontiguousarray(given), mode), transform))
    wanted = grid if mode == "RGB" else given[..., None]
    return bool(np.abs(found.astype(int) - wanted).max() <= MAX_ROUNDING)
