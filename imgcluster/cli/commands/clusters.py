"""The commands around clustering: sweep, compare, stability, assign, init."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgcluster.cli.corrections import IMAGES
from imgcluster.cli.options import (
    add_command,
    add_config_command,
    add_images_folder,
    add_run,
    free_table,
    load_options,
    write_table,
)
from imgcluster.errors import ConfigError

if TYPE_CHECKING:
    from imgcluster.cli.options import Commands

LIST: dict[str, Any] = {"action": "append", "default": []}  # an option that may be repeated


def add_commands(commands: Commands) -> None:
    """Add them to the others."""
    _add_sweep(commands)
    _add_compare(commands)
    _add_stability(commands)
    _add_init(commands)
    _add_assign(commands)


def _add_sweep(commands: Commands) -> None:
    sweep = add_config_command(commands, "sweep", _sweep, "try numbers of clusters, and say which suits")
    sweep.add_argument("--k", default="2..20", metavar="A..B", help="the numbers to try; 2..20")
    sweep.add_argument("--out", metavar="DIR", help="folder of the table and the chart; sweep in the run folder")


def _add_compare(commands: Commands) -> None:
    compare = add_config_command(commands, "compare", _compare, "cluster in many ways, and put the best first")
    compare.add_argument("--backbones", **LIST, metavar="A,B", help="backbones; otherwise the config's")
    compare.add_argument("--layers", **LIST, metavar="X,Y", help="layers; default: each backbone's own")
    compare.add_argument("--methods", **LIST, metavar="M,N", help="methods; otherwise the config's")
    compare.add_argument("--transform", **LIST, metavar="STEPS", help="such as '[l2, {pca: 64}]'")
    compare.add_argument("--k", **LIST, metavar="K", help="numbers of clusters: 5,8 or 2..10")
    compare.add_argument(
        "--truth", metavar="CSV", help="labels known, a CSV or a folder for each; otherwise by silhouette and agreement"
    )
    compare.add_argument(
        "--out", metavar="DIR", help="folder of the table and the configs of its rows; compare in the run folder"
    )
    compare.add_argument("--force", action="store_true", help="begin the table anew instead of adding rows to it")


def _add_stability(commands: Commands) -> None:
    stability = add_command(commands, "stability", _stability, "reseed and resample a run: which images change sides")
    add_run(stability)
    add_images_folder(stability)
    stability.add_argument("--trials", type=int, default=20, metavar="N", help="how often; 20")
    stability.add_argument("--out", metavar="CSV", help="the table; stability.csv in the run folder")
    stability.add_argument("--quiet", action="store_true", help="no progress; warnings and the summary stay")


def _add_init(commands: Commands) -> None:
    init = add_command(commands, "init", _init, "look at a folder of images and write a config for it")
    init.add_argument("folder", metavar="FOLDER", help="a folder of images")
    init.add_argument("--ids", metavar="CSV", help="a sample submission, or any CSV of ids")
    init.add_argument("--label-column", metavar="NAME", help="its column of labels, where that is not clear")
    init.add_argument("--out", metavar="CONFIG", help="the config; FOLDER's name with .yaml")
    init.add_argument("--force", action="store_true", help="overwrite the config")
    init.set_defaults(takes=("folder", IMAGES))


def _add_assign(commands: Commands) -> None:
    assign = add_command(commands, "assign", _assign, "place new images into the clusters of a run")
    add_run(assign)
    assign.add_argument(
        "images",
        metavar="IMAGES",
        help="a folder of images, or one image; a URL, a tar, a zip or a Parquet file of them",
    )
    assign.add_argument("--out", required=True, metavar="CSV", help="the table to write")
    assign.add_argument("--force", action="store_true", help="overwrite the table")
    assign.add_argument("--quiet", action="store_true", help="no progress; warnings and the summary stay")


def _sweep(options: argparse.Namespace) -> None:
    config = load_options(options)
    if options.k.isdecimal():
        told = shlex.join(["imgcluster", "run", options.config, "--set", f"clusters.n_clusters={options.k}"])
        raise ConfigError(f"--k takes a range from 2 up, such as 2..20; for {options.k} clusters: {told}")
    ks = _range(options.k, "--k")
    from imgcluster.cli.format import sweep_lines
    from imgcluster.evaluation import draw_sweep
    from imgcluster.pipeline import sweep_clusters

    found = sweep_clusters(config, ks, show=not options.quiet)
    out = Path(options.out or Path(config.outputs.folder) / "sweep")
    out.mkdir(parents=True, exist_ok=True)
    write_table(out / "sweep.csv", found.table())
    written = [out / "sweep.csv", *draw_sweep(found, out)]
    print("\n".join([*sweep_lines(found), *(f"written   {path}" for path in written)]))


def _range(text: str, option: str) -> range:
    from imgcluster.config import parse_range

    try:
        return parse_range(text)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from None


def _compare(options: argparse.Namespace) -> None:
    config = load_options(options)
    from imgcluster.config import parse_yaml
    from imgcluster.evaluation import BEST, TABLE, Grid, compare

    grid = Grid(
        backbones=_listed(options.backbones),
        layers=_listed(options.layers),
        transforms=[parse_yaml(text).value for text in options.transform],
        methods=_listed(options.methods),
        ks=[k for text in options.k for k in _numbers(text)],
    )
    out = Path(options.out or Path(config.outputs.folder) / "compare")
    truth = Path(options.truth) if options.truth else None
    found = compare(config, grid, truth=truth, out=out, force=options.force, show=not options.quiet)
    print(found.table().to_string(index=False, na_rep=""))
    print("\n".join([*(f"note: {note}" for note in found.notes), f"written   {out / TABLE}"]))
    print(f"the best  python -m imgcluster run {out / BEST}")
    print(f"any row   python -m imgcluster run {out}/CONFIG, where CONFIG is its last column")


def _listed(texts: list[str]) -> list[str]:
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


def _numbers(text: str) -> list[int]:
    if ".." in text:
        return list(_range(text, "--k"))
    try:
        return [int(number) for number in _listed([text])]
    except ValueError:
        raise ConfigError(f"--k: {text!r}; allowed: numbers such as 5,8, or a range such as 2..10") from None


def _stability(options: argparse.Namespace) -> None:
    from imgcluster.cli.format import stability_lines
    from imgcluster.evaluation import stability

    found = stability(options.run, trials=options.trials, show=not options.quiet)
    out = Path(options.out or Path(options.run) / "stability.csv")
    write_table(out, found.table())
    print("\n".join([*stability_lines(found), f"written   {out}"]))


def _init(options: argparse.Namespace) -> None:
    from imgcluster.cli.commands.init import start
    from imgcluster.images import is_held
    from imgcluster.utils import shown

    if is_held(options.folder):
        raise ConfigError(f"{shown(options.folder)!r} is no folder of this machine: write its config by hand")
    folder = Path(options.folder)
    out = Path(options.out or f"{folder.resolve().name}.yaml")
    ids = Path(options.ids) if options.ids else None
    print("\n".join(start(folder, ids, out, label_column=options.label_column, force=options.force)))


def _assign(options: argparse.Namespace) -> None:
    out = free_table(options)
    from imgcluster.cli.format import summarize_assigned
    from imgcluster.labels import assign

    found = assign(options.run, options.images, show=not options.quiet)
    write_table(out, found.table())
    print("\n".join([*summarize_assigned(found), f"written   {out}"]))
