"""A first config for a folder of images: what is there is looked at, and written down with comments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from imgcluster.cli.init.look import look_at
from imgcluster.cli.init.plan import Plan, plan_for, why_not_by_image
from imgcluster.config import ImagesConfig, config_from_dict, parse_yaml
from imgcluster.errors import ConfigError, ImageError
from imgcluster.images import list_images
from imgcluster.runs import check_outputs
from imgcluster.types import ImageFile, Template
from imgcluster.utils import write_whole

LOOKED_AT = 200  # images whose headers are read


@dataclass(frozen=True)
class Found:
    """What there is: images, `lost` of them without a file, how they are named, their sizes, and the CSV."""

    images: list[ImageFile]
    template: Template | None
    file: str | list[str] | None
    sizes: list[tuple[int, int]]
    plan: Plan
    notes: list[str]
    lost: int = 0


def start(
    folder: Path, ids: Path | None, out: Path, *, label_column: str | None = None, force: bool = False
) -> list[str]:
    """Look at a folder of images, and a CSV of ids where there is one, and write a commented config for them.

    Returns what was found, line by line. The images have been listed, and the config loaded, before it is written.
    label_column: the template's column of labels, where it cannot be told.
    Raises ConfigError: `out` exists and no `force`, no such column, ids without files, a template that clusters cannot
    fill.
    """
    if out.exists() and not force:
        raise ConfigError(f"{str(out)!r} exists; overwrite it with --force")
    try:
        found = _look(folder, ids, label_column)
    except (ConfigError, ImageError):
        if ids is not None and (reason := _why_not_by_image(ids, folder)):
            raise ConfigError(reason) from None
        raise
    if found.lost and ids is not None and (reason := why_not_by_image(ids, [image.path for image in found.images])):
        raise ConfigError(reason)
    text = _config_text(found, folder, ids, out)
    config = config_from_dict(parse_yaml(text).value)
    if not found.plan.to_do:
        check_outputs(found.template, config)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, text.encode())
    then = f"{found.plan.to_do}, then " if found.plan.to_do else ""
    return [
        f"{_words(found)}",
        *(f"labels    {line}" for line in found.plan.found),
        *(f"note: {note}" for note in found.notes),
        f"written   {out}",
        f"next      {then}python -m imgcluster run {out}",
    ]


def _why_not_by_image(ids: Path, folder: Path) -> str | None:
    try:
        images, _ = list_images(ImagesConfig(folder=str(folder)))
    except (ConfigError, ImageError):
        return None
    return why_not_by_image(ids, [image.path for image in images])


def _look(folder: Path, ids: Path | None, label_column: str | None) -> Found:
    known = look_at(folder, ids)
    plan = Plan() if known.template is None else plan_for(known.template, label_column)
    return Found(known.images, known.template, known.file, _sizes(known.images), plan, known.notes, known.lost)


def _sizes(images: Sequence[ImageFile]) -> list[tuple[int, int]]:
    step = max(1, len(images) // LOOKED_AT)
    return [size for image in images[::step] if (size := _size(Path(str(image.path)))) is not None]


def _size(path: Path) -> tuple[int, int] | None:
    try:
        with Image.open(path) as picture:
            return picture.size
    except Exception:  # whatever a damaged header makes Pillow raise; the run will tell
        return None


def _words(found: Found) -> str:
    widths, heights = zip(*found.sizes, strict=True) if found.sizes else ((0,), (0,))
    return (
        f"images    {len(found.images):,}: from {min(widths)} x {min(heights)} to {max(widths)} x {max(heights)} pixels"
    )


def _config_text(found: Found, folder: Path, ids: Path | None, out: Path) -> str:
    template = found.template
    lines = [
        f"# python -m imgcluster run {out}",
        f"# {_words(found)}",
        "images:",
        f"  folder: {_text(folder)}",
    ]
    if template is not None and ids is not None:
        columns = ", ".join(map(str, template.frame.columns))
        lines += [
            f"  ids: {_text(ids)}  # {len(template.ids):,} rows, columns {columns}",
            *([f"  id_column: {_text(template.id_column)}"] if template.id_column.strip() else []),
            f"  file: {_text(found.file)}",
            *([f"  missing: skip  # {found.lost:,} ids have no file; stop: refuse them"] if found.lost else []),
        ]
    lines += [
        "features:",
        "  backbone: vgg16  # `imgcluster models` lists the others; efficientnet_lite0 is the quick one",
        "  fallback: efficientnet_lite0  # used, loudly, where the weights cannot be had; null: stop instead",
        "  views: whole  # the middle and the whole picture; center is twice as quick",
        "clusters:",
        "  method: auto  # the best over many kinds of images; kmeans, hdbscan, ...: others",
        f"  n_clusters: {found.plan.n_clusters}  # a number; auto: chosen, and the summary says why",
        "  numbering: size  # 0 is the largest",
        "outputs:",
        f"  folder: {_text(Path('outputs') / out.stem)}",
    ]
    if template is None:
        return "\n".join([*lines, "  submission: null  # no CSV asks for one", ""])
    lines += [f"  # {line}" for line in found.plan.found]
    lines += [f"  {key}: {_text(value) if isinstance(value, str) else value}" for key, value in found.plan.keys.items()]
    return "\n".join([*lines, *(f"  # {line}" for line in found.plan.ways), ""])


def _text(value: Any) -> str:
    """Write text, or a list of texts, as YAML that cannot be taken for something else."""
    return json.dumps(value if isinstance(value, list) else str(value), ensure_ascii=False)
