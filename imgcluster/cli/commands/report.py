"""`report`: the report of a run."""

from __future__ import annotations

from imgcluster.cli.options import QUIET, RUN_ARGUMENT, Commands, Options, add_command, images_folder

TRUTH_HELP = "true labels for scores and a confusion matrix: a CSV, or a folder with one subfolder per label"


def add(commands: Commands) -> None:
    """Add the command."""
    help = "rebuild a run's report"
    command = add_command(commands, "report", run, help, RUN_ARGUMENT, images_folder(), QUIET)
    command.add_argument("--map", metavar="KIND", help="pca, tsne or umap (default: as last time, initially pca)")
    command.add_argument("--truth", metavar="CSV", help=TRUTH_HELP)
    command.add_argument("--sheets", action="store_true", help="also write contact sheets, clusters/NN.jpg")


def run(options: Options) -> None:
    """Write the report of a run, print where."""
    from imgcluster.report import write_report, write_sheets

    show = not options.quiet
    written = [write_report(options.run, map=options.map, truth=options.truth, show=show)]
    if options.sheets:
        written.append(write_sheets(options.run, show=show))
    print("\n".join(f"written   {path}" for path in written))
