"""Find the file of each id: by `images.file`, else by one spelling rule that fits all ids; else give a hint."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from imgcluster.config import ImagesConfig, NameIndex, fill, is_wild
from imgcluster.errors import ConfigError, ImageError, ImgclusterError, quoted
from imgcluster.images.ids.columns import best_column, is_index, other_columns
from imgcluster.images.ids.pattern_search import find_patterns
from imgcluster.images.ids.spellings import near_names, spelled, spellings
from imgcluster.images.ids.table import TEMPLATE, check_ids
from imgcluster.images.sources.base import Lost
from imgcluster.images.sources.endings import is_image_name
from imgcluster.images.sources.local import LocalFolder
from imgcluster.images.sources.names import SUFFIXES, natural_key
from imgcluster.images.sources.open import Holder, open_holder
from imgcluster.images.sources.remote import RemoteFolder
from imgcluster.types import ImageFile, ImagePath, Template
from imgcluster.utils import DEFAULT_STORAGE, Storage, first_few, shown

TRIED_FIRST = 20  # cells of another column
ENDINGS = tuple(dict.fromkeys(each for suffix in ("", *sorted(SUFFIXES)) for each in (suffix, suffix.upper())))


@dataclass(frozen=True)
class Files:
    """names: the file of each row's id, None where there is none; paths: these files; tried: where it was to be.

    outside: the rows whose ids lead out of the folder. unwanted: those whose files `include` or `exclude` leaves out.
    lost: by row, the frame or page that its id names and its file lacks.
    """

    names: list[str | None]
    paths: Mapping[str, ImagePath]
    tried: list[str]
    outside: list[int] = field(default_factory=list)
    unwanted: list[int] = field(default_factory=list)
    lost: Mapping[int, Lost] = field(default_factory=dict)

    @property
    def missing(self) -> list[int]:
        """The rows whose ids have no file."""
        return [row for row, name in enumerate(self.names) if name is None]


class IdFiles:
    """The files of a table's ids below a folder; `notes` is what a person should know of how they were found."""

    def __init__(self, place: Holder, config: ImagesConfig, rows: Template, storage: Storage = DEFAULT_STORAGE) -> None:
        self.notes: list[str] = []
        self._place = place
        self._config = config
        self._storage = storage
        self.without_row = 0
        self._rows = rows
        self.template, self._found = self._settled(rows)

    def images(self) -> list[ImageFile]:
        """Return the image of each row.

        Raises ImageError: an id has no file, and `missing` is not `skip`; it has two; or it leads out of the folder.
        """
        files = self._found
        if files.missing:
            files = self._spelled(files)
        if files.missing:
            self._check(files)
        self._note_others(files)
        paths = [
            files.lost.get(row) or self._lost(files.tried[row]) if name is None else files.paths[name]
            for row, name in enumerate(files.names)
        ]
        return [ImageFile(id, path) for id, path in zip(self.template.ids, paths, strict=True)]

    @cached_property
    def _names(self) -> list[str]:
        """The names of all images below the folder, of one listing."""
        return list(self._place.names())

    @cached_property
    def _index(self) -> NameIndex:
        return NameIndex(self._names)

    @cached_property
    def _left_out(self) -> NameIndex:
        """The names of the images that `include` or `exclude` leaves out, of a listing of all."""
        everything = open_holder(self._config.model_copy(update={"include": (), "exclude": ()}), self._storage)
        return NameIndex(sorted(set(everything.names()) - set(self._names)))

    # --- exactly, by the patterns ---

    def _files(self, template: Template) -> Files:
        """Find the file of each id by the patterns. Raises ImageError where an id has two."""
        columns = [self._column(pattern, template) for pattern in self._config.patterns]
        asked = [name for column in columns for name in column if name is not None]
        found = self._place.find(asked) if asked else {}
        lost = {name: path for name, path in found.items() if isinstance(path, Lost)}
        paths = {name: path for name, path in found.items() if name not in lost and self._is_wanted(name)}
        rows = list(enumerate(zip(*columns, strict=True)))
        names = [self._one(row, template, cells, paths) for row, cells in rows]
        open_rows = [(row, cells) for row, cells in rows if names[row] is None]
        lost_rows = {row: lost[cell] for row, cells in open_rows for cell in cells if cell in lost}
        unwanted = [row for row, cells in open_rows if row not in lost_rows and any(cell in found for cell in cells)]
        tried = [fill(self._config.patterns[0], id) for id in template.ids]
        is_listed = any(map(is_wild, self._config.patterns))
        outside = [] if is_listed else [row for row, cells in rows if set(cells) == {None}]
        return Files(names, paths, tried, outside, unwanted, lost_rows)

    def _column(self, pattern: str, template: Template) -> list[str | None]:
        """Return the name that each id has by a pattern; None where it leads outside, or a listing has none."""
        if not is_wild(pattern):
            return [self._place.inside(fill(pattern, id)) for id in template.ids]
        column: list[str | None] = []
        for row, id in enumerate(template.ids):
            matches = self._index.matches(pattern, id)
            if len(matches) > 1:
                raise _two_files(row, template, matches)
            if not matches and self._place.wanted.is_set:
                matches = self._left_out.matches(pattern, id)
            column.append(matches[0] if matches else None)
        return column

    def _one(
        self, row: int, template: Template, names: tuple[str | None, ...], paths: Mapping[str, ImagePath]
    ) -> str | None:
        there = list(dict.fromkeys(name for name in names if name is not None and name in paths))
        if len(there) > 1:
            there = [name for name in there if not _is_folder(paths[name])] or there[:1]
        if len(there) > 1:
            raise _two_files(row, template, there)
        return there[0] if there else None

    def _is_wanted(self, name: str) -> bool:
        wanted = self._place.wanted
        return not wanted.is_set or wanted.allows(name)

    # --- the column of the ids ---

    def _settled(self, rows: Template) -> tuple[Template, Files]:
        """Return the table with the column whose cells are files, the first or the only other one, and these files."""
        if self._config.id_column is None:
            self._check_header(rows)
        problem = _problem(rows)
        if self._config.id_column is not None and problem is not None:
            raise problem
        files = None if problem is not None else self._files(rows)
        if files is None or (self._config.id_column is None and self._may_be_no_ids(rows, files)):
            rows, files = self._other_column(rows, files)
        if files is None:
            raise problem or ConfigError(f"images.ids: {shown(str(rows.path))!r} has no column of ids")
        return rows, files

    @staticmethod
    def _may_be_no_ids(rows: Template, files: Files) -> bool:
        return is_index(rows) or len(files.missing) == len(files.names)

    def _other_column(self, rows: Template, files: Files | None) -> tuple[Template, Files | None]:
        others = [(table, found) for table in other_columns(rows) if (found := self._all_found(table)) is not None]
        columns = [table.id_column for table, _ in others]
        if files is not None and not files.missing:  # by a count of rows, which may be that of other images
            better = None if columns or not other_columns(rows) else best_column(rows, self._names)
            if columns := columns or ([] if better is None else [better[0].id_column]):
                raise self._several([rows.id_column, *columns])
        if not others:
            return rows, files
        if len(others) > 1:
            raise self._several(columns)
        self.notes.append(
            f"took the ids from column {others[0][0].id_column!r}, whose cells are files, not from {rows.id_column!r}; "
            "images.id_column sets another"
        )
        return others[0]

    def _all_found(self, table: Template) -> Files | None:
        """Return the files of a table whose ids all have one; None of another. The first few are tried before all."""
        try:
            if self._files(replace(table, frame=table.frame.head(TRIED_FIRST))).missing:
                return None
            files = self._files(table)
        except ImageError:  # two files for one id
            return None
        return None if files.missing else files

    def _check_header(self, rows: Template) -> None:
        """Raise ConfigError where the first line of a table names an image, and no column."""
        if isinstance(self._place, RemoteFolder):
            return
        for pattern in self._config.patterns:
            name = None if is_wild(pattern) else self._place.inside(fill(pattern, rows.id_column))
            if name is None or not is_image_name(name):
                continue
            path = self._place.find([name]).get(name)
            if path is not None and not _is_folder(path):
                raise ConfigError(
                    f"images.ids: {shown(str(rows.path))!r} has no header: its first line names the image "
                    f"{rows.id_column!r}; put a line with the names of the columns above it, or set images.id_column"
                )

    # --- other spellings, and hints ---

    def _spelled(self, files: Files) -> Files:
        """Find the files that are missing by one spelling that holds for all ids; else return what there is.

        An id whose own file is left out stays without one: a spelling would give it the file of another image.
        """
        left_out = {self.template.ids[row] for row in files.unwanted}
        if len(left_out) == len(files.missing):
            return files
        try:
            names = self._names
        except ImgclusterError:  # the web has pages of few folders
            return files
        if self._config.id_column is None and best_column(self.template, names) is not None:
            return files  # a counter of rows would be read as the numbers of other images
        by_id = {id: name for id, name in zip(self.template.ids, files.names, strict=True) if id not in left_out}
        found = spelled(by_id, names, self._config.patterns, spellings(self._place.inside))
        if found is None:
            return files
        if self._config.id_column is None and (others := self._others_spelled(names)):
            raise self._several([self.template.id_column, *others])
        rule, new = found
        id, name = next(iter(new.items()))
        self.notes.append(
            f"read {len(new):,} of {len(by_id):,} ids {rule.words}, to find their files: {quoted(id)} is {quoted(name)}"
        )
        paths = {**files.paths, **self._place.find(list(new.values()))}
        after = [new.get(id, name) for id, name in zip(self.template.ids, files.names, strict=True)]
        return replace(files, names=after, paths=paths, outside=[])

    def _others_spelled(self, names: list[str]) -> list[str]:
        """Return the other columns that a rule reads as files, too: one of them may be no more than a count of rows."""
        rules, patterns = partial(spellings, self._place.inside), self._config.patterns
        tables = other_columns(self.template)
        return [
            table.id_column
            for table in tables
            if spelled(dict.fromkeys(table.ids), names, patterns, rules()) is not None
        ]

    def _several(self, columns: list[str]) -> ConfigError:
        return ConfigError(
            f"images.id_column: several columns of {shown(str(self._rows.path))!r} name files, "
            f"{', '.join(map(repr, columns))}; set images.id_column to one of them"
        )

    def _check(self, files: Files) -> None:
        """Raise ImageError for the ids without files, unless they are to be skipped and lead nowhere else."""
        if files.outside:
            row = files.outside[0]
            raise ImageError(
                f"{self.template.place(row)}: id {quoted(self.template.ids[row])} leads outside of images.folder "
                f"{self._folder!r}"
            )
        missing, ids = files.missing, self.template.ids
        if self._config.missing == "stop" and (row := missing[0]) in files.lost:
            where = f"{self.template.place(row)}: id {quoted(ids[row])}"
            raise ImageError(f"{where}: {files.lost[row].reason}; correct it, or set images.missing: skip")
        hint = self._hint(files)
        if self._config.missing == "stop":
            raise ImageError(
                f"{self.template.place(missing[0])}: {len(missing):,} of {len(ids):,} ids have no file: "
                f"{first_few([ids[row] for row in missing], show=quoted)} "
                f"(tried {quoted(self._place.tried(files.tried[missing[0]]), 300)})"
                f"{hint or '; check images.folder and images.file'}, or set images.missing: skip"
            )
        if hint:
            self.notes.append(f"{len(missing):,} of {len(ids):,} ids have no file{hint}")

    def _hint(self, files: Files) -> str:
        """Name what would have found the ids: a pattern, another column, or else another spelling of the first one."""
        names, ids = self._names_for_hints(files), self.template.ids
        missing = [ids[row] for row in files.missing]
        if files.unwanted:
            return f"; images.include or images.exclude leaves out the files of {len(files.unwanted):,}"
        if self._config.id_column is None and (better := best_column(self.template, names)) is not None:
            column, value = better[0].id_column, better[1].value
            column, value = (json.dumps(each, ensure_ascii=False) for each in (column, value))
            return f"; column {column} names files: set images.id_column: {column} and images.file: {value}"
        found = find_patterns(ids, names)
        if found is not None and found.found > len(ids) - len(missing):
            name = next((name for each in found.patterns for name in NameIndex(names).matches(each, missing[0])), None)
            there = "" if name is None else f"there is a {name!r}: "
            partly = "" if found.found == len(ids) else f", which finds {found.found:,}"
            return f"; {there}set images.file: {json.dumps(found.value, ensure_ascii=False)}{partly}"
        free = sorted(set(names) - set(files.names))
        near = near_names(missing[0], free, self._config.patterns, spellings(self._place.inside))
        return f"; there is an image {near[0]!r}: correct the ids" if near else ""

    def _names_for_hints(self, files: Files) -> list[str]:
        """Return all names, or where nothing can be listed those that the first missing id may have."""
        try:
            return self._names
        except ImgclusterError:
            id = self.template.ids[files.missing[0]]
            asked = [name for ending in ENDINGS if (name := self._place.inside(id + ending)) is not None]
            return list(self._place.find(asked))

    @property
    def _folder(self) -> str:
        return ", ".join(map(shown, self._config.folders))

    def _lost(self, name: str) -> ImagePath:
        tried = self._place.tried(name)
        return Path(tried) if isinstance(self._place, LocalFolder) else Lost(tried, "no such file")

    def _note_others(self, files: Files) -> None:
        """Say which images no row names, and how many ids share a file."""
        named = [name for name in files.names if name is not None]
        taken = set(named)
        if len(taken) < len(named):
            self.notes.append(f"{len(named):,} ids share {len(taken):,} files")
        if others := sorted((name for name in self._place.near(sorted(taken)) if name not in taken), key=natural_key):
            self.without_row = len(others)
            self.notes.append(
                f"{len(others):,} images have no row in {shown(str(self.template.path))}: "
                + first_few(others, show=quoted)
            )


def _problem(rows: Template) -> ConfigError | None:
    try:
        check_ids(rows, TEMPLATE)
    except ConfigError as error:
        return error
    return None


def _is_folder(path: ImagePath) -> bool:
    return isinstance(path, Path) and path.is_dir()


def _two_files(row: int, template: Template, names: Sequence[str]) -> ImageError:
    return ImageError(
        f"{template.place(row)}: id {quoted(template.ids[row])} has {len(names)} files: "
        f"{first_few(names, show=quoted)}; say by images.file in which folder or with which ending, or leave the "
        "others out by images.exclude"
    )
