"""What can be chosen as `features.backbone`, listed for a person or a program."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, replace

from imgcluster.backbones import PREFIX, are_here, empty_network, features_dim, find_backbone, match_timm
from imgcluster.config import BACKBONES, OLD_NAMES, Backbone
from imgcluster.errors import ConfigError

MEASURED = 50  # so many of timm's are built, on the meta device, to tell their dim and megabytes
WIDTH = 100
UNKNOWN = "?"
HEAD = ("name", "dim", "px", "MB", "here", "licence")


@dataclass(frozen=True)
class ModelRow:
    """A name for `features.backbone`. None: not known without building or downloading the network.

    stands_for: of an old name, the backbone and the layer it means. px: side of the input. megabytes: of the weights.
    here: whether the weights are on this machine.
    """

    name: str
    stands_for: str | None
    source: str
    dim: int | None
    px: int | None
    megabytes: float | None
    here: bool | None
    licence: str | None


def list_models(pattern: str = "") -> list[ModelRow]:
    """Return the backbones whose names contain the pattern, or match it where it has `*` or `?`.

    Those of timm, 1,800 and more, are listed for a pattern that begins with `timm:`. Raises ConfigError where timm is
    asked for and not installed.
    """
    if pattern.startswith(PREFIX):
        rows = match_timm(PREFIX + _glob(pattern.removeprefix(PREFIX)))
        return [_row(row, row.name, measure=len(rows) <= MEASURED) for row in rows]
    names, old_names = (fnmatch.filter(known, _glob(pattern)) for known in (BACKBONES, OLD_NAMES))
    measure = len(names) + len(old_names) <= MEASURED
    return [_row(BACKBONES[name], name) for name in names] + [_old_row(name, measure) for name in old_names]


def models_table(rows: list[ModelRow]) -> str:
    """Lay the rows out as a table of at most 100 columns."""
    cells = [HEAD, *map(_cells, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEAD) - 1)]
    return "\n".join(_line(row, widths) for row in cells)


def _glob(pattern: str) -> str:
    return pattern if set(pattern) & set("*?[") else f"*{pattern}*"


def _row(backbone: Backbone, name: str, stands_for: str | None = None, *, measure: bool = False) -> ModelRow:
    here = are_here(backbone)
    if measure and backbone.megabytes is None:
        backbone = _measured(backbone)
    return ModelRow(
        name=name,
        stands_for=stands_for,
        source=backbone.source,
        dim=backbone.dim,
        px=backbone.recipe.side,
        megabytes=backbone.megabytes,
        here=here,
        licence=backbone.licence,
    )


def _old_row(name: str, measure: bool) -> ModelRow:
    old = OLD_NAMES[name]
    stands_for = " ".join(filter(None, (old.backbone, old.layer)))
    try:
        return _row(find_backbone(name), name, stands_for, measure=measure)
    except ConfigError:  # one of timm's, and timm is not installed
        return ModelRow(name, stands_for, "timm", old.dim, None, None, None, None)


def _measured(backbone: Backbone) -> Backbone:
    model = empty_network(backbone)
    size = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    return replace(backbone, dim=backbone.dim or features_dim(model), megabytes=round(size / 2**20, 1))


def _cells(row: ModelRow) -> tuple[str, ...]:
    return (
        f"{row.name} = {row.stands_for}" if row.stands_for else row.name,
        UNKNOWN if row.dim is None else str(row.dim),
        UNKNOWN if row.px is None else str(row.px),
        UNKNOWN if row.megabytes is None else f"{row.megabytes:.0f}",
        {True: "yes", False: "no", None: UNKNOWN}[row.here],
        row.licence or UNKNOWN,
    )


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    name, *numbers, here, licence = cells
    columns = [name.ljust(widths[0])]
    columns += [number.rjust(width) for number, width in zip(numbers, widths[1:-1], strict=True)]
    columns += [here.ljust(widths[-1]), licence]
    line = "  ".join(columns)
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"
