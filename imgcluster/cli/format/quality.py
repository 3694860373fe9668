"""The images of a run that stand out by their quality."""

from __future__ import annotations

import json
from collections.abc import Sequence

from imgcluster.curation import KINDS, Quality
from imgcluster.utils import printable, shortened

MAX_ID_LENGTH = 60
WIDTH = max(len(kind.measure) for kind in KINDS.values())


def quality_lines(found: Quality, kinds: Sequence[str], count: int | None) -> list[str]:
    """Return the counts, and for each kind the measure and the worst images with value, quantile and id."""
    lines = [f"images    {len(found.ids):,}" + (f"; {found.failed:,} failed" if found.failed else "")]
    if found.read:
        lines.append(f"measured  {found.read:,} images now: their measures were not stored")
    if found.unread:
        lines.append(f"unread    {found.unread:,} images: changed, gone or damaged since the run")
    for kind in kinds:
        lines += ["", *_kind_lines(found, kind, count)]
    return lines


def _kind_lines(found: Quality, kind: str, count: int | None) -> list[str]:
    """Return a heading and a table of the worst images of a kind."""
    rows, every = found.worst(kind, count), len(found.worst(kind, len(found.ids)))
    listed = f"; {len(rows):,} of {every:,}" if len(rows) < every else ""
    heading = f"{kind}: {KINDS[kind].about}{listed if rows else ': none'}"
    values, quantiles = found.values[KINDS[kind].measure], found.quantiles[kind]
    table = [
        f"{values[row]:{WIDTH}.4f}  {quantiles[row]:8.2%}  {shortened(printable(found.ids[row]), MAX_ID_LENGTH)}"
        for row in rows
    ]
    return [heading, *([f"{KINDS[kind].measure:>{WIDTH}}  quantile  image"] if rows else []), *table]


def quality_json(found: Quality, kinds: Sequence[str], count: int | None) -> str:
    """Return the counts and the worst images of each kind as JSON."""
    record = {
        "images": len(found.ids),
        "failed": found.failed,
        "measured_now": found.read,
        "unread": found.unread,
        "kinds": {
            kind: {
                "measure": KINDS[kind].measure,
                "worst": [
                    {
                        "id": found.ids[row],
                        "path": found.paths[row],
                        "value": float(found.values[KINDS[kind].measure][row]),
                        "quantile": float(found.quantiles[kind][row]),
                    }
                    for row in found.worst(kind, count)
                ],
            }
            for kind in kinds
        },
    }
    return json.dumps(record, indent=2, ensure_ascii=False)
