"""A first config for a folder of images, with comments that say what was found there."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from imgcluster.cli.init.default import default_keys
from imgcluster.cli.init.look import Look, look_at
from imgcluster.cli.init.plan import Plan, plan_for, why_not_by_image
from imgcluster.config import ImagesConfig, config_from_dict, parse_yaml
from imgcluster.errors import ConfigError, ImageError
from imgcluster.images import VideoFrame, list_images, read_image
from imgcluster.runs import check_outputs
from imgcluster.types import ImageFile, ImagePath
from imgcluster.utils import printable, shell_line, write_whole

MAX_HEADERS_READ = 200  # images whose sizes are looked up
BACKBONE = """\
features:
  backbone: vgg16  # `imgcluster models` lists the others; efficientnet_lite0 is the fast one
  fallback: efficientnet_lite0  # used, with a warning, if the weights are not available; null: stop instead"""
BACKBONES_OF_A_FOLDER = """\
features:
  backbone: [{names}]  # [efficientnet_lite0, hog]: a third of the time"""
CLUSTERS = """\
  views: whole  # centre crop + entire image; center takes half the time
clusters:
  method: auto  # a good default for many kinds of images; or kmeans, hdbscan, ...
  n_clusters: {n_clusters}  # a number; auto: chosen, and the summary says why
  numbering: size  # 0 is the largest
outputs:
  folder: {folder}"""


def write_first_config(
    folder: Path, ids: Path | None, out: Path, *, label_column: str | None = None, force: bool = False
) -> list[str]:
    """Look at a folder of images, and at a CSV of ids if there is one, and write a commented config for them.

    Returns the lines to print. The images have been listed, and the config loaded, before it is written.
    label_column: the template's column of labels, where it is ambiguous.
    Raises ConfigError: `out` exists without `force`, no such column, ids without files, a template that clusters
    cannot fill.
    """
    if out.exists() and not force:
        raise ConfigError(f"{str(out)!r} exists; overwrite it with --force")
    found = _look(folder, ids)
    plan = Plan() if found.template is None else plan_for(found.template, label_column)
    size = _size_text(found.images)
    lines = [
        f"# python -m imgcluster run {shell_line(str(out))}",
        f"# {size}",
        *_image_lines(found, folder, ids),
        _backbones_of_a_folder() if found.template is None else BACKBONE,
        CLUSTERS.format(n_clusters=plan.n_clusters, folder=_quoted(Path("outputs") / out.stem)),
        *_submission_lines(found, plan),
    ]
    text = "\n".join([*lines, ""])
    config = config_from_dict(parse_yaml(text).value)
    if not plan.to_do:
        check_outputs(found.template, config)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, text.encode())
    then = f"{plan.to_do}, then " if plan.to_do else ""
    return [
        size,
        *(f"labels    {printable(line)}" for line in plan.found),
        *(f"note: {printable(note)}" for note in found.notes),
        f"written   {printable(str(out))}",
        f"next      {then}python -m imgcluster run {shell_line(str(out))}",
    ]


def _look(folder: Path, ids: Path | None) -> Look:
    """Look at the images and the CSV; a CSV with several rows per image is refused with that reason."""
    try:
        found = look_at(folder, ids)
    except (ConfigError, ImageError):
        if ids is not None and (reason := _why_not_by_image(ids, folder)):
            raise ConfigError(reason) from None
        raise
    if found.lost and ids is not None and (reason := why_not_by_image(ids, [image.path for image in found.images])):
        raise ConfigError(reason)
    return found


def _why_not_by_image(ids: Path, folder: Path) -> str | None:
    try:
        images, _ = list_images(ImagesConfig(folder=str(folder)))
    except (ConfigError, ImageError):
        return None
    return why_not_by_image(ids, [image.path for image in images])


def _size_text(images: Sequence[ImageFile]) -> str:
    some = [image.path for image in images[:: max(1, len(images) // MAX_HEADERS_READ)]]
    one_each = {path.video if isinstance(path, VideoFrame) else path: path for path in some}
    sizes = [size for path in one_each.values() if (size := _size(path)) is not None] or [(0, 0)]
    widths, heights = zip(*sizes, strict=True)
    return f"images    {len(images):,}: from {min(widths)} x {min(heights)} to {max(widths)} x {max(heights)} pixels"


def _size(path: ImagePath) -> tuple[int, int] | None:
    try:
        if isinstance(path, VideoFrame):
            height, width = read_image(path).shape[:2]
            return width, height
        with Image.open(Path(str(path))) as picture:
            return picture.size
    except Exception:  # a damaged header makes Pillow raise anything; the run will report it
        return None


def _image_lines(found: Look, folder: Path, ids: Path | None) -> Iterator[str]:
    yield "images:"
    yield f"  folder: {_quoted(folder)}"
    if found.video is not None:
        videos = len({image.path.video for image in found.images if isinstance(image.path, VideoFrame)})
        where = f"{videos:,} video{'s' * (videos != 1)}"
        others = "{frames: 20}: 20 per video; {shots: true}: one per shot; null: none"
        yield f"  video: {found.video}  # one frame per second of {where}; {others}"
    if found.template is None or ids is None:
        return
    template = found.template
    columns = ", ".join(template.columns)
    yield f"  ids: {_quoted(ids)}  # {len(template.ids):,} rows, columns {printable(columns)}"
    if template.id_column.strip():
        yield f"  id_column: {_quoted(template.id_column)}"
    yield f"  file: {_quoted(found.file)}"
    if found.lost:
        yield f"  missing: skip  # {found.lost:,} ids have no file; stop: refuse them"


def _backbones_of_a_folder() -> str:
    return BACKBONES_OF_A_FOLDER.format(names=", ".join(default_keys()["features"]["backbone"]))


def _submission_lines(found: Look, plan: Plan) -> Iterator[str]:
    if found.template is None:
        yield "  submission: null  # no CSV asks for one"
        return
    yield from (f"  # {printable(line)}" for line in plan.found)
    yield from (f"  {key}: {_quoted(value) if isinstance(value, str) else value}" for key, value in plan.keys.items())
    yield from (f"  # {printable(line)}" for line in plan.ways)


def _quoted(value: Any) -> str:
    """Write text, or a list of texts, as YAML that cannot be read as anything else."""
    value = value if isinstance(value, list) else str(value)
    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable():
        return text
    import yaml  # for what JSON leaves unescaped, such as U+0085, which breaks a line in YAML

    return yaml.safe_dump(value, default_style='"', default_flow_style=True, width=math.inf).rstrip()
