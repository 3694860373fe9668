"""Contact sheets: one JPEG for each cluster, its images from the centroid outwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from imgcluster.config import AS_SHOWN, Reading, RunFiles
from imgcluster.errors import ImageError, OutputError
from imgcluster.images import jpeg, read_image, readers_for
from imgcluster.report.thumbnails import shrunk
from imgcluster.runs import RunResult, folder_names, listed_paths, read_run
from imgcluster.types import ImagePath
from imgcluster.utils import Storage, at_once, in_order, track, write_whole

COLUMNS, ROWS = 8, 8
SIDE, GAP = 160, 8  # pixels
PAPER = 255  # white
JPEG_QUALITY = 88


def write_sheets(run: str | Path | RunResult, *, show: bool = True) -> Path:
    """Write a sheet for each cluster into a finished run's folder, clusters/NN.jpg or NN-NAME.jpg; returns the folder.

    A sheet has 64 images at most, from the one nearest to the centroid to the one farthest out, evenly drawn where the
    cluster has more. Raises OutputError: no finished run there, or a disk that fails.
    """
    finished = read_run(run)
    groups = _groups(finished.places.rows(finished.rows), finished.places.storage)
    names = folder_names([*groups], finished.names)
    made: list[str] = []
    place = finished.folder / RunFiles.SHEETS
    try:
        place.mkdir(exist_ok=True)
        former = _listed(place / RunFiles.SHEETS_LIST)
        with track("contact sheets", len(groups), "clusters", show=show) as advance:
            for number, paths in groups.items():
                name = f"{names[number]}.jpg"
                sheet = contact_sheet(_drawn(paths), finished.config.images.reading)
                write_whole(place / name, jpeg(sheet, JPEG_QUALITY))
                made.append(name)
                former.discard(name)
                advance(1)
        for name in former:
            (place / name).unlink(missing_ok=True)
        write_whole(place / RunFiles.SHEETS_LIST, "".join(f"{name}\n" for name in made).encode())
    except OSError as error:
        raise OutputError(f"{str(place)!r} cannot be written: {error.strerror or error}") from None
    return place


def contact_sheet(paths: Sequence[ImagePath], reading: Reading = AS_SHOWN) -> np.ndarray:
    """Return images side by side, each fitted into its cell: (height, width, 3) RGB uint8.

    The cell of an image that cannot be read stays empty.
    """
    columns = min(COLUMNS, max(1, len(paths)))
    rows = max(1, -(-len(paths) // columns))
    sheet = np.full((rows * (SIDE + GAP) + GAP, columns * (SIDE + GAP) + GAP, 3), PAPER, np.uint8)
    for number, picture in enumerate(_all_read(paths, partial(_read, reading))):
        if picture is not None:
            height, width = picture.shape[:2]
            top = GAP + number // columns * (SIDE + GAP) + (SIDE - height) // 2
            left = GAP + number % columns * (SIDE + GAP) + (SIDE - width) // 2
            sheet[top : top + height, left : left + width] = picture
    return sheet


def _listed(path: Path) -> set[str]:
    """Return the names of the sheets that an earlier run has left."""
    try:
        return {name for name in path.read_text().splitlines() if Path(name).name == name}
    except OSError:
        return set()


def _groups(rows: Sequence[Mapping[str, str]], storage: Storage) -> dict[int, list[ImagePath]]:
    """Return the images of each cluster, nearest first; those of noise as they come."""
    found: dict[int, list[tuple[float, ImagePath]]] = {}
    fine = [row for row in rows if row["status"] == "ok"]
    for row, path in zip(fine, listed_paths([row["path"] for row in fine], storage), strict=True):
        found.setdefault(int(row["cluster"]), []).append((float(row["distance"] or 0), path))
    return {number: [path for _, path in sorted(found[number], key=lambda pair: pair[0])] for number in sorted(found)}


def _drawn(paths: list[ImagePath]) -> list[ImagePath]:
    count = min(len(paths), COLUMNS * ROWS)
    return [paths[place] for place in np.linspace(0, len(paths) - 1, count).round().astype(int).tolist()]


def _all_read(
    paths: Sequence[ImagePath], read: Callable[[ImagePath], np.ndarray | None]
) -> Iterator[np.ndarray | None]:
    if readers_for(paths):
        return at_once(read, paths)
    return in_order(lambda part: read(paths[part.start]), _each(len(paths)))


def _each(count: int) -> list[slice]:
    return [slice(number, number + 1) for number in range(count)]


def _read(reading: Reading, path: ImagePath) -> np.ndarray | None:
    try:
        return shrunk(read_image(path, SIDE, reading), SIDE)
    except ImageError:
        return None
