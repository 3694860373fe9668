"""`init` and `sample`: a first config for a folder of images, and small data sets to try."""

from __future__ import annotations

from pathlib import Path

from imgcluster.cli.corrections import IMAGES
from imgcluster.cli.options import QUIET, Commands, Options, add_command, argument
from imgcluster.errors import ConfigError


def add(commands: Commands) -> None:
    """Add the command."""
    help = "look at a folder of images and write a config for it"
    folder = argument("folder", IMAGES, metavar="FOLDER", help="a folder of images")
    command = add_command(commands, "init", run, help, folder)
    command.add_argument("--ids", metavar="CSV", help="a sample submission, or any CSV of ids")
    command.add_argument("--label-column", metavar="NAME", help="its label column, if that is ambiguous")
    command.add_argument("--out", metavar="CONFIG", help="the config (default: FOLDER's name with .yaml)")
    command.add_argument("--force", action="store_true", help="overwrite the config")


def run(options: Options) -> None:
    """Write a first config, print what was found."""
    from imgcluster.cli.init.config import write_first_config
    from imgcluster.images import is_held
    from imgcluster.utils import shown

    if is_held(options.folder):
        raise ConfigError(f"{shown(options.folder)!r} is not a folder of this machine: write its config by hand")
    folder = Path(options.folder)
    out = Path(options.out or f"{folder.resolve().name}.yaml")
    ids = Path(options.ids) if options.ids else None
    lines = write_first_config(folder, ids, out, label_column=options.label_column, force=options.force)
    print(*lines, sep="\n")


def add_sample(commands: Commands) -> None:
    """Add the command `sample`."""
    command = add_command(commands, "sample", sample, "write a small data set, without a download", QUIET)
    command.add_argument("name", metavar="NAME", help="stage, digits or photos")
    command.add_argument(
        "folder", metavar="DIR", help="a new or empty folder, or one with this sample, whose files are overwritten"
    )


def sample(options: Options) -> None:
    """Write a sample, print what it has."""
    from imgcluster.datasets import write_sample

    count = write_sample(options.name, Path(options.folder), show=not options.quiet)
    print(f"{count:,} images, sample_submission.csv and truth.csv in {options.folder}")
