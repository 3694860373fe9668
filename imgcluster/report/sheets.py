"""A contact sheet of each cluster, as one JPEG: its most typical images, then its borderline and its odd ones."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from imgcluster.blocks import in_order
from imgcluster.errors import ImageError, OutputError
from imgcluster.exports import listed_path
from imgcluster.files import write_whole
from imgcluster.outputs.write import CLUSTERS
from imgcluster.progress import track
from imgcluster.reading import read_image
from imgcluster.report.thumbnails import encode_jpeg, shrunk
from imgcluster.runs import read_record
from imgcluster.tables import NOISE

SHEETS = "clusters"
COLUMNS, ROWS = 8, 8
SIDE, GAP = 160, 8
PAPER = 255
QUALITY = 88


def write_sheets(run: str | Path, *, show: bool = True) -> Path:
    """Write clusters/NN.jpg into a finished run's folder, a sheet for each cluster; returns the folder.

    A sheet has 64 images at most, from the one nearest to the centroid to the one farthest out, evenly drawn where the
    cluster has more. Raises OutputError: no finished run there, or a disk that fails.
    """
    folder = Path(run)
    read_record(folder)
    groups = _groups(folder / CLUSTERS)
    width = len(str(max(groups, default=0)))
    place = folder / SHEETS
    try:
        place.mkdir(exist_ok=True)
        former = {path.name for path in place.glob("*.jpg")}
        with track("contact sheets", len(groups), "clusters", show=show) as advance:
            for number, paths in groups.items():
                name = "noise.jpg" if number == NOISE else f"{number:0{max(2, width)}d}.jpg"
                write_whole(place / name, encode_jpeg(contact_sheet(_drawn(paths)), QUALITY))
                former.discard(name)
                advance(1)
        for name in former:
            if name.removesuffix(".jpg").isdigit() or name == "noise.jpg":  # of a run before
                (place / name).unlink()
    except OSError as error:
        raise OutputError(f"{str(place)!r} cannot be written: {error.strerror or error}") from None
    return place


def contact_sheet(paths: list[Path]) -> np.ndarray:
    """Return images side by side, each as large as fits its place: (height, width, 3) RGB uint8.

    The place of an image that cannot be read stays empty.
    """
    columns = min(COLUMNS, max(1, len(paths)))
    rows = max(1, -(-len(paths) // columns))
    sheet = np.full((rows * (SIDE + GAP) + GAP, columns * (SIDE + GAP) + GAP, 3), PAPER, np.uint8)
    for number, picture in enumerate(in_order(lambda part: _read(paths[part.start]), _each(len(paths)))):
        if picture is not None:
            height, width = picture.shape[:2]
            top = GAP + number // columns * (SIDE + GAP) + (SIDE - height) // 2
            left = GAP + number % columns * (SIDE + GAP) + (SIDE - width) // 2
            sheet[top : top + height, left : left + width] = picture
    return sheet


def _groups(table: Path) -> dict[int, list[Path]]:
    """Return the images of each cluster, nearest first; those of noise as they come."""
    found: dict[int, list[tuple[float, Path]]] = {}
    with table.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["status"] == "ok":
                pair = float(row["distance"] or 0), listed_path(row["path"])
                found.setdefault(int(row["cluster"]), []).append(pair)
    return {number: [path for _, path in sorted(found[number], key=lambda pair: pair[0])] for number in sorted(found)}


def _drawn(paths: list[Path]) -> list[Path]:
    count = min(len(paths), COLUMNS * ROWS)
    return [paths[place] for place in np.linspace(0, len(paths) - 1, count).round().astype(int).tolist()]


def _each(count: int) -> list[slice]:
    return [slice(number, number + 1) for number in range(count)]


def _read(path: Path) -> np.ndarray | None:
    try:
        return shrunk(read_image(path, least=SIDE), SIDE)
    except ImageError:
        return None
