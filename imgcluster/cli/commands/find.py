"""`find`: the images of a run that are most similar to some pictures."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from imgcluster.cli.options import (
    IMAGES_FOLDER,
    JSON,
    QUIET,
    RUN_ARGUMENT,
    TABLE_OPTIONS,
    Commands,
    Options,
    add_command,
    check_free,
    images_folder,
    optional_table,
    write_table,
)
from imgcluster.errors import ConfigError

if TYPE_CHECKING:
    from imgcluster.curation import ImageSearch, Matches

JPEG_QUALITY = 88


def add(commands: Commands) -> None:
    """Add the command."""
    help = "find the images of a run that are most similar to pictures"
    command = add_command(commands, "find", run, help, RUN_ARGUMENT)
    what = "a picture: an id of the run, a file, a URL, or a frame such as a.mp4#t=3"
    command.add_argument("images", nargs="+", metavar="IMAGE", help=what)
    command.add_argument(
        "--not", dest="unlike", nargs="+", action="extend", default=[], metavar="IMAGE", help="pictures to avoid"
    )
    command.add_argument("--count", "-n", type=int, default=20, metavar="N", help="number of images (default: 20)")
    command.add_argument("--sheet", metavar="FILE", help="write a contact sheet, .png or .jpg")
    for add_part in (*TABLE_OPTIONS, images_folder(IMAGES_FOLDER), JSON, QUIET):
        add_part(command)
    command.epilog = "Example: imgcluster find outputs/photos cat.jpg --not dog.jpg --sheet cats.png"


def run(options: Options) -> None:
    """Print the most similar images, and write them as a table and a contact sheet where these are asked for."""
    out, sheet = optional_table(options), _free_sheet(options)
    from imgcluster.cli.format.curation import matches_lines
    from imgcluster.curation import ImageSearch

    search = ImageSearch(options.run)
    show = not (options.quiet or options.json)
    found = search.find(options.images, options.unlike, count=options.count, show=show)
    written = [path for path in (out, sheet) if path is not None]
    if out is not None:
        write_table(out, found.text_table())
    if sheet is not None:
        _write_sheet(sheet, search, found)
    if options.json:
        print(json.dumps(asdict(found), indent=2))
    else:
        print(*matches_lines(found), *(f"written   {path}" for path in written), sep="\n")


def _free_sheet(options: Options) -> Path | None:
    if options.sheet is None:
        return None
    path = Path(options.sheet)
    if path.suffix.lower() not in {".png", ".jpg", ".jpeg"}:
        raise ConfigError(f"--sheet: {str(path)!r}: the name of a contact sheet ends in .png or .jpg")
    check_free(path, options, is_picture=True)
    return path


def _write_sheet(path: Path, search: ImageSearch, found: Matches) -> None:
    from imgcluster.images import jpeg, png
    from imgcluster.report import contact_sheet
    from imgcluster.runs import listed_paths
    from imgcluster.utils import write_whole

    paths = listed_paths([each.path for each in found.matches], search.run.places.storage)
    pixels = contact_sheet(paths, search.run.config.images.reading)
    write_whole(path, png(pixels) if path.suffix.lower() == ".png" else jpeg(pixels, JPEG_QUALITY))
