"""Tables of backbones, layers, and distances between images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from imgcluster.backbones import LayerRow, ModelRow, WeightsRow
from imgcluster.utils import printable

MAX_COLUMNS = 100
UNKNOWN = "?"
WEIGHTS_HEAD = ("name", "MB", "state", "licence", "path")
HEAD = ("name", "dim", "px", "MB", "downloaded", "licence")


def models_table(rows: Sequence[ModelRow]) -> str:
    """Return backbones as a table of at most 100 columns."""
    cells = [HEAD, *map(_cells, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEAD) - 1)]
    return "\n".join(_line(row, widths) for row in cells)


def weights_table(rows: Sequence[WeightsRow]) -> str:
    """Return weights as a table: network, size, state, licence, and where they are or will be."""
    cells = [WEIGHTS_HEAD, *map(_weights_cells, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(WEIGHTS_HEAD) - 1)]
    return "\n".join(
        "  ".join([name.ljust(widths[0]), size.rjust(widths[1]), state.ljust(widths[2]), rest.ljust(widths[3]), path])
        for name, size, state, rest, path in cells
    )


def _weights_cells(row: WeightsRow) -> tuple[str, ...]:
    size = UNKNOWN if row.megabytes is None else f"{row.megabytes:.0f}"
    path = UNKNOWN if row.path is None and row.megabytes != 0 else str(row.path or "")
    return row.name, size, row.state, row.licence, printable(path)


def layers_table(rows: Sequence[LayerRow]) -> str:
    """Return layers as a table: name, output shape, other names."""
    width = max(len(row.name) for row in rows)
    return "\n".join(
        f"{row.name:<{width}}  {' x '.join(map(str, row.shape)):<16}  {' '.join(row.aliases)}".rstrip() for row in rows
    )


def distance_lines(found: Mapping[str, float], scale: Mapping[str, float]) -> list[str]:
    """Return a line for each pair of images, their mean, and a scale: distances of the first image to copies of it."""
    return [
        *(_distance_line(distance, printable(name)) for name, distance in found.items()),
        *([_distance_line(sum(found.values()) / len(found), f"mean of {len(found):,}")] if len(found) > 1 else []),
        f"for scale, {printable(next(iter(found)))} to itself, changed:",
        *(_distance_line(distance, name) for name, distance in scale.items()),
    ]


def _distance_line(distance: float, name: str) -> str:
    return f"{distance:>12.6g}  {name}"


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
    return line if len(line) <= MAX_COLUMNS else f"{line[: MAX_COLUMNS - 1]}…"
