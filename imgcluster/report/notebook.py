"""A run as a table in a notebook: its clusters, each with its most typical images."""

from __future__ import annotations

from base64 import b64encode
from html import escape

import numpy as np

from imgcluster.config import Reading
from imgcluster.errors import ImageError
from imgcluster.images import jpeg, read_image
from imgcluster.report.page import shortened
from imgcluster.report.thumbnails import JPEG_QUALITY, shrunk
from imgcluster.runs import RunResult, known_names
from imgcluster.types import NOISE, ImageFile
from imgcluster.utils import counted

MAX_CLUSTERS = 30
IMAGES_PER_CLUSTER = 8
SIDE = 96  # pixels


def run_html(run: RunResult) -> str:
    """Return a table as HTML, with the pictures in it: the 30 largest clusters, the 8 most typical images of each."""
    labels = run.clusters.labels
    numbers, sizes = np.unique(labels, return_counts=True)
    largest = np.sort(numbers[np.argsort(-sizes, kind="stable")[:MAX_CLUSTERS]])
    counts = dict(zip(numbers.tolist(), sizes.tolist(), strict=True))
    rows = [_row(run, number, counts[number]) for number in largest.tolist()]
    left = len(numbers) - len(rows)
    failed = len(run.features.failures)
    notes = [f"{counted(failed, 'image')} failed"] * bool(failed)
    if left:
        notes.append(f"{counted(left, 'smaller cluster is', 'smaller clusters are')} left out")
    caption = f"{counted(len(run.images), 'image')}, {counted(sum(number != NOISE for number in counts), 'cluster')}"
    head = f"<caption>{'; '.join([caption, *notes])}</caption>"
    return f"<table>{head}{''.join(rows)}</table><p>{escape(str(run.folder))}</p>"


def _row(run: RunResult, number: int, size: int) -> str:
    rows = np.flatnonzero(run.clusters.labels == number)
    typical = rows[np.argsort(run.clusters.distance[rows], kind="stable")[:IMAGES_PER_CLUSTER]]
    name = known_names(run.config, run.clusters.names).get(number, "")
    title = "noise" if number == NOISE else f"{number} {name}".rstrip()
    images = "".join(_image(run.features.images[row], run.config.images.reading) for row in typical.tolist())
    return f"<tr><th>{escape(title)}</th><td>{size:,}</td><td style='text-align:left'>{images}</td></tr>"


def _image(image: ImageFile, reading: Reading) -> str:
    shown = escape(shortened(image.id), quote=True)
    try:
        data = b64encode(jpeg(shrunk(read_image(image.path, SIDE, reading), SIDE), JPEG_QUALITY)).decode()
    except ImageError:
        return f"<span>{shown}</span>"
    return f'<img alt="{shown}" title="{shown}" style="display:inline;margin:2px" src="data:image/jpeg;base64,{data}">'
