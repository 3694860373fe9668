"""`show`: a run at a glance."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from imgcluster.cli.options import JSON, RUN_ARGUMENT, Commands, Options, add_command
from imgcluster.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path


def add(commands: Commands) -> None:
    """Add the command."""
    help = "show a run's clusters: sizes, names and typical images"
    command = add_command(commands, "show", run, help, RUN_ARGUMENT, JSON)
    command.add_argument("--open", action="store_true", help="open the run's report in the browser")
    command.add_argument("--typical", type=int, default=3, metavar="N", help="ids shown per cluster (default: 3)")


def run(options: Options) -> None:
    """Print the overview of a run, or open its report."""
    from imgcluster.cli.format.overview import overview_lines
    from imgcluster.runs import report_page, run_overview
    from imgcluster.utils import BLOCK, ELLIPSIS, can_show

    found = run_overview(options.run, typical=options.typical)
    page = report_page(options.run) if options.open else None
    if options.json:
        print(json.dumps(asdict(found), indent=2))
    else:
        ascii = not can_show(sys.stdout.encoding, BLOCK + ELLIPSIS)
        print("\n".join(overview_lines(found, shutil.get_terminal_size().columns, ascii=ascii)))
    if page is not None:
        _open(page)


def _open(page: Path) -> None:
    import webbrowser

    if not webbrowser.open(page.resolve().as_uri()):
        raise OutputError(f"no browser can be started here; open {str(page.resolve())!r} yourself")
