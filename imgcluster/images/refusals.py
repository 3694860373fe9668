"""Say in one line why a file is not read, and what to do."""

from __future__ import annotations

from imgcluster.utils import install_command

SCIENTIFIC = "scientific"  # an extra of imgcluster
SCIENTIFIC_PACKAGES = ("tifffile", "imagecodecs")  # which it installs
CONVERT = "convert it to .png or .jpg"


def not_read(content: str) -> str:
    """Return the reason for a file of which the content is known and not read: "TIFF, 5 samples of 16 bits, LERC"."""
    return f"{content}: not read; {CONVERT}"


def needs(content: str, extra: str) -> str:
    """Return the reason for a file that an extra of imgcluster reads, which is not installed."""
    return f"{content}: not read; {install_command(extra)}, or {CONVERT}"
