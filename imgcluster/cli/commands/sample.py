"""`sample`: small data sets."""

from __future__ import annotations

from pathlib import Path

from imgcluster.cli.options import Commands, Options, add_command


def add(commands: Commands) -> None:
    """Add the command."""
    help = "write a small data set, without a download"
    command = add_command(commands, "sample", run, help)
    command.add_argument("name", metavar="NAME", help="stage, digits or photos")
    command.add_argument("folder", metavar="DIR", help="a new or empty folder")


def run(options: Options) -> None:
    """Write a sample, print what it has."""
    from imgcluster.datasets import write_sample

    count = write_sample(options.name, Path(options.folder))
    print(f"{count:,} images, sample_submission.csv and truth.csv in {options.folder}")
