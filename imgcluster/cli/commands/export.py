"""`export`: the features of a run as one file."""

from __future__ import annotations

from pathlib import Path

from imgcluster.cli.options import Commands, Options, add_command, add_images_folder, add_run


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "export", run, "write the features of a run to one file")
    add_run(command)
    add_images_folder(command)
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
