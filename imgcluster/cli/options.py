"""Arguments and options that several commands share, and what they mean to the library."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from imgcluster.cli.corrections import CONFIG, RUN, options_of
from imgcluster.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from imgcluster.config import Config
    from imgcluster.types import TextTable

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Options: TypeAlias = argparse.Namespace
Run: TypeAlias = Callable[[Options], None]
Part: TypeAlias = Callable[[argparse.ArgumentParser], object]  # adds an argument to a command

IMAGES_FOLDER = "--images-folder"
LABELS_HELP = "ids and labels: a CSV (leave the label empty if unknown), or a folder with one subfolder per label"
# How messages of the library name its parameters: `overwrite it with force=True`, `name it with label_column=NAME`.
PARAMETER = re.compile(r"(?<![\w.])(?<!--set )([a-z]+(?:_[a-z]+)*)=(?:True|([A-Z]+))\b")
RENAMED = {"overrides": "--set", "label": "--class"}
RUN_NAMES = ("run", "other", "labels")  # arguments that may name a run folder
UNDO_COMMAND = "python -m imgcluster export-folders {run} {folder} --undo"
UNDO_DUPLICATES = "python -m imgcluster duplicates {run} --undo {to}"
# What else the library says, and what the command line says instead; {name} is an argument.
REWORDED = {
    "imgcluster.images_are_in(RUN, FOLDER)": f"{IMAGES_FOLDER} FOLDER",
    "imgcluster.undo_export(FOLDER)": UNDO_COMMAND,
    "imgcluster.undo_export": "--undo",
    "overrides entry ": "--set ",
    " (overrides)": " (--set)",
}


def add_command(
    commands: Commands, name: str, run: Run, help: str, *parts: Part, resumable: bool = False
) -> argparse.ArgumentParser:
    """Add a command with these arguments; `run` gets its options. resumable: a second call continues a stopped one."""
    command = commands.add_parser(name, help=help, description=help)
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    command.set_defaults(command=run, resumable=resumable, name=name, parser=command)
    for add in parts:
        add(command)
    return command


def argument(name: str, kind: str | None = None, **settings: Any) -> Part:
    """Return what adds an argument or an option to a command. kind: of what it takes, to give a hint on another."""

    def add(command: argparse.ArgumentParser) -> None:
        command.add_argument(name, **settings)
        if kind is not None:
            command.set_defaults(takes=(name, kind))

    return add


def set_option(example: str = "clusters.n_clusters=8") -> Part:
    """Return what adds the option that overrides keys of a config."""
    help = f"override a key: --set {example}"
    return argument("--set", action="append", default=[], metavar="KEY=VALUE", help=help)


def images_folder(*names: str, of: str = "run") -> Part:
    """Return what adds the option that says where a run's images are now; `of`: the argument that names the run."""
    names, help = names or (IMAGES_FOLDER, "--images"), "where the run's images are now, if they have moved"

    def add(command: argparse.ArgumentParser) -> None:
        command.add_argument(*names, dest="images_folder", metavar="FOLDER", help=help)
        command.set_defaults(images_of=of)

    return add


QUIET = argument("--quiet", action="store_true", help="hide progress; warnings and the summary stay")
PROFILE = argument("--profile", action="store_true", help="show the time of each stage and the bottleneck")
JSON = argument("--json", action="store_true", help="print JSON")
YES = argument(
    "--yes",
    action="append_const",
    dest="set",
    const="features.download=any",
    help="let features.backbone: auto download weights of any size",
)
CONFIG_ARGUMENTS = (
    argument("config", CONFIG, metavar="CONFIG", help="a YAML file, such as configs/stage.yaml"),
    set_option(),
    YES,
    QUIET,
)
RUN_ARGUMENT = argument("run", RUN, metavar="RUN", help="a run folder, such as outputs/stage")
NEW_IMAGES = argument(
    "images", metavar="IMAGES", help="an image, video or folder, or a URL, tar, zip or Parquet file of images"
)
TABLE_ARGUMENTS = (
    argument("--out", required=True, metavar="CSV", help="the table to write"),
    argument("--force", action="store_true", help="overwrite the table"),
)
TABLE_OPTIONS = (
    argument("--csv", dest="out", metavar="FILE", help="write the table as CSV"),
    argument("--force", action="store_true", help="overwrite the table"),
)
ID_COLUMN = argument("--id-column", metavar="NAME", help="column of ids (default: the one that names the images)")
LABEL_COLUMNS = (
    ID_COLUMN,
    argument("--label-column", metavar="NAME", help="column of labels (default: label)"),
)


def look_there(options: Options) -> None:
    """Have the images of the run that the options name looked for where `--images-folder` says. Raises ConfigError."""
    if getattr(options, "images_folder", None) is not None:
        from imgcluster.runs import images_are_in

        images_are_in(getattr(options, options.images_of), options.images_folder)


def free_table(options: Options, name: str = "out") -> Path:
    """Return the CSV that `--out` names. Raises ConfigError as `check_free`.

    name: the option without its dashes, where it is another.
    """
    out = Path(getattr(options, name))
    check_free(out, options)
    return out


def check_free(out: Path, options: Options, *, is_picture: bool = False) -> None:
    """Raise ConfigError where a file exists and `--force` is not given, and for what no command may overwrite.

    That is as of `check_overwrites_no_run`.
    """
    from imgcluster.runs import check_overwrites_no_run

    runs = [run for name in RUN_NAMES if isinstance(run := getattr(options, name, None), str)]
    check_overwrites_no_run(out, runs, is_picture=is_picture)
    if out.exists() and not getattr(options, "force", True):  # a command without --force overwrites
        raise ConfigError(f"{str(out)!r} exists; overwrite it with --force")


def optional_table(options: Options) -> Path | None:
    """Return the CSV that `--csv` names; None without it. Raises ConfigError as `free_table`."""
    return free_table(options) if options.out else None


def write_table(out: Path, table: pd.DataFrame | TextTable) -> None:
    """Write a table as CSV, in one piece."""
    from imgcluster.runs import csv_text
    from imgcluster.utils import write_whole

    write_whole(out, csv_text(table).encode())


def columns_of(options: Options) -> dict[str, str | None]:
    """Return the columns that the options of LABEL_COLUMNS name."""
    return {"id_column": options.id_column, "label_column": options.label_column}


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
    for ours, theirs in REWORDED.items():
        if ours in message:
            arguments = {name: shlex.quote(str(value)) for name, value in vars(options).items()}
            message = message.replace(ours, theirs.format_map(arguments))
    return PARAMETER.sub(lambda found: " ".join(filter(None, (_option(found[1]), found[2]))), message)


def _option(parameter: str) -> str:
    return f"--{parameter.replace('_', '-')}"
