"""Which images a run is about, in a stable order: the rows of a CSV, or all that lies below a folder."""

from __future__ import annotations

import logging
import os
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from imgcluster.config import ImagesConfig
from imgcluster.errors import ConfigError, ImageError, quoted
from imgcluster.holders import Holder, Lost, file_name, open_again, open_holder
from imgcluster.image_names import OTHER_PICTURES, SUFFIXES, as_id, is_image_name, natural_key
from imgcluster.sources import RemoteFile, asked_again
from imgcluster.storage import is_url, shown
from imgcluster.tables import ImageFile, Template
from imgcluster.template import read_template

logger = logging.getLogger(__name__)

NAMED_IN_MESSAGES = 3
# By these files the folder of a run is known, in which these folders, with a file that tells them from others of the
# same name, hold pictures of images, and no images.
RUN_FILES = frozenset(("run.json", "clusters.csv"))
OF_A_RUN = {"report": "index.html", "clusters": ".sheets"}
AROUND_IDS = " \t\r\n\ufeff='\"“”"  # what comes to stand around one by accident
MOST_DIGITS = 12
ENDINGS = tuple(dict.fromkeys(each for suffix in ("", *sorted(SUFFIXES)) for each in (suffix, suffix.upper())))


def list_images(config: ImagesConfig) -> tuple[list[ImageFile], Template | None]:
    """List the images of a run, and the CSV that names them if there is one. Reads no image.

    Raises ConfigError or ImageError: no such folder, no image in it, an id that is missing, doubled, or leads out.
    """
    if (holder := open_holder(config)) is not None:
        return _held_images(holder, config)
    folder = Path(config.folder)
    if not os.path.isdir(folder):  # noqa: PTH112 (Path.is_dir raises for a name that is too long)
        raise ConfigError(f"images.folder: {quoted(config.folder, 300)} is not a folder{_nearest_existing(folder)}")
    if config.ids is None:
        return walk_images(folder), None
    template = _template(config)
    if config.id_column is None and _is_image_there(folder, config.file.replace("{id}", template.id_column)):
        raise _no_header(template)
    paths = _paths_of(template, folder, config.file)
    images = [ImageFile(id, path) for id, path in zip(template.ids, paths, strict=True)]
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

    Hidden files and folders are passed over, and the pictures of a run that was written among the images. Links to
    folders are followed, each real folder once.
    """
    paths, others = [], Counter[str]()
    for path in _walk(folder):
        if (suffix := path.suffix.lower()) in SUFFIXES:
            paths.append(path)
        elif suffix in OTHER_PICTURES:
            others[suffix] += 1
    if others:
        logger.warning(
            "%d pictures below %r are left out, in formats that are not read (%s): convert them, to .png or .jpg",
            others.total(),
            str(folder),
            ", ".join(sorted(others)),
        )
    if not paths:
        raise _none_below(str(folder))
    found = sorted(paths, key=lambda path: natural_key(path.relative_to(folder).as_posix()))
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
        hint = _hint(template.ids[lacking[0]], config.file, holder.find)
        raise _missing(lacking, template, holder.tried(names[lacking[0]]), hint)
    places = [found[name] if name in found else Lost(holder.tried(name), "no such file") for name in names]
    return [ImageFile(id, place) for id, place in zip(template.ids, places, strict=True)], template


def _template(config: ImagesConfig) -> Template:
    ids = str(config.ids)
    return read_template(ids if is_url(ids) else Path(ids), config.id_column, config.encoding)


def _name_of(id: str, config: ImagesConfig, place: str) -> str:
    """Return the name of an id's image below the folder, refusing one that would lie outside of it."""
    name = posixpath.normpath(config.file.replace("{id}", id))
    if "\0" in id or name.startswith(("/", "../")) or name in (".", ".."):
        raise ImageError(f"{place}: id {quoted(id)} leads outside of images.folder {shown(config.folder)!r}")
    return name


def _none_below(folder: str) -> ImageError:
    return ImageError(f"images.folder: no image below {shown(folder)!r} (looked for {', '.join(sorted(SUFFIXES))})")


def _walk(folder: Path) -> Iterator[Path]:
    """Yield all that lies below a folder. A folder or a broken link called x.jpg will be a failure with its reason."""
    seen: set[tuple[int, int]] = set()
    waiting = [folder]  # and no recursion: folders may lie deeper below each other than Python's calls
    while waiting:
        found = _listed(waiting.pop(), seen)
        yield from found
        waiting += [path for path in reversed(found) if os.path.isdir(path)]  # noqa: PTH112 (is_dir raises of a loop)


def _listed(folder: Path, seen: set[tuple[int, int]]) -> list[Path]:
    """List what is in a folder, by name; nothing where it has been seen by another name."""
    try:
        status = folder.stat()
        names = [entry.name for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except OSError as error:
        logger.warning("%r cannot be listed (%s): the images below it are left out", str(folder), error.strerror)
        return []
    if (status.st_dev, status.st_ino) in seen:
        return []
    seen.add((status.st_dev, status.st_ino))
    passed = _of_a_run(folder) if RUN_FILES.issubset(names) else ()
    return [folder / name for name in sorted(names) if name not in passed]


def _of_a_run(folder: Path) -> list[str]:
    return [name for name, mark in OF_A_RUN.items() if os.path.isfile(folder / name / mark)]  # noqa: PTH113


def _paths_of(template: Template, folder: Path, pattern: str) -> Iterator[Path]:
    """Yield the file of each id, refusing one that would lie outside of the folder."""
    # By the text alone: links inside the folder may lead wherever their maker wanted.
    root = os.path.join(os.path.abspath(folder), "")  # noqa: PTH100, PTH118 (a million ids are texts, not objects)
    for row, id in enumerate(template.ids):
        name = pattern.replace("{id}", id)
        path = os.path.normpath(os.path.join(root, name))  # noqa: PTH118
        if "\0" in name or os.path.isabs(name) or not path.startswith(root):  # noqa: PTH117
            raise ImageError(f"{template.place(row)}: id {quoted(id)} leads outside of images.folder {str(folder)!r}")
        yield folder / name


def _check_all_there(images: list[ImageFile], config: ImagesConfig, template: Template) -> None:
    missing = [row for row, image in enumerate(images) if not os.path.lexists(str(image.path))]
    if not missing:
        return
    folder = Path(config.folder)

    def find(names: list[str]) -> list[str]:
        return [name for name in names if os.path.isfile(folder / name)]  # noqa: PTH113 (as above)

    raise _missing(missing, template, str(images[missing[0]].path), _hint(template.ids[missing[0]], config.file, find))


def _is_image_there(folder: Path, name: str) -> bool:
    return is_image_name(name) and os.path.isfile(folder / name)  # noqa: PTH113 (of any name, also of 300 letters)


def _no_header(template: Template) -> ConfigError:
    return ConfigError(
        f"images.ids: {shown(str(template.path))!r} has no header: its first line names the image "
        f"{template.id_column!r}; put a line with the names of the columns above it, or set images.id_column"
    )


def _missing(missing: list[int], template: Template, tried: str, hint: str) -> ImageError:
    """Return what is said of ids without files: how many, the first few, the place of the first, what may help."""
    ids = template.ids
    named = ", ".join(quoted(ids[row]) for row in missing[:NAMED_IN_MESSAGES])
    more = ", …" if len(missing) > NAMED_IN_MESSAGES else ""
    return ImageError(
        f"{template.place(missing[0])}: {len(missing):,} of {len(ids):,} ids have no file: {named}{more}"
        f" (tried {quoted(tried, 300)}){hint}, or set images.missing: skip"
    )


def _hint(id: str, pattern: str, find: Callable[[list[str]], Collection[str]]) -> str:
    """Name the `images.file`, or else the id, that would have found the first missing id, if there is an obvious one.

    find: returns those of the names below the folder that are there.
    """
    there = find([id + ending for ending in ENDINGS])
    ending = next((each for each in ENDINGS if id + each in there), None)
    if ending is not None:
        return f'; there is a {id + ending!r}: set images.file: "{{id}}{ending}"'
    meant = {pattern.replace("{id}", other): other for other in _other_spellings(id)}
    there = find(list(meant))
    if near := next((other for name, other in meant.items() if name in there), None):
        return f"; there is an image {near!r}: correct the ids"
    return "; check images.folder and images.file"


def _other_spellings(id: str) -> Iterator[str]:
    """Yield what an id may have been before a spreadsheet, an editor or another system's paths changed it."""
    bare = id.replace("\\", "/").strip(AROUND_IDS)
    number = bare.removesuffix(".0")
    zeros = (number.zfill(digits) for digits in range(1, MOST_DIGITS + 1)) if number.isdecimal() else ()
    for each in (bare, *zeros, posixpath.basename(bare), posixpath.splitext(posixpath.basename(bare))[0]):
        for form in ("NFC", "NFD"):  # an é is one letter, or on a Macintosh's disk two
            if (spelling := unicodedata.normalize(form, each)) not in ("", id):
                yield spelling


def _nearest_existing(folder: Path) -> str:
    parent = next((parent for parent in folder.parents if parent.is_dir()), None)
    if parent is None or str(parent) == ".":
        return f" (looked in {str(Path.cwd())!r})"
    return f" ({str(parent)!r} exists)"
