"""`imgcluster FOLDER`: cluster a folder of images without a config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgcluster.cli.options import PROFILE, QUIET, YES, Commands, Options, add_command, argument, set_option, split_list

if TYPE_CHECKING:
    from imgcluster.runs import RunResult

NAME = "FOLDER"  # what stands in the place of a command
CONFIG_FILE = "config.yaml"  # beside the results
MORE_CLUSTERS = 2  # in the example of another number of clusters, where the run has none


def add(commands: Commands) -> None:
    """Add the command."""
    help = "cluster a folder of images, without a config"
    force = argument("--force", action="store_true", help="overwrite another config's run in the same folder")
    command = add_command(commands, NAME, run, help, set_option("features.views=center"), resumable=True)
    command.prog = "imgcluster"
    command.epilog = "Example: imgcluster FOLDER -k 12; a folder named like a command: ./run"
    command.add_argument("folder", metavar="FOLDER", help="a folder, URL or archive of images, or a CSV of paths")
    command.add_argument("-k", metavar="N", help="number of clusters (default: auto)")
    command.add_argument("--ids", metavar="CSV", help="a sample submission, or any CSV of ids")
    command.add_argument("--backbone", metavar="NAME", help="a network, or several: NAME,NAME; see imgcluster models")
    command.add_argument("--out", metavar="RUN", help="the run folder (default: outputs/FOLDER)")
    for add_part in (force, YES, QUIET, PROFILE):
        add_part(command)


def run(options: Options) -> None:
    """Run the default config, print what was chosen, the summary and the next commands."""
    from imgcluster.cli.format.run import planned, profile_lines, summarize_run
    from imgcluster.cli.init.default import config_text, first_run
    from imgcluster.pipeline import run
    from imgcluster.utils import printable, write_whole

    first = first_run(options.folder, options.ids, keys=_keys(options), overrides=options.set)
    print(f"no config: {printable(planned(first.config, first.images))}", flush=True)
    done = run(first.config, force=options.force, show=not options.quiet)
    place = _config_file(done.config.outputs.folder)
    write_whole(place, config_text(first.config, done.record["features"], place).encode())
    print(summarize_run(done), *(profile_lines(done.features) if options.profile else []), sep="\n")
    print(f"written   {printable(str(place))}")
    notes = (f"note: {printable(note)}" for note in first.notes if note not in done.notes)
    print(*notes, *next_lines(done, place), sep="\n")


def _config_file(folder: str) -> Path:
    """Return the path of the config: beside the results, in the current folder where these are behind a URL."""
    from imgcluster.utils import is_url

    return Path(f"{folder.rstrip('/').rpartition('/')[2]}.yaml") if is_url(folder) else Path(folder, CONFIG_FILE)


def next_lines(done: RunResult, config: Path) -> list[str]:
    """Return the three commands that come next."""
    from imgcluster.types import NOISE
    from imgcluster.utils import shell_line

    folder = done.config.outputs.folder.rstrip("/")
    clusters = _another_number(done.record, len(set(done.clusters.labels.tolist()) - {NOISE}))
    commands = {
        "look at the clusters": ["show", folder, "--open"],
        "sort the images into folders": ["export-folders", folder, f"{Path(folder).name}-sorted", "--copy"],
        "another number of clusters": [
            *("run", str(config), "--set", f"clusters.n_clusters={clusters}"),
            *("--set", f"outputs.folder={folder}-{clusters}"),
        ],
    }
    return ["", "next", *(f"  python -m imgcluster {shell_line(*words)}  # {why}" for why, words in commands.items())]


def _another_number(record: Mapping[str, Any], clusters: int) -> int:
    """Return the number to try next: the runner-up that the summary calls good, or the second best, or a larger one."""
    second, *good = record.get("chosen", {}).get("runners_up") or [clusters + MORE_CLUSTERS]
    return int([*good, second][0])


def _keys(options: Options) -> dict[str, dict[str, Any]]:
    """Return the keys that the options stand for, by section."""
    from imgcluster.config import parse_yaml

    backbone = options.backbone and split_list(options.backbone)
    keys = {
        ("clusters", "n_clusters"): None if options.k is None else parse_yaml(options.k, 2).value,
        ("features", "backbone"): backbone[0] if backbone and len(backbone) == 1 else backbone,
        ("outputs", "folder"): options.out,
    }
    given = {key: value for key, value in keys.items() if value is not None}
    return {section: {key: value for (own, key), value in given.items() if own == section} for section, _ in given}
