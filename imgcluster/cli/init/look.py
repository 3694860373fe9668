"""What `init` sees of a folder, and of a table of ids: which column has them, and how they become files."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imgcluster.config import ImagesConfig, parse_yaml
from imgcluster.errors import ConfigError, ImageError
from imgcluster.images import (
    ITSELF,
    FoundPatterns,
    Holder,
    Listing,
    Lost,
    Spelling,
    VideoFrame,
    best_column,
    check_ids,
    find_images,
    find_patterns,
    is_index,
    none_below,
    open_holder,
    other_columns,
    read_rows,
    spellings,
)
from imgcluster.types import ImageFile, Template
from imgcluster.utils import first_few

VIDEO = "{every: 1 s}"  # of `images.video`, as in configs/video.yaml
MAX_CLASSES = 1_000  # folders that may be one for each class


@dataclass(frozen=True)
class Look:
    """The images, `lost` of them without a file, the table with its column of ids, `images.file`, and notes.

    video: `images.video`, where the folder has videos that can be read.
    """

    images: Sequence[ImageFile]
    template: Template | None = None
    file: str | list[str] | None = None
    notes: list[str] = field(default_factory=list)
    lost: int = 0
    video: str | None = None


def look_at(folder: str | Path, ids: Path | None) -> Look:
    """Look at a folder of images, or what else holds some, and a CSV of ids where there is one.

    Raises ConfigError or ImageError: no such folder, no image in it, no column of ids, ids without files.
    """
    config = ImagesConfig(folder=str(folder))
    if ids is None:
        listing, video = _listed(config)
        return Look(listing.images, notes=[*listing.notes, *_class_folders(listing.images)], video=video)
    rows, place = read_rows(ids, None), open_holder(config)
    names = list(place.names())
    if not names:
        raise none_below(str(folder), place.wanted)
    template, found = _column(rows, names)
    if found is None or found.found < len(template.ids):
        template, found = _spelled_column(rows, names, place) or (template, found)
    if found is None:
        raise ConfigError(f"{str(ids)!r}: no image below {str(folder)!r} is called {template.ids[0]!r}")
    keys = {
        "ids": str(ids),
        "id_column": template.id_column if template.id_column.strip() else None,
        "file": found.value,
    }
    listing, lost = _found_or_some(ImagesConfig.model_validate({"folder": str(folder), **keys}))
    notes = [*_column_notes(rows, template), *_other_notes(found), *_lost_notes(lost, len(listing.images))]
    notes += [*listing.notes, *place.wanted.notes(by_ids=True)]
    return Look(listing.images, template, found.value, list(dict.fromkeys(notes)), len(lost))


def _listed(config: ImagesConfig) -> tuple[Listing, str | None]:
    """List a folder, with frames of its videos where there are some, and return `images.video` for it."""
    why: ImageError | None = None
    try:
        listing = find_images(config)
        if "videos" not in listing.left_out:
            return listing, None
    except ImageError as error:
        why = error
    framed = find_images(ImagesConfig.model_validate({"folder": config.folder, "video": parse_yaml(VIDEO).value}))
    if any(isinstance(image.path, VideoFrame) for image in framed.images):
        return framed, VIDEO
    if why is not None:
        raise why
    return listing, None


def _found_or_some(config: ImagesConfig) -> tuple[Listing, list[str]]:
    """Return the images, and the ids without a file, where some have one. Raises ImageError where none has."""
    try:
        return find_images(config), []
    except ImageError:
        listing = find_images(config.model_copy(update={"missing": "skip"}))
        lost = [image.id for image in listing.images if not _has_file(image)]
        if not 0 < len(lost) < len(listing.images):
            raise
        return listing, lost


def _has_file(image: ImageFile) -> bool:
    return not isinstance(image.path, Lost) and (not isinstance(image.path, Path) or os.path.exists(image.path))


def _lost_notes(lost: Sequence[str], count: int) -> Iterator[str]:
    if lost:
        yield (
            f"{len(lost):,} of {count:,} ids have no file, the first {lost[0]!r}; the config has images.missing: skip, "
            "which gives them the label of the largest cluster"
        )


def _column(rows: Template, names: Sequence[str]) -> tuple[Template, FoundPatterns | None]:
    """Return the table by the column that names files best, the first one where that is as good; and the patterns."""
    if (better := best_column(rows, names)) is not None:
        return better
    check_ids(rows)
    return rows, find_patterns(rows.ids, names)


def _spelled_column(rows: Template, names: Sequence[str], place: Holder) -> tuple[Template, FoundPatterns] | None:
    """Return the first column whose ids have files under one spelling, a column that counts rows last."""
    for table in sorted([rows, *other_columns(rows)], key=is_index):
        if (found := _spelled(table.ids, names, place)) is not None:
            return table, found
    return None


def _spelled(ids: Sequence[str], names: Sequence[str], place: Holder) -> FoundPatterns | None:
    """Return the patterns by which all ids have files under one spelling, which a run finds by itself."""
    for rule in spellings(place.inside):
        new = [other for id in ids if (other := rule.of_id(id)) is not None]
        if len(new) == len(ids) and (found := _by_rule(rule, new, names)) is not None:
            return found
    return None


def _by_rule(rule: Spelling, ids: list[str], names: Sequence[str]) -> FoundPatterns | None:
    if rule.itself:
        return FoundPatterns((ITSELF,), len(ids)) if set(ids) <= set(names) else None
    fold = rule.fold or str
    found = find_patterns([fold(id) for id in ids], [fold(name) for name in names])
    return found if found is not None and found.found == len(ids) else None


def _column_notes(rows: Template, template: Template) -> Iterator[str]:
    if rows.id_column != template.id_column:
        yield f"the ids are in column {template.id_column!r}, whose cells are files"


def _other_notes(found: FoundPatterns) -> Iterator[str]:
    if found.others:
        others = first_few(found.others)
        yield f"the ids fit {found.patterns[0]!r}, and {others} too; change images.file if that is meant"


def _class_folders(images: Sequence[ImageFile]) -> Iterator[str]:
    folders = list(dict.fromkeys(posixpath.dirname(image.id) for image in images))
    if 1 < len(folders) <= MAX_CLASSES and "" not in folders and len(folders) <= len(images) // 2:
        yield (
            f"the images lie in {len(folders):,} folders ({first_few(folders, show=str)}); if these are their "
            f"classes, set clusters.n_clusters: {len(folders)}"
        )
