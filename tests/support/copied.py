"""Pictures, changed copies of them, and finished runs of them whose features are in a file."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from imgcluster.utils import file_sha256
from tests.support.folder_runs import MTIME, write_run

SIDE = 8  # of the features


def photograph(seed: int, height: int = 240, width: int = 320) -> np.ndarray:
    """Coloured noise of several scales, as photographs have it: (height, width, 3) RGB uint8."""
    draw = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for side, weight in ((3, 60), (6, 45), (12, 35), (24, 25), (60, 12)):
        noise = draw.standard_normal((side, side, 3)).astype(np.float32)
        total += weight * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + total, 0, 255).astype(np.uint8)


def resaved(pixels: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def cropped(pixels: np.ndarray, share: float) -> np.ndarray:
    """Cut a share off each side."""
    height, width = pixels.shape[:2]
    top, left = round(share * height), round(share * width)
    return pixels[top : height - top, left : width - left]


def resized(pixels: np.ndarray, share: float) -> np.ndarray:
    return np.asarray(cv2.resize(pixels, None, fx=share, fy=share, interpolation=cv2.INTER_AREA))


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "quality 10": lambda pixels: resaved(pixels, 10),
    "a third": lambda pixels: resized(pixels, 1 / 3),
    "a tenth cut off": lambda pixels: cropped(pixels, 0.1),
    "a fifth cut off": lambda pixels: cropped(pixels, 0.2),
    "mirrored": lambda pixels: pixels[:, ::-1],
    "brighter": lambda pixels: np.clip(pixels * 1.4, 0, 255).astype(np.uint8),
    "less contrast": lambda pixels: (128 + 0.6 * (pixels.astype(np.float32) - 128)).astype(np.uint8),
    "a border": lambda pixels: np.pad(pixels, ((16, 16), (16, 16), (0, 0)), constant_values=255),
}


def picture_run(root: Path, pictures: Mapping[str, np.ndarray | bytes], name: str = "run") -> Path:
    """Write pictures below `root/images`, and a finished run of them in `root/name`; returns that.

    Bytes are written as they are; those of `broken...` are no pictures, and failed.
    """
    images, vectors = root / "images", []
    for place, (file, content) in enumerate(pictures.items()):
        path = images / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content) if isinstance(content, bytes) else Image.fromarray(content).save(path)
        stamp(path, place)
        if not is_broken(file):
            small = Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
            vectors.append(np.asarray(small, np.float32).ravel())
    ids = [file for file in pictures if not is_broken(file)]
    features = root / f"{name}.npz"
    np.savez(features, ids=np.array(ids, np.str_), vectors=np.array(vectors, np.float32).reshape(-1, 3 * SIDE**2))
    clusters = {file: "failed" if is_broken(file) else "0" for file in pictures}
    record = {
        "features": [{"weights_sha256": file_sha256(features), "stores": [], "fingerprint": name}],
        "counts": {"images": len(clusters), "dim": 3 * SIDE**2},
        "config": {
            "images": {"folder": str(images)},
            "features": {"file": str(features)},
            "clusters": {"method": "kmeans", "n_clusters": 1},
            "outputs": {"folder": str(root / name)},
        },
    }
    write_run(root / name, images, clusters, **record)
    return root / name


def is_broken(file: str) -> bool:
    return Path(file).name.startswith("broken")


def stamp(path: Path, place: int = 0) -> None:
    """Give a file a time, a second later for each place."""
    os.utime(path, ns=(MTIME, MTIME + place * 10**9))


def link_to(file: Path, link: Path) -> None:
    """Put a relative symbolic link to a file in the place of another."""
    link.unlink()
    link.symlink_to(os.path.relpath(file, link.parent))


def png(pixels: np.ndarray, level: int = 6) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=level)
    return file.getvalue()
