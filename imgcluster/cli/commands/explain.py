"""`explain`: what in images puts them into their clusters."""

from __future__ import annotations

from imgcluster.cli.options import (
    IMAGES_FOLDER,
    QUIET,
    RUN_ARGUMENT,
    Commands,
    Options,
    add_command,
    images_folder,
    split_list,
)
from imgcluster.config import RunFiles

KINDS_HELP = "cluster, activations, gradcam or filters (default: cluster)"
CLASS_HELP = "class of gradcam, or its index (default: the most likely)"


def add(commands: Commands) -> None:
    """Add the command."""
    help = "show as heat maps what puts images into their clusters"
    command = add_command(commands, "explain", run, help, RUN_ARGUMENT, images_folder(IMAGES_FOLDER), QUIET)
    which = command.add_mutually_exclusive_group()
    which.add_argument("--images", metavar="ID,ID", help="ids (default: a typical and a borderline image per cluster)")
    which.add_argument("--cluster", type=int, metavar="N", help="its four most typical and four borderline images")
    command.add_argument("--kinds", default="cluster", metavar="K,L", help=KINDS_HELP)
    command.add_argument("--layers", default="", metavar="A,B", help="layers of activations and filters")
    command.add_argument("--class", dest="label", metavar="NAME", help=CLASS_HELP)


def run(options: Options) -> None:
    """Explain images of a run, print what was written."""
    from imgcluster.cli.format.run import explained_lines
    from imgcluster.explain import explain_run
    from imgcluster.report import write_report

    done = explain_run(
        options.run,
        images=options.images or (),
        cluster=options.cluster,
        kinds=split_list(options.kinds),
        layers=split_list(options.layers),
        label=options.label,
        show=not options.quiet,
    )
    print(*explained_lines(done), sep="\n")
    if (done.folder / RunFiles.REPORT_RECORD).is_file():
        print(f"written   {write_report(options.run, show=False)}")
