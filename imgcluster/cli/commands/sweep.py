"""`sweep`: how many clusters suit the images."""

from __future__ import annotations

import shlex
from pathlib import Path

from imgcluster.cli.options import CONFIG_ARGUMENTS, Commands, Options, add_command, load_options, write_table
from imgcluster.config import RunFiles
from imgcluster.errors import ConfigError


def add(commands: Commands) -> None:
    """Add the command."""
    help = "try numbers of clusters and propose one"
    command = add_command(commands, "sweep", run, help, *CONFIG_ARGUMENTS)
    command.add_argument("--k", default="2..20", metavar="A..B", help="range to try (default: 2..20)")
    command.add_argument(
        "--out", metavar="DIR", help="folder of the table and the chart (default: sweep in the run folder)"
    )


def run(options: Options) -> None:
    """Sweep the number of clusters, write the table and the chart, print the proposal."""
    config = load_options(options)
    ks = _range(options)
    from imgcluster.cli.format.clustering import sweep_lines
    from imgcluster.evaluation import draw_sweep
    from imgcluster.pipeline import sweep_clusters

    found = sweep_clusters(config, ks, show=not options.quiet)
    out = Path(options.out or Path(config.outputs.folder) / RunFiles.SWEEP)
    out.mkdir(parents=True, exist_ok=True)
    write_table(out / RunFiles.SWEEP_TABLE, found.table())
    written = [out / RunFiles.SWEEP_TABLE, *draw_sweep(found, out)]
    print("\n".join([*sweep_lines(found), *(f"written   {path}" for path in written)]))


def _range(options: Options) -> range:
    from imgcluster.config import parse_range

    if options.k.isdecimal():
        one = shlex.join(["imgcluster", "run", options.config, "--set", f"clusters.n_clusters={options.k}"])
        raise ConfigError(f"--k takes a range from 2 up, such as 2..20; for {options.k} clusters: {one}")
    try:
        return parse_range(options.k)
    except ValueError as error:
        raise ConfigError(f"--k: {error}") from None
