"""`export`: the features of a run as one file."""

from __future__ import annotations

from pathlib import Path

from imgcluster.cli.options import RUN_ARGUMENT, Commands, Options, add_command, images_folder


def add(commands: Commands) -> None:
    """Add the command."""
    help = "write the features of a run to one file"
    command = add_command(commands, "export", run, help, RUN_ARGUMENT, images_folder())
    command.add_argument("out", metavar="OUT", help="the file, with the extension of its format")
    command.add_argument("--format", required=True, metavar="F", help="npz, npy, parquet, csv, safetensors or pkl")
    command.add_argument("--force", action="store_true", help="overwrite the file")


def run(options: Options) -> None:
    """Export the features of a run, print how to read them."""
    from imgcluster.runs import export_features, loader

    out = Path(options.out)
    table = export_features(Path(options.run), options.format, out, force=options.force)
    print(f"{len(table.ids):,} rows of {table.vectors.shape[1]:,} numbers in {out}; in Python:")
    print(loader(options.format, out))
