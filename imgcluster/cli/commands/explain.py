"""The command that shows why a run's images are where they are: explain."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from imgcluster.cli.options import add_command, add_images_folder, add_run
from imgcluster.config import RunFiles
from imgcluster.runs import OPTION

if TYPE_CHECKING:
    from imgcluster.cli.options import Commands

RANDOM = "RANDOM    the weights are random: the network has learnt nothing, and these pictures tell nothing"


def add_explain_commands(commands: Commands) -> None:
    """Add it to the others."""
    explain = add_command(commands, "explain", _explain, "show what in images puts them into their clusters")
    add_run(explain)
    add_images_folder(explain, OPTION)  # its --images are ids
    which = explain.add_mutually_exclusive_group()
    which.add_argument("--images", metavar="ID,ID", help="these; otherwise two of each cluster: typical, borderline")
    which.add_argument("--cluster", type=int, metavar="N", help="its four most typical and four most borderline images")
    explain.add_argument(
        "--kinds", default="cluster", metavar="K,L", help="cluster (the default), activations, gradcam, filters"
    )
    explain.add_argument("--layers", default="", metavar="A,B", help="of activations and filters; early to late")
    explain.add_argument(
        "--class", dest="label", metavar="NAME", help="of gradcam, or its index; otherwise the most likely one"
    )
    explain.add_argument("--quiet", action="store_true", help="no progress; warnings and the summary stay")


def _explain(options: argparse.Namespace) -> None:
    from imgcluster.explain import explain_run
    from imgcluster.report import write_report

    done = explain_run(
        options.run,
        images=options.images or (),
        cluster=options.cluster,
        kinds=_listed(options.kinds),
        layers=_listed(options.layers),
        label=options.label,
        show=not options.quiet,
    )
    images = len({picture.row for picture in done.pictures if picture.row is not None})
    what = f"{images:,} image{'' if images == 1 else 's'}" if images else "filters"
    print(f"explained {what} by {len(done.pictures):,} picture{'' if len(done.pictures) == 1 else 's'}")
    print("\n".join(f"seen by   {network}" for network in done.networks))
    if done.is_random:
        print(RANDOM)
    print(f"written   {done.folder / 'explain'}")
    if (done.folder / RunFiles.REPORT_RECORD).is_file():
        print(f"written   {write_report(options.run, show=False)}")


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
