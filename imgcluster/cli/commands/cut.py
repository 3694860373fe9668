"""`cut`: the clusters of a run at another level of its hierarchy, or some of them merged or split."""

from __future__ import annotations

from imgcluster.cli.options import (
    RUN_ARGUMENT,
    TABLE_ARGUMENTS,
    Commands,
    Options,
    add_command,
    free_table,
    write_table,
)
from imgcluster.errors import ConfigError

HELP = "cut a run's hierarchy into more or fewer clusters"
DESCRIPTION = (
    f"{HELP}, or merge and split some. The run stays as it is: the table has the new clusters, which keep their "
    "numbers. Nothing is extracted or clustered; for a whole run of K clusters, with a report, run its config with "
    "--set clusters.n_clusters=K, which clusters the stored features again and may find other clusters"
)
MERGE_HELP = "merge these clusters; one alone merges with its nearest in the hierarchy (repeatable)"


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "cut", run, HELP, RUN_ARGUMENT, *TABLE_ARGUMENTS)
    command.description = DESCRIPTION
    command.add_argument("--k", type=int, metavar="K", help="number of clusters (default: the run's)")
    command.add_argument("--split", type=int, nargs="+", default=[], metavar="N", help="split these clusters in two")
    command.add_argument("--merge", type=int, nargs="+", action="append", default=[], metavar="N", help=MERGE_HELP)
    command.add_argument("--submission", metavar="CSV", help="also write a submission, as the run's config says")


def run(options: Options) -> None:
    """Cut the hierarchy of a run, write the table, print the clusters."""
    from imgcluster.runs import CutRun, cut_run

    tables = {free_table(options): CutRun.table}
    if options.submission is not None:
        tables[free_table(options, "submission")] = CutRun.submission
    if options.k is None and not options.split and not options.merge:
        raise ConfigError("name what to cut: --k K, --split N or --merge N M")
    from imgcluster.cli.format.clustering import cut_lines

    found = cut_run(options.run, options.k, split=options.split, merge=options.merge)
    for path, table in [(path, make(found)) for path, make in tables.items()]:
        write_table(path, table)
    print(*cut_lines(found), *(f"written   {path}" for path in tables), sep="\n")
