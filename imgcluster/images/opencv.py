"""Import OpenCV with limits on image size and without its messages; import it from here only.

OpenCV reads its environment once, as it is loaded. Variables that the user has set stay.
"""

from __future__ import annotations

import os
import warnings

__all__ = ["MAX_PIXELS", "cv2"]

MAX_PIXELS = 2**28  # of one picture; OpenCV's own bound, 2**30, would let one file take 3 GB
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
# Both would write a line per damaged file over the progress bar; reading reports the reason itself.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
warnings.filterwarnings("ignore", module=r"PIL\.")

import cv2  # noqa: E402 (after its environment is set)
