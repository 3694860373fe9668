"""`stability`: which images of a run change cluster in repeated trials."""

from __future__ import annotations

from pathlib import Path

from imgcluster.cli.options import (
    QUIET,
    RUN_ARGUMENT,
    Commands,
    Options,
    add_command,
    check_free,
    images_folder,
    write_table,
)


def add(commands: Commands) -> None:
    """Add the command."""
    help = "cluster a run again with other seeds and subsets: which images change cluster"
    command = add_command(commands, "stability", run, help, RUN_ARGUMENT, images_folder(), QUIET)
    command.add_argument("--trials", type=int, default=20, metavar="N", help="number of trials (default: 20)")
    command.add_argument("--out", metavar="CSV", help="the table (default: stability.csv in the run folder)")


def run(options: Options) -> None:
    """Measure the stability of a run, write the table, print the least stable images."""
    out = Path(options.out or Path(options.run) / "stability.csv")
    check_free(out, options)
    from imgcluster.cli.format.clustering import stability_lines
    from imgcluster.evaluation import stability

    found = stability(options.run, trials=options.trials, show=not options.quiet)
    write_table(out, found.table())
    print(*stability_lines(found), f"written   {out}", sep="\n")
