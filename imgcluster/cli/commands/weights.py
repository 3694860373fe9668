"""`weights`: list, download and check pretrained weights, and carry them to machines without the internet."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from imgcluster.cli.options import JSON, QUIET, Commands, Options, add_command, argument
from imgcluster.errors import ConfigError

NAMES_HELP = "networks, such as convnext_small or timm:vit_small_patch14_dinov2.lvd142m"


def add(commands: Commands) -> None:
    """Add the command and its four actions."""
    help = "list, download, pack and place pretrained weights"
    command = commands.add_parser("weights", help=help, description=help)
    actions = command.add_subparsers(title="actions", required=True, metavar="ACTION")
    pattern = argument("pattern", metavar="PATTERN", nargs="?", default="", help="part of a name, e.g. timm:vit_")
    check = argument("--check", action="store_true", help="check the files that were not checked yet")
    add_command(actions, "list", run_list, "list the weights on this machine, and where they are", pattern, check, JSON)
    names = argument("names", metavar="NAME", nargs="+", help=NAMES_HELP)
    add_command(actions, "get", run_get, "download weights, and check them", names, QUIET, resumable=True)
    out = argument("out", metavar="FILE", help="the archive to write, a .zip")
    some = argument("names", metavar="NAME", nargs="*", help=f"{NAMES_HELP} (default: all on this machine)")
    force = argument("--force", action="store_true", help="overwrite the archive")
    add_command(actions, "pack", run_pack, "write weights into one archive", out, some, force, QUIET)
    file = argument("file", metavar="FILE", help="an archive that `weights pack` wrote")
    add_command(actions, "use", run_use, "place the weights of an archive on this machine", file, QUIET)


def run_list(options: Options) -> None:
    """Print the weights whose backbones match."""
    from imgcluster.backbones import list_weights
    from imgcluster.cli.format.backbones import weights_table

    rows = list_weights(options.pattern, check=options.check)
    if not rows:
        raise ConfigError(f"no backbone is called {options.pattern!r}; list all: imgcluster models")
    if options.json:
        print(json.dumps([{**asdict(row), "path": row.path and str(row.path)} for row in rows], indent=2))
    else:
        print(weights_table(rows))


def run_get(options: Options) -> None:
    """Download the weights of networks, print where they are."""
    from imgcluster.backbones import get_weights
    from imgcluster.cli.format.backbones import weights_table

    print(weights_table([get_weights(name, show=not options.quiet) for name in options.names]))


def run_pack(options: Options) -> None:
    """Write an archive of weights, print what it holds."""
    from imgcluster.backbones import pack_weights

    packed = pack_weights(Path(options.out), options.names, force=options.force, show=not options.quiet)
    for each in packed:
        print(f"packed    {each.name}: {each.bytes / 2**20:.0f} MB, {each.licence}, sha256 {each.sha256}")
    print(f"written   {options.out}; on the other machine: imgcluster weights use {Path(options.out).name}")


def run_use(options: Options) -> None:
    """Place the weights of an archive, print where they are."""
    from imgcluster.backbones import use_weights

    for each in use_weights(Path(options.file), show=not options.quiet):
        print(f"{'placed' if each.is_new else 'there':<9} {each.name}: {each.path}")
