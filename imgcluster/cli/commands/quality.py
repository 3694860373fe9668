"""`quality`: images that are dark, blurred, of an odd size, ..., by their measures."""

from __future__ import annotations

from imgcluster.cli.options import (
    JSON,
    QUIET,
    RUN_ARGUMENT,
    Commands,
    Options,
    add_command,
    free_table,
    images_folder,
    split_list,
    write_table,
)
from imgcluster.errors import ConfigError

WORST_HELP = "images of each kind (default: 20, or all that are beyond its bound)"


def add(commands: Commands) -> None:
    """Add the command."""
    help = "list the dark, blurred, odd, ... images of a run, worst first"
    command = add_command(commands, "quality", run, help, RUN_ARGUMENT, images_folder(), JSON, QUIET, resumable=True)
    command.add_argument("--worst", type=int, metavar="N", help=WORST_HELP)
    command.add_argument("--by", default="", metavar="KIND,...", help="kinds, such as dark,blurred (default: all)")
    for name in ("below", "above"):
        command.add_argument(
            f"--{name}",
            action="append",
            default=[],
            metavar="MEASURE:X",
            help=f"list only images {name} a bound, such as sharpness:0.2",
        )
    command.add_argument("--csv", metavar="FILE", help="write the measures of all images, and their quantiles")
    command.add_argument("--force", action="store_true", help="overwrite FILE")


def run(options: Options) -> None:
    """Print the worst images of each kind, and write the table."""
    below, above = (_bounds(name, getattr(options, name)) for name in ("below", "above"))
    if options.worst is not None and options.worst < 1:
        raise ConfigError(f"--worst: {options.worst}; allowed: 1 or more")
    out = free_table(options, "csv") if options.csv else None
    from imgcluster.cli.format.quality import quality_json, quality_lines
    from imgcluster.curation import chosen_kinds, quality_of_run

    kinds = chosen_kinds(split_list(options.by), {**below, **above})
    found = quality_of_run(options.run, below=below, above=above, show=not options.quiet)
    if out is not None:
        write_table(out, found.table())
    if options.json:
        print(quality_json(found, kinds, options.worst))
        return
    written = [] if out is None else [f"written   {out}"]
    print("\n".join([*quality_lines(found, kinds, options.worst), *written]))


def _bounds(name: str, given: list[str]) -> dict[str, float]:
    """Read `sharpness:0.2`, several times or with commas."""
    parts = [part.partition(":") for text in given for part in split_list(text)]
    try:
        return {measure: float(bound) for measure, _, bound in parts}
    except ValueError:
        raise ConfigError(f"--{name}: {', '.join(given)!r}; allowed: a measure and a number: sharpness:0.2") from None
