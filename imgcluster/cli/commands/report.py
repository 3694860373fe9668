"""The command that makes a run's report anew."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from imgcluster.cli.options import add_command, add_images_folder, add_run

if TYPE_CHECKING:
    from imgcluster.cli.options import Commands


def add_report_commands(commands: Commands) -> None:
    """Add it to the others."""
    report = add_command(commands, "report", _report, "make the report of a run anew")
    add_run(report)
    add_images_folder(report)
    report.add_argument("--map", metavar="KIND", help="pca, tsne or umap; as the last time, at first pca")
    report.add_argument(
        "--truth", metavar="CSV", help="known labels, a CSV or a folder for each, for scores and the confusion matrix"
    )
    report.add_argument("--sheets", action="store_true", help="also a contact sheet of each cluster: clusters/NN.jpg")
    report.add_argument("--quiet", action="store_true", help="no progress; warnings and the summary stay")


def _report(options: argparse.Namespace) -> None:
    from imgcluster.report import write_report, write_sheets

    show = not options.quiet
    written = [write_report(options.run, map=options.map, truth=options.truth, show=show)]
    if options.sheets:
        written.append(write_sheets(options.run, show=show))
    print("\n".join(f"written   {path}" for path in written))
