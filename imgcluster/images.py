"""Which images a run is about, in a stable order: the rows of a CSV, or all that lies below a folder."""

from __future__ import annotations

import logging
import os
import posixpath
from collections.abc import Iterator
from pathlib import Path

from imgcluster.config import ImagesConfig
from imgcluster.errors import ConfigError, ImageError
from imgcluster.holders import Holder, Lost, file_name, open_again, open_holder
from imgcluster.image_names import SUFFIXES, as_id, is_image_name, natural_key
from imgcluster.sources import RemoteFile, asked_again
from imgcluster.storage import is_url, shown
from imgcluster.tables import ImageFile, Template
from imgcluster.template import read_template

logger = logging.getLogger(__name__)

NAMED_IN_MESSAGES = 3
ENDINGS = tuple(dict.fromkeys(each for suffix in ("", *sorted(SUFFIXES)) for each in (suffix, suffix.upper())))


def list_images(config: ImagesConfig) -> tuple[list[ImageFile], Template | None]:
    """List the images of a run, and the CSV that names them if there is one. Reads no image.

    Raises ConfigError or ImageError: no such folder, no image in it, an id that is missing, doubled, or leads out.
    """
    if (holder := open_holder(config)) is not None:
        return _held_images(holder, config)
    folder = Path(config.folder)
    if not os.path.isdir(folder):  # noqa: PTH112 (Path.is_dir raises for a name that is too long)
        raise ConfigError(f"images.folder: {config.folder!r} is not a folder{_nearest_existing(folder)}")
    if config.ids is None:
        return walk_images(folder), None
    template = _template(config)
    images = [
        ImageFile(id, _path_of(id, folder, config.file, template.place(row))) for row, id in enumerate(template.ids)
    ]
    if config.missing == "stop":
        _check_all_there(images, config, template)
    return images, template


def images_at(text: str) -> list[ImageFile]:
    """List the images of what is no file or folder of this machine: behind a URL, in an archive. Raises as above."""
    path = open_again(text)
    if isinstance(path, RemoteFile) and is_image_name(name := file_name(path)):
        return [ImageFile(name, asked_again(path))]
    return list_images(ImagesConfig(folder=text))[0]


def walk_images(folder: Path) -> list[ImageFile]:
    """List every image file below a folder, in natural order of the relative paths (`2.jpg` before `10.jpg`).

    Hidden files and folders are passed over. Links to folders are followed, each real folder once.
    """
    found = sorted(_walk(folder, set()), key=lambda path: natural_key(path.relative_to(folder).as_posix()))
    if not found:
        raise _none_below(str(folder))
    return [ImageFile(as_id(path.relative_to(folder).as_posix()), path) for path in found]


def _held_images(holder: Holder, config: ImagesConfig) -> tuple[list[ImageFile], Template | None]:
    """List as `list_images` does what lies in no folder of this machine."""
    if config.ids is None:
        found = holder.images()
        if not found:
            raise _none_below(config.folder)
        by_row = next(iter(found.values())).order  # rows are read in the order they have, and are no files with names
        names = list(found) if by_row else sorted(found, key=natural_key)
        return [ImageFile(as_id(name), found[name]) for name in names], None
    template = _template(config)
    names = [_name_of(id, config, template.place(row)) for row, id in enumerate(template.ids)]
    found = holder.find(names)
    lacking = [row for row, name in enumerate(names) if name not in found]
    if lacking and config.missing == "stop":
        raise _missing(lacking, template, holder.tried(names[lacking[0]]), _held_hint(holder, template.ids[lacking[0]]))
    places = [found[name] if name in found else Lost(holder.tried(name), "no such file") for name in names]
    return [ImageFile(id, place) for id, place in zip(template.ids, places, strict=True)], template


def _template(config: ImagesConfig) -> Template:
    ids = str(config.ids)
    return read_template(ids if is_url(ids) else Path(ids), config.id_column, config.encoding)


def _name_of(id: str, config: ImagesConfig, place: str) -> str:
    """Return the name of an id's image below the folder, refusing one that would lie outside of it."""
    name = posixpath.normpath(config.file.replace("{id}", id))
    if "\0" in id or name.startswith(("/", "../")) or name in (".", ".."):
        raise ImageError(f"{place}: id {id!r} leads outside of images.folder {shown(config.folder)!r}")
    return name


def _none_below(folder: str) -> ImageError:
    return ImageError(f"images.folder: no image below {shown(folder)!r} (looked for {', '.join(sorted(SUFFIXES))})")


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
    missing = [row for row, image in enumerate(images) if not os.path.lexists(str(image.path))]
    if not missing:
        return
    first, folder = images[missing[0]], Path(config.folder)
    there = [ending for ending in ENDINGS if os.path.isfile(folder / f"{first.id}{ending}")]  # noqa: PTH113 (as above)
    raise _missing(missing, template, str(first.path), _pattern_hint(first.id, there))


def _missing(missing: list[int], template: Template, tried: str, hint: str) -> ImageError:
    """Return what is said of ids without files: how many, the first few, the place of the first, what may help."""
    ids = template.ids
    named = ", ".join(repr(ids[row]) for row in missing[:NAMED_IN_MESSAGES])
    more = ", …" if len(missing) > NAMED_IN_MESSAGES else ""
    return ImageError(
        f"{template.place(missing[0])}: {len(missing):,} of {len(ids):,} ids have no file: {named}{more}"
        f" (tried {tried!r}){hint}, or set images.missing: skip"
    )


def _held_hint(holder: Holder, id: str) -> str:
    found = holder.find([id + ending for ending in ENDINGS])
    return _pattern_hint(id, [ending for ending in ENDINGS if id + ending in found])


def _pattern_hint(id: str, there: list[str]) -> str:
    """Name the `images.file` that would have found the first missing id, if there is an obvious one."""
    if not there:
        return "; check images.folder and images.file"
    return f'; there is a {(id + there[0])!r}: set images.file: "{{id}}{there[0]}"'


def _nearest_existing(folder: Path) -> str:
    parent = next((parent for parent in folder.parents if parent.is_dir()), None)
    if parent is None or str(parent) == ".":
        return f" (looked in {str(Path.cwd())!r})"
    return f" ({str(parent)!r} exists)"
