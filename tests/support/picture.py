"""`python -m tests.support.picture RUN OUT.jpg`: the picture of a result in README.md, a row of images per cluster."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from imgcluster.images.decode import read_image

SIDE, COLUMNS, MARGIN, CAPTION = 112, 8, 6, 150
FONT = cv2.FONT_HERSHEY_SIMPLEX


def picture(run: Path) -> np.ndarray:
    """Draw the images nearest to their centroid, cluster by cluster: (height, width, 3) RGB uint8."""
    table = pd.read_csv(run / "clusters.csv", dtype={"id": str})
    return np.concatenate([_row(int(number), group) for number, group in table.groupby("cluster")])


def _row(number: int, group: pd.DataFrame) -> np.ndarray:
    row = np.full((SIDE + MARGIN, CAPTION + COLUMNS * (SIDE + MARGIN), 3), 255, np.uint8)
    cv2.putText(row, f"cluster {number}", (8, 52), FONT, 0.65, (20, 20, 20), 1, cv2.LINE_AA)
    cv2.putText(row, f"{len(group)} images", (8, 78), FONT, 0.5, (110, 110, 110), 1, cv2.LINE_AA)
    typical = group.sort_values("distance")["path"].iloc[np.linspace(0, len(group) - 1, COLUMNS).astype(int)]
    for column, path in enumerate(typical):
        thumbnail = cv2.resize(read_image(Path(path)), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        left = CAPTION + column * (SIDE + MARGIN)
        row[:SIDE, left : left + SIDE] = thumbnail
    return row


if __name__ == "__main__":
    drawn = picture(Path(sys.argv[1]))
    Path(sys.argv[2]).write_bytes(cv2.imencode(".jpg", drawn[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes())
