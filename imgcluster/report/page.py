"""The page of a report: what the template is given, and what its script is."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from imgcluster.config import caveat, config_as_used, config_from_dict
from imgcluster.evaluation import TITLES, Scores
from imgcluster.report.cluster_names import ASKED
from imgcluster.report.gather import STRANGEST, Card, Facts
from imgcluster.runs import REPORT, recorded_names, with_name
from imgcluster.types import NOISE

EXPLANATION_TITLES = {
    "cluster": "What pulls them here, in red",
    "runner_up": "What keeps them out of their runner-up, in red",
    "gradcam": "Where the network sees a class, in red",
    "activations": "What layers answer, channel by channel",
}
CHUNK = 2_000  # images whose neighbours are in one file
GROUPS = 200  # of nearly equal images, that the page shows
CARDS = 300  # clusters that stand in the page itself; the others are in the table, and shown on demand
SHOWN_OF_GROUP = 12
FAILURES = 500
LONGEST = 120  # letters of an id in a line
# What would act on the text around it and not be seen: control codes, marks and overrides of direction, line ends.
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


def visible(text: str) -> str:
    """Return a text whose control codes and marks of direction are shown by their escapes."""
    return UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def shortened(text: str) -> str:
    """Return a visible text of `LONGEST` letters at most, cut in its middle."""
    shown = visible(text)
    half = LONGEST // 2
    return shown if len(shown) <= LONGEST else f"{shown[:half]}…{shown[1 - half :]}"


def page_data(facts: Facts, thumbnails: list[str | None], explained: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the page's script knows of the images: columns of a value for each row of clusters.csv."""
    places = facts.places
    return {
        "ids": facts.ids,
        "paths": facts.paths if facts.where.moved is None else list(map(facts.where.image, facts.paths)),
        "thumbnails": thumbnails,
        "labels": [None if gone else label for gone, label in zip(facts.failed, facts.labels.tolist(), strict=True)],
        "distance": _rounded(facts.distance),
        "runnerUp": [None if number < 0 else number for number in facts.runner_up.tolist()],
        "runnerUpDistance": _rounded(facts.runner_up_distance),
        "silhouette": _rounded(facts.silhouette, 3),
        "x": None if places is None else _rounded(places[:, 0]),
        "y": None if places is None else _rounded(places[:, 1]),
        "names": {str(card.number): _title(card) for card in facts.cards},
        "chunk": CHUNK,
        "compared": facts.likeness is not None,
        "root": _root(facts),
        "explained": [
            {key: each.get(key) for key in ("kind", "file", "row", "title")}
            for each in explained
            if each.get("row") is not None
        ],
    }


def neighbour_chunks(facts: Facts) -> Iterator[list[list[list[float]]]]:
    """Yield for so many rows at a time the nearest images of each: [[row, cosine], ...]."""
    if facts.likeness is None:
        return
    near: list[list[list[float]]] = [[] for _ in facts.ids]
    rows = facts.looked[facts.likeness.near].tolist()
    cosines = np.round(facts.likeness.similarity.astype(float), 3).tolist()
    for row, others, similar in zip(facts.looked.tolist(), rows, cosines, strict=True):
        near[row] = [[other, cosine] for other, cosine in zip(others, similar, strict=True)]
    for start in range(0, len(near), CHUNK):
        yield near[start : start + CHUNK]


def render_page(  # noqa: PLR0913, PLR0917 (all that the page shows)
    facts: Facts,
    thumbnails: list[str | None],
    scores: Scores | None,
    explained: list[dict[str, Any]],
    kind: str,
    charts: list[str],
) -> str:
    """Return the page. Whatever comes from outside, ids, paths, names, is escaped by the template."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("imgcluster.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"visible": visible, "shortened": shortened, "plain": _plain}
    clusters = [card for card in facts.cards if card.number != NOISE]
    largest = sorted(facts.cards, key=lambda card: (-card.size, card.number))[:CARDS]
    shown = {card.number for card in largest}
    record, folder = facts.record, _from_start(facts)
    return environment.get_template("report.html.j2").render(
        version=facts.record["versions"]["imgcluster"],
        facts=facts,
        title=_title,
        named=partial(with_name, names=recorded_names(record)),
        run=facts.folder.name or str(facts.folder),
        record=record,
        clusters=clusters,
        cards=[card for card in facts.cards if card.number in shown],
        shown=shown,
        noise=NOISE,
        largest=max([card.size for card in facts.cards], default=1),
        thumbnails=thumbnails,
        command=shlex.join(["python", "-m", "imgcluster", "run", str(folder / REPORT / "config.yaml")]),
        again=shlex.join(["python", "-m", "imgcluster", "report", str(folder)]),
        explain=shlex.join(["python", "-m", "imgcluster", "explain", str(folder)]),
        fallbacks=[each["fallback"] for each in record["features"] if each["fallback"]],
        groups=_groups(facts),
        group_count=0 if facts.likeness is None else len(facts.likeness.duplicates),
        shown_of_group=SHOWN_OF_GROUP,
        strangest=_strangest(facts),
        lost=sum(name is None and not gone for name, gone in zip(thumbnails, facts.failed.tolist(), strict=True)),
        asked=ASKED,
        explainable=facts.config.features.file is None,
        failures=np.flatnonzero(facts.failed).tolist()[:FAILURES],
        failure_count=int(facts.failed.sum()),
        scores=None if scores is None else [(title, scores.scores[name]) for name, title in TITLES.items()],
        scored=0 if scores is None else scores.images,
        scored_notes=[] if scores is None else scores.notes,
        filters=[each for each in explained if each.get("row") is None],
        explained_of=_explained_of(facts, explained),
        kind=kind,
        charts=charts,
        config=config_text(facts),
    )


def _rounded(values: np.ndarray, digits: int = 4) -> list[float | None]:
    """Return values with so many significant digits; None in the place of what is not a number."""
    return [float(f"{value:.{digits}g}") if np.isfinite(value) else None for value in values.tolist()]


def _title(card: Card) -> str:
    if card.number == NOISE:
        return "Noise"
    return f"Cluster {card.number}" + (f": {card.name}" if card.name else "")


def _root(facts: Facts) -> str:
    """Return the way from the report's folder to where relative paths begin: where the run was started."""
    base = facts.where.base or Path.cwd()
    try:
        return quote(Path(os.path.relpath(base, facts.folder / REPORT)).as_posix())
    except ValueError:  # on another drive
        return base.as_uri()


def _from_start(facts: Facts) -> Path:
    """Return the run folder as it is called where the run was started, which is where the page's commands work."""
    if facts.where.base is None:
        return facts.folder
    return Path(os.path.relpath(os.path.realpath(facts.folder), facts.where.base))


def _groups(facts: Facts) -> list[tuple[list[int], float]]:
    if facts.likeness is None:
        return []
    return [(facts.looked[each.rows].tolist(), each.similarity) for each in facts.likeness.duplicates[:GROUPS]]


def _strangest(facts: Facts) -> list[tuple[int, float]]:
    """Return the strangest images, a quarter of all at most, and how far they are from their neighbours."""
    if facts.likeness is None:
        return []
    count = min(STRANGEST, len(facts.looked) // 4)
    found = facts.likeness.outliers(count)
    return [(int(facts.looked[row]), float(facts.likeness.outlier_score[row])) for row in found]


def _explained_of(facts: Facts, explained: list[dict[str, Any]]) -> dict[int, list[tuple[str, list[dict[str, Any]]]]]:
    """Return for each cluster the pictures that explain its images: a heading, and those that are of its kind."""
    of: dict[int, dict[str, list[dict[str, Any]]]] = {}
    for each in explained:
        if each.get("row") is not None:
            kinds = of.setdefault(int(facts.labels[each["row"]]), {})
            kinds.setdefault(str(each["kind"]), []).append(each)
    return {
        number: [(EXPLANATION_TITLES[kind], kinds[kind]) for kind in EXPLANATION_TITLES if kind in kinds]
        for number, kinds in of.items()
    }


def config_text(facts: Facts) -> str:
    """Return the resolved config of a run as YAML; after a fallback, with the network that was used."""
    import yaml

    origins = facts.record["features"]
    used = config_as_used(config_from_dict(facts.record["config"]), origins)
    text = yaml.safe_dump(used.resolved(), sort_keys=False, allow_unicode=True)
    return f"{caveat(used, origins)}{text}"


def _plain(value: float) -> str:
    return "–" if value is None or not np.isfinite(value) else f"{value:.3f}"
