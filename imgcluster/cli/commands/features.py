"""The command of an older tool: a folder of images into one file of vectors, by the flags that it had."""

from __future__ import annotations

from pathlib import Path

from imgcluster.config import config_from_dict
from imgcluster.errors import ConfigError, ImageError
from imgcluster.features import Features, extract_features
from imgcluster.images import is_held, list_images
from imgcluster.runs import FeatureTable, check_out, path_text, write_features
from imgcluster.utils import shown

SUFFIXES = frozenset((".jpg", ".jpeg", ".bmp", ".png"))
PREPROCESS = "squash"  # each picture to the network's square, out of shape


def compute_features(
    data_dir: str, model: str, checkpoint_file: str | None, out: Path, *, show: bool = True
) -> Features:
    """Write the features of all images below a folder; in a .pkl as `{path: vector}`, or as the ending of `out` says.

    Never those of another network: there is no fallback. Images that cannot be read are left out, and are the failures
    of what is returned. A file that is there is replaced. Raises ImgclusterError.
    """
    format = format_of(out)
    check_out(format, out, force=True)
    config = config_from_dict(
        {
            "images": {"folder": data_dir},
            "features": {
                "backbone": model,
                "weights": checkpoint_file or "imagenet",
                "preprocess": PREPROCESS,
                "fallback": None,
            },
            "clusters": {"n_clusters": 1},
            "outputs": {"folder": str(out.parent)},
        }
    )
    if is_held(data_dir):
        raise ConfigError(f"{shown(data_dir)!r} is no folder of this machine; use `run` and `export` for it")
    images = [image for image in list_images(config.images)[0] if Path(str(image.path)).suffix.lower() in SUFFIXES]
    features = extract_features(images, config.features, show=show)
    if not features.images:
        raise ImageError(f"no image below {data_dir!r} can be read (looked for {', '.join(sorted(SUFFIXES))})")
    table = FeatureTable(features.ids, [path_text(image) for image in features.images], features.vectors)
    write_features(table, format, out, force=True)
    return features


def format_of(out: Path) -> str:
    """Return the format that a file's ending asks for."""
    return out.suffix.removeprefix(".")
