"""Names of files and folders that storage systems and photo programs leave among images."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from imgcluster.config import glob_regex

HIDDEN = "hidden"  # any other name that begins with a dot


class Debris(NamedTuple):
    """A name, or a glob of names, of files and folders, in any case; with a slash, of a folder in such a folder."""

    name: str
    origin: str


DEBRIS = (
    Debris("@eaDir", "Synology: thumbnails and metadata of each file"),
    Debris("#recycle", "Synology: recycle bin of a share"),
    Debris("#snapshot", "Synology: snapshots of a share"),
    Debris("@tmp", "Synology: temporary files"),
    Debris("SYNOPHOTO_THUMB_*", "Synology Photo Station: a thumbnail, where it was copied out of @eaDir"),
    Debris("SYNOPHOTO_FILM_*", "Synology Photo Station: a frame of a film"),
    Debris("@Recycle", "QNAP: recycle bin of a share"),
    Debris("@Recently-Snapshot", "QNAP: snapshots of a share"),
    Debris("~snapshot", "NetApp: snapshots of a volume"),
    Debris("$RECYCLE.BIN", "Windows: recycle bin of a drive"),
    Debris("RECYCLER", "Windows XP: recycle bin of a drive"),
    Debris("RECYCLED", "Windows 98: recycle bin of a drive"),
    Debris("System Volume Information", "Windows: restore points of a drive"),
    Debris("AlbumArt_{*}_*.jpg", "Windows Media Player: the cover of an album"),
    Debris("AlbumArtSmall.jpg", "Windows Media Player: the same, small"),
    Debris("lost+found", "Linux: what a check of an ext file system found"),
    Debris("__MACOSX", "macOS: resource forks in a zip that Finder made"),
    Debris("._*", "macOS: AppleDouble, a file's resource fork on a disk that has none"),
    Debris("*.lrdata", "Lightroom: previews and smart previews of a catalogue"),
    Debris(
        "*.photoslibrary/resources", "Apple Photos: derivatives and renders; the pictures are in originals or Masters"
    ),
    Debris("*.photoslibrary/Thumbnails", "Apple Photos of 2015: thumbnails"),
    Debris("*.photoslibrary/Previews", "Apple Photos of 2015: previews"),
    Debris("*.photoslibrary/private", "Apple Photos: caches of its services"),
    Debris("*.photolibrary/Thumbnails", "iPhoto: thumbnails; the pictures are in Masters"),
    Debris("*.photolibrary/Previews", "iPhoto: previews"),
    Debris("*.aplibrary/Thumbnails", "Aperture: thumbnails; the pictures are in Masters"),
    Debris("*.aplibrary/Previews", "Aperture: previews"),
    Debris("appdata_*", "Nextcloud: previews, in its folder of data"),
    Debris("*.trickplay", "Jellyfin: frames of a film for its seek bar"),
)

_BY_NAME = {each.name.casefold(): each for each in DEBRIS if not set("*/") & set(each.name)}
_GLOBS = [each for each in DEBRIS if "*" in each.name and "/" not in each.name]
_PAIRS = [each for each in DEBRIS if "/" in each.name]
_LIBRARIES = tuple({each.name.partition("/")[0].removeprefix("*").casefold() for each in _PAIRS})


def _regex(rows: list[Debris]) -> re.Pattern[str]:
    return re.compile("|".join(f"({glob_regex(each.name.casefold()).pattern})" for each in rows))


_GLOB_REGEX, _PAIR_REGEX = _regex(_GLOBS), _regex(_PAIRS)


def debris_of(folder: str, name: str) -> str | None:
    """Return the name in the table by which something in a folder is known as debris; None where it is none."""
    folded = name.casefold()
    if (row := _BY_NAME.get(folded)) is not None:
        return row.name
    if (found := _GLOB_REGEX.fullmatch(folded)) is not None:
        return _GLOBS[(found.lastindex or 1) - 1].name
    if (parent := folder.casefold()).endswith(_LIBRARIES) and (found := _PAIR_REGEX.fullmatch(f"{parent}/{folded}")):
        return _PAIRS[(found.lastindex or 1) - 1].name
    return None


def debris_in(name: str) -> tuple[str, str] | None:
    """Return the name in the table, and the first folder or file of a name with slashes that is debris; None: none."""
    return next((found for found in _set_aside(name) if found[0] != HIDDEN), None)


def set_aside(name: str) -> tuple[str, str] | None:
    """Return as `debris_in` the first folder or file that is debris or, as HIDDEN, has a hidden name."""
    return next(_set_aside(name), None)


def why_set_aside(folder: str, name: str) -> str | None:
    """Return the name in the table, or HIDDEN, of something in a folder; None where it is neither."""
    return debris_of(folder, name) or (HIDDEN if is_hidden(name) else None)


def is_hidden(name: str) -> bool:
    """Tell whether a name begins with a dot, and is no more than a step to a folder."""
    return name.startswith(".") and name not in (".", "..")


def _set_aside(name: str) -> Iterator[tuple[str, str]]:
    parts = name.split("/")
    for at, part in enumerate(parts):
        if (found := why_set_aside(parts[at - 1] if at else "", part)) is not None:
            yield found, "/".join(parts[: at + 1])
