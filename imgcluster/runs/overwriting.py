"""Protect runs from outputs that the user names: their images, and the files in their folders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from imgcluster.config import RunFiles
from imgcluster.errors import ConfigError, OutputError
from imgcluster.images import SUFFIXES, split_frame
from imgcluster.runs.finished import read_run
from imgcluster.runs.places import MEMBER
from imgcluster.runs.reader import read_record
from imgcluster.utils import is_url

OWN_NAMES = {
    *(RunFiles.RECORD, RunFiles.CLUSTERS, RunFiles.IMAGES, RunFiles.IMAGES_PARQUET, RunFiles.CLUSTERER),
    *(RunFiles.HIERARCHY, RunFiles.SEGMENTS, RunFiles.SUBMISSION, RunFiles.LOCK, RunFiles.REPORT),
    *(RunFiles.REPORT_CONFIG, RunFiles.SHEETS, RunFiles.SWEEP),
}
FOLDERS_UP = 3  # from a file of the explanations, report/explain/..., to its run


def check_overwrites_no_run(out: Path, runs: Sequence[str | Path] = (), *, is_picture: bool = False) -> None:
    """Raise ConfigError where writing a file would destroy a file of any run folder, or an image of `runs`.

    runs: the runs in use; what is no run folder is left out. is_picture: the output is a picture itself, which may
    replace one that is no image of `runs`; anything else may replace no picture.
    """
    real = Path(os.path.realpath(out))
    for folder in real.parents[:FOLDERS_UP]:
        if os.path.lexists(folder / RunFiles.RECORD) and _is_own(folder, real.relative_to(folder)):
            raise ConfigError(f"{str(out)!r} is a file of a run; name another file")
    if not os.path.lexists(out):
        return
    if not is_picture and {out.suffix.lower(), real.suffix.lower()} & SUFFIXES:
        raise ConfigError(f"{str(out)!r} is an image; name another file")
    for run in runs:
        if os.path.lexists(Path(run) / RunFiles.RECORD) and str(real) in map(os.path.realpath, _image_files(run)):
            raise ConfigError(f"{str(out)!r} holds images of {str(run)!r}; name another file")


def _is_own(folder: Path, name: Path) -> bool:
    if name.parts[0] in OWN_NAMES:
        return True
    try:
        outputs = read_record(folder)["config"].get("outputs", {})
    except OutputError:  # another version's, or damaged
        return False
    return bool(name.as_posix() == outputs.get("submission"))


def _image_files(run: str | Path) -> Iterator[str]:
    """Yield the local files that hold the images of a run, an archive or a video once."""
    found = read_run(run)
    texts = (found.places.image(row["path"]) for row in found.rows)
    places = (member["place"] if (member := MEMBER.fullmatch(text)) else text for text in texts)
    files = ((split_frame(place) or (place, ""))[0] for place in places)
    yield from (file for file in dict.fromkeys(files) if not is_url(file))
