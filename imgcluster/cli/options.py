"""What the commands of the command line are made of."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from imgcluster.cli.corrections import CONFIG, RUN
from imgcluster.errors import ConfigError
from imgcluster.runs import OPTION, images_are_in
from imgcluster.utils import write_whole

if TYPE_CHECKING:
    import pandas as pd

    from imgcluster.config import Config

    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]

RESUMABLE = ("run", "extract")


def add_config_command(
    commands: Commands,
    name: str,
    call: Callable[[argparse.Namespace], None],
    help: str,
) -> argparse.ArgumentParser:
    """Add a command over a config, with its `--set`."""
    command = add_command(commands, name, call, help)
    command.add_argument("config", metavar="CONFIG", help="a YAML file, such as configs/stage.yaml")
    add_set(command)
    command.add_argument("--quiet", action="store_true", help="no progress; warnings and the summary stay")
    command.set_defaults(resumable=name in RESUMABLE, takes=("config", CONFIG))
    if name in RESUMABLE:
        command.add_argument("--profile", action="store_true", help="the seconds of each stage, and which one limits")
    return command


def add_command(
    commands: Commands,
    name: str,
    call: Callable[[argparse.Namespace], None],
    help: str,
) -> argparse.ArgumentParser:
    """Add a command; `call` gets its options."""
    command = commands.add_parser(name, help=help, description=help)
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    command.set_defaults(command=call, resumable=False, name=name, parser=command)
    return command


def add_set(command: argparse.ArgumentParser, example: str = "clusters.n_clusters=8") -> None:
    """Add the option that overrides keys of a config."""
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help=f"override a key: --set {example}"
    )


def add_run(command: argparse.ArgumentParser) -> None:
    """Add the argument RUN, a run folder."""
    command.add_argument("run", metavar="RUN", help="a run folder, such as outputs/stage")
    command.set_defaults(takes=("run", RUN))


def add_images_folder(command: argparse.ArgumentParser, *names: str, of: str = "run") -> None:
    """Add the option that says where the images of a run are now; `of`: the argument that names the run."""
    command.add_argument(
        *(names or (OPTION, "--images")),
        dest="images_folder",
        metavar="FOLDER",
        help="where the run's images are, if they have moved",
    )
    command.set_defaults(images_of=of)


def look_there(options: argparse.Namespace) -> None:
    """Have the images of the run that the options name looked for where `--images-folder` says. Raises ConfigError."""
    if getattr(options, "images_folder", None) is not None:
        images_are_in(getattr(options, options.images_of), options.images_folder)


def free_table(options: argparse.Namespace) -> Path:
    """Return the CSV that `--out` names. Raises ConfigError where it is there and `--force` is not."""
    out = Path(options.out)
    if out.exists() and not options.force:
        raise ConfigError(f"{str(out)!r} exists; overwrite it with --force")
    return out


def write_table(out: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, in one piece."""
    from imgcluster.runs import csv_text

    write_whole(out, csv_text(table).encode())


def load_options(options: argparse.Namespace) -> Config:
    """Return the config that the options name, as they change it. Raises ConfigError."""
    from imgcluster.config import load_config

    return load_config(options.config, options.set)
