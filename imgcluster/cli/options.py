"""Arguments and options that several commands share, and what they mean to the library."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from imgcluster.cli.corrections import CONFIG, RUN, options_of
from imgcluster.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from imgcluster.config import Config

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Options: TypeAlias = argparse.Namespace
Run: TypeAlias = Callable[[Options], None]

IMAGES_FOLDER = "--images-folder"
LABELS_HELP = "ids and labels: a CSV (leave the label empty if unknown), or a folder with one subfolder per label"
# How messages of the library name its parameters: `overwrite it with force=True`, `name it with label_column=NAME`.
PARAMETER = re.compile(r"(?<![\w.])(?<!--set )([a-z]+(?:_[a-z]+)*)=(?:True|([A-Z]+))\b")
RENAMED = {"overrides": "--set", "label": "--class"}
FUNCTIONS = {"imgcluster.images_are_in(RUN, FOLDER)": f"{IMAGES_FOLDER} FOLDER", "imgcluster.undo_export": "--undo"}


def add_command(
    commands: Commands, name: str, run: Run, help: str, *, resumable: bool = False
) -> argparse.ArgumentParser:
    """Add a command; `run` gets its options. resumable: a second call continues an interrupted one."""
    command = commands.add_parser(name, help=help, description=help)
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    command.set_defaults(command=run, resumable=resumable, name=name, parser=command)
    return command


def add_config_command(
    commands: Commands, name: str, run: Run, help: str, *, resumable: bool = False
) -> argparse.ArgumentParser:
    """Add a command over a config, with its `--set`."""
    command = add_command(commands, name, run, help, resumable=resumable)
    command.add_argument("config", metavar="CONFIG", help="a YAML file, such as configs/stage.yaml")
    add_set(command)
    add_quiet(command)
    command.set_defaults(takes=("config", CONFIG))
    return command


def add_set(command: argparse.ArgumentParser, example: str = "clusters.n_clusters=8") -> None:
    """Add the option that overrides keys of a config."""
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help=f"override a key: --set {example}"
    )


def add_quiet(command: argparse.ArgumentParser) -> None:
    """Add the option that hides progress."""
    command.add_argument("--quiet", action="store_true", help="hide progress; warnings and the summary stay")


def add_profile(command: argparse.ArgumentParser) -> None:
    """Add the option that shows where the time of an extraction goes."""
    command.add_argument("--profile", action="store_true", help="show the time of each stage and the bottleneck")


def add_run(command: argparse.ArgumentParser) -> None:
    """Add the argument RUN, a run folder."""
    command.add_argument("run", metavar="RUN", help="a run folder, such as outputs/stage")
    command.set_defaults(takes=("run", RUN))


def add_new_images(command: argparse.ArgumentParser) -> None:
    """Add the argument IMAGES, images of no run yet."""
    command.add_argument(
        "images", metavar="IMAGES", help="an image, or a folder, URL, tar, zip or Parquet file of images"
    )


def add_images_folder(command: argparse.ArgumentParser, *names: str, of: str = "run") -> None:
    """Add the option that says where the images of a run are now; `of`: the argument that names the run."""
    command.add_argument(
        *(names or (IMAGES_FOLDER, "--images")),
        dest="images_folder",
        metavar="FOLDER",
        help="where the run's images are now, if they have moved",
    )
    command.set_defaults(images_of=of)


def add_table(command: argparse.ArgumentParser) -> None:
    """Add the options of a command that writes a CSV."""
    command.add_argument("--out", required=True, metavar="CSV", help="the table to write")
    command.add_argument("--force", action="store_true", help="overwrite the table")


def add_label_columns(command: argparse.ArgumentParser) -> None:
    """Add the options that name the columns of a CSV of labels."""
    command.add_argument("--id-column", metavar="NAME", help="column of ids (default: the one that names the images)")
    command.add_argument("--label-column", metavar="NAME", help="column of labels (default: label)")


def look_there(options: Options) -> None:
    """Have the images of the run that the options name looked for where `--images-folder` says. Raises ConfigError."""
    if getattr(options, "images_folder", None) is not None:
        from imgcluster.runs import images_are_in

        images_are_in(getattr(options, options.images_of), options.images_folder)


def free_table(options: Options) -> Path:
    """Return the CSV that `--out` names. Raises ConfigError where it exists and `--force` is not given."""
    out = Path(options.out)
    if out.exists() and not options.force:
        raise ConfigError(f"{str(out)!r} exists; overwrite it with --force")
    return out


def write_table(out: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, in one piece."""
    from imgcluster.runs import csv_text
    from imgcluster.utils import write_whole

    write_whole(out, csv_text(table).encode())


def load_options(options: Options) -> Config:
    """Return the config that the options name, as they change it. Raises ConfigError."""
    from imgcluster.config import load_config

    return load_config(options.config, options.set)


def split_list(text: str) -> list[str]:
    """Return the items of `a, b`."""
    return [part.strip() for part in text.split(",") if part.strip()]


def with_options(message: str, options: Options) -> str:
    """Return a message of the library with the options of the command in the place of parameters.

    `trials: 0` becomes `--trials: 0` where the command has that option, and `force=True` becomes `--force`.
    """
    parameter, colon, problem = message.partition(":")
    option = RENAMED.get(parameter, _option(parameter))
    if colon and option in options_of(options.parser):
        message = f"{option}:{problem}"
    for function, flag in FUNCTIONS.items():
        message = message.replace(function, flag)
    return PARAMETER.sub(lambda found: " ".join(filter(None, (_option(found[1]), found[2]))), message)


def _option(parameter: str) -> str:
    return f"--{parameter.replace('_', '-')}"
