"""`distance`: how different images look to a network."""

from __future__ import annotations

from imgcluster.cli.options import Commands, Options, add_command, split_list
from imgcluster.errors import ConfigError


def add(commands: Commands) -> None:
    """Add the command."""
    help = "perceptual distance between images"
    command = add_command(commands, "distance", run, help)
    command.add_argument("first", metavar="A", help="an image, a frame of a video (CLIP#t=1.5), or a folder of images")
    command.add_argument("second", metavar="B", help="another; in folders, images of the same name are compared")
    command.add_argument("--backbone", default="vgg16", metavar="NAME", help="default: vgg16")
    command.add_argument("--layers", metavar="L=W,...", help="layers, each with its weight (default: 1)")
    command.add_argument("--distance", default="l2", metavar="D", help="l2, l1 or gram (default: l2)")
    command.add_argument(
        "--weights", default="imagenet", metavar="W", help="imagenet, random or a file (default: imagenet)"
    )


def run(options: Options) -> None:
    """Compare images, print a distance for each pair, their mean, and what is near and far."""
    layers = None if options.layers is None else _weighted(options.layers)
    from imgcluster.backbones import distances_and_scale
    from imgcluster.cli.format.backbones import distance_lines

    by = (options.backbone, layers, options.distance, options.weights)
    print(*distance_lines(*distances_and_scale(options.first, options.second, by)), sep="\n")


def _weighted(text: str) -> dict[str, float]:
    """Read `relu1_2=1,relu3_3=0.5`."""
    parts = [part.partition("=") for part in split_list(text)]
    try:
        return {name: float(weight or 1) for name, _, weight in parts}
    except ValueError:
        allowed = "layers such as relu1_2, or with weights relu1_2=0.5"
        raise ConfigError(f"--layers: {text!r}; allowed: {allowed}") from None
