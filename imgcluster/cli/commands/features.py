"""`features`: a folder of images into one file of vectors, with the options of an older tool, compute_features.py."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from imgcluster.cli.options import QUIET, Commands, Options, add_command
from imgcluster.errors import ConfigError, ImageError

if TYPE_CHECKING:
    from imgcluster.features import Features

SUFFIXES = frozenset((".jpg", ".jpeg", ".bmp", ".png"))
PREPROCESS = "squash"  # each image to the network's square, whatever its shape

OUT_HELP = "the file; its extension is the format (default: features.pkl)"


def add(commands: Commands) -> None:
    """Add the command."""
    help = "write the features of a folder to one file, with the options of compute_features.py"
    command = add_command(commands, "features", run, help, QUIET, resumable=True)
    command.add_argument("--data_dir", required=True, metavar="DIR", help="folder of jpg, jpeg, bmp and png files")
    command.add_argument("--model", required=True, metavar="NAME", help="a backbone, by its own or its older name")
    command.add_argument("--checkpoint_file", metavar="FILE", help="a state dict: .pth, .pt or .safetensors")
    command.add_argument("--out", default="features.pkl", metavar="OUT", help=OUT_HELP)
    command.add_argument("--force", action="store_true", help="overwrite the file")


def run(options: Options) -> None:
    """Write the features of a folder, print how they were made and how to read them."""
    from imgcluster.cli.format.run import summarize_features
    from imgcluster.runs import check_out, loader

    out = Path(options.out)
    check_out(_format_of(out), out, options.force)
    features = compute_features(options.data_dir, options.model, options.checkpoint_file, out, show=not options.quiet)
    print(*summarize_features(features), f"written   {out}; in Python:", loader(_format_of(out), out), sep="\n")


def compute_features(
    data_dir: str, model: str, checkpoint_file: str | None, out: Path, *, show: bool = True
) -> Features:
    """Write the features of all images below a folder; in a .pkl as `{path: vector}`, or as the suffix of `out` says.

    There is no fallback to another network. Images that cannot be read are left out, and are the failures of the
    result. An existing file is replaced. Raises ImgclusterError.
    """
    from imgcluster.config import config_from_dict
    from imgcluster.features import extract_features
    from imgcluster.images import is_held, list_images
    from imgcluster.runs import FeatureTable, check_out, path_text, write_features
    from imgcluster.utils import shown

    check_out(_format_of(out), out, force=True)
    weights = checkpoint_file or "imagenet"
    config = config_from_dict(
        {
            "images": {"folder": data_dir},
            "features": {"backbone": model, "weights": weights, "preprocess": PREPROCESS, "fallback": None},
            "clusters": {"n_clusters": 1},
            "outputs": {"folder": str(out.parent)},
        }
    )
    if is_held(data_dir):
        raise ConfigError(f"{shown(data_dir)!r} is not a folder of this machine; use `run` and `export` for it")
    images = [image for image in list_images(config.images)[0] if Path(str(image.path)).suffix.lower() in SUFFIXES]
    features = extract_features(images, config.features, show=show)
    if not features.images:
        raise ImageError(f"no image below {data_dir!r} can be read (looked for {', '.join(sorted(SUFFIXES))})")
    table = FeatureTable(features.ids, [path_text(image) for image in features.images], features.vectors)
    write_features(table, _format_of(out), out, force=True)
    return features


def _format_of(out: Path) -> str:
    return out.suffix.removeprefix(".")
