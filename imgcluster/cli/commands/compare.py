"""`compare`: many ways to cluster the same images, ranked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imgcluster.cli.options import CONFIG_ARGUMENTS, Commands, Options, add_command, load_options, split_list
from imgcluster.errors import ConfigError

TRUTH_HELP = "true labels, a CSV or a folder with one subfolder per label"
OUT_HELP = "folder of the table and a config per row (default: compare in the run folder)"
REPEATED: dict[str, Any] = {"action": "append", "default": []}


def add(commands: Commands) -> None:
    """Add the command."""
    help = "cluster in many ways and rank the results"
    command = add_command(commands, "compare", run, help, *CONFIG_ARGUMENTS)
    command.add_argument("--backbones", **REPEATED, metavar="A,B", help="backbones (default: the config's)")
    command.add_argument("--layers", **REPEATED, metavar="X,Y", help="layers (default: each backbone's own)")
    command.add_argument("--methods", **REPEATED, metavar="M,N", help="methods (default: the config's)")
    command.add_argument("--transform", **REPEATED, metavar="STEPS", help="such as '[l2, {pca: 64}]'")
    command.add_argument("--k", **REPEATED, metavar="K", help="numbers of clusters: 5,8 or 2..10")
    command.add_argument("--truth", metavar="CSV", help=f"{TRUTH_HELP}; without them, silhouette and agreement rank")
    command.add_argument("--out", metavar="DIR", help=OUT_HELP)
    command.add_argument("--force", action="store_true", help="start a new table instead of adding rows")


def run(options: Options) -> None:
    """Compare ways to cluster, print the table with the best first."""
    config = load_options(options)
    from imgcluster.cli.format.clustering import comparison_lines
    from imgcluster.config import parse_yaml
    from imgcluster.evaluation import Grid, compare

    grid = Grid(
        backbones=_items(options.backbones),
        layers=_items(options.layers),
        transforms=[parse_yaml(text).value for text in options.transform],
        methods=_items(options.methods),
        ks=[k for text in options.k for k in _numbers(text)],
    )
    out = Path(options.out or Path(config.outputs.folder) / "compare")
    truth = Path(options.truth) if options.truth else None
    found = compare(config, grid, truth=truth, out=out, force=options.force, show=not options.quiet)
    print(*comparison_lines(found, out), sep="\n")


def _items(texts: list[str]) -> list[str]:
    return [item for text in texts for item in split_list(text)]


def _numbers(text: str) -> list[int]:
    from imgcluster.config import parse_range

    try:
        return list(parse_range(text)) if ".." in text else [int(number) for number in split_list(text)]
    except ValueError as error:
        allowed = f"{text!r}; allowed: numbers such as 5,8, or a range such as 2..10"
        raise ConfigError(f"--k: {error if '..' in text else allowed}") from None
