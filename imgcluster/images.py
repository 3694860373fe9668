"""Which images a run is about, in a stable order: the rows of a CSV, or all that lies below a folder."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

from imgcluster.config import ImagesConfig
from imgcluster.errors import ConfigError, ImageError
from imgcluster.tables import ImageFile, Template
from imgcluster.template import read_template

logger = logging.getLogger(__name__)

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".jp2")
)
NAMED_IN_MESSAGES = 3


def list_images(config: ImagesConfig) -> tuple[list[ImageFile], Template | None]:
    """List the images of a run, and the CSV that names them if there is one. Reads no image.

    Raises ConfigError or ImageError: no such folder, no image in it, an id that is missing, doubled, or leads out.
    """
    folder = Path(config.folder)
    if not os.path.isdir(folder):  # noqa: PTH112 (Path.is_dir raises for a name that is too long)
        raise ConfigError(f"images.folder: {config.folder!r} is not a folder{_nearest_existing(folder)}")
    if config.ids is None:
        return walk_images(folder), None
    template = read_template(Path(config.ids), config.id_column, config.encoding)
    images = [
        ImageFile(id, _path_of(id, folder, config.file, template.place(row))) for row, id in enumerate(template.ids)
    ]
    if config.missing == "stop":
        _check_all_there(images, config, template)
    return images, template


def walk_images(folder: Path) -> list[ImageFile]:
    """List every image file below a folder, in natural order of the relative paths (`2.jpg` before `10.jpg`).

    Hidden files and folders are passed over. Links to folders are followed, each real folder once.
    """
    found = sorted(_walk(folder, set()), key=lambda path: natural_key(path.relative_to(folder).as_posix()))
    if not found:
        raise ImageError(f"images.folder: no image below {str(folder)!r} (looked for {', '.join(sorted(SUFFIXES))})")
    return [ImageFile(_as_text(path.relative_to(folder).as_posix()), path) for path in found]


def natural_key(text: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key that takes runs of digits as numbers and ignores case; the text itself decides between equals."""
    parts = re.split(r"([0-9]+)", text.casefold())
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts if part], text


def _walk(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    try:
        status = folder.stat()
        entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except OSError as error:
        logger.warning("%r cannot be listed (%s): the images below it are left out", str(folder), error.strerror)
        return
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    for entry in sorted(entries, key=lambda entry: entry.name):
        path = Path(entry.path)
        # A folder or a broken link called x.jpg is listed too: it ends as a failure with its reason, not in silence.
        if path.suffix.lower() in SUFFIXES:
            yield path
        if os.path.isdir(path):  # noqa: PTH112 (entry.is_dir raises for a link to itself)
            yield from _walk(path, seen)


def _path_of(id: str, folder: Path, pattern: str, place: str) -> Path:
    """Return the file of an id, refusing one that would lie outside of the folder."""
    name = pattern.replace("{id}", id)
    # By the text alone: links inside the folder may lead wherever their maker wanted.
    root, path = (Path(os.path.abspath(each)) for each in (folder, folder / name))  # noqa: PTH100
    if "\0" in id or Path(name).is_absolute() or root not in path.parents:
        raise ImageError(f"{place}: id {id!r} leads outside of images.folder {str(folder)!r}")
    return folder / name


def _check_all_there(images: list[ImageFile], config: ImagesConfig, template: Template) -> None:
    missing = [row for row, image in enumerate(images) if not os.path.lexists(image.path)]
    if not missing:
        return
    named = ", ".join(repr(images[row].id) for row in missing[:NAMED_IN_MESSAGES])
    more = ", …" if len(missing) > NAMED_IN_MESSAGES else ""
    first = images[missing[0]]
    raise ImageError(
        f"{template.place(missing[0])}: {len(missing):,} of {len(images):,} ids have no file: {named}{more}"
        f" (tried {str(first.path)!r}){_pattern_hint(first, config)}, or set images.missing: skip"
    )


def _pattern_hint(image: ImageFile, config: ImagesConfig) -> str:
    """Name the `images.file` that would have found the first missing id, if there is an obvious one."""
    folder = Path(config.folder)
    for suffix in ("", *sorted(SUFFIXES)):
        for ending in (suffix, suffix.upper()):
            pattern = "{id}" + ending
            if os.path.isfile(folder / pattern.replace("{id}", image.id)):  # noqa: PTH113 (as above)
                return f'; there is a {(image.id + ending)!r}: set images.file: "{pattern}"'
    return "; check images.folder and images.file"


def _nearest_existing(folder: Path) -> str:
    parent = next((parent for parent in folder.parents if parent.is_dir()), None)
    if parent is None or str(parent) == ".":
        return f" (looked in {str(Path.cwd())!r})"
    return f" ({str(parent)!r} exists)"


def _as_text(name: str) -> str:
    """Write what is not UTF-8 in a file name as \\xNN, and a backslash as two: ids are text, and stay apart."""
    return os.fsencode(name.replace("\\", "\\\\")).decode("utf-8", "backslashreplace")
