"""The page of a report: the values for its template, and the data for its script."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from imgcluster.config import RunFiles, caveat
from imgcluster.evaluation import TITLES, Scores
from imgcluster.report.cluster_names import IMAGES_PER_CLUSTER, SURE_SHARE
from imgcluster.report.filmstrip import filmstrips
from imgcluster.report.gather import Card, Facts
from imgcluster.report.tree import MAX_LEVELS, tree_of
from imgcluster.runs import FinishedRun, with_name
from imgcluster.types import NOISE

EXPLANATION_TITLES = {
    "cluster": "What puts these images in this cluster (red)",
    "runner_up": "What keeps these images out of their second-choice cluster (red)",
    "gradcam": "Where the network sees a class (red)",
    "activations": "Activations of layers, channel by channel",
}
MAX_OUTLIERS = 50
MAX_UNSURE = 50
CHUNK = 2_000  # images whose neighbours are in one file
MAX_GROUPS = 200  # of near-duplicates
MAX_CARDS = 300  # clusters in the page itself; others are in the table, and shown on demand
IMAGES_PER_GROUP = 12
MAX_FAILURES = 500
MAX_ID_LENGTH = 120  # characters
# Invisible characters that change the text around them: control codes, direction marks and overrides, line ends.
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


def visible(text: str) -> str:
    """Return a text with its control codes and direction marks as visible escapes."""
    return UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def shortened(text: str) -> str:
    """Return a visible text of `MAX_ID_LENGTH` characters at most, cut in the middle."""
    shown = visible(text)
    half = MAX_ID_LENGTH // 2
    return shown if len(shown) <= MAX_ID_LENGTH else f"{shown[:half]}…{shown[1 - half :]}"


@dataclass(frozen=True)
class Page:
    """All that a page shows.

    thumbnails: by row, their names below the folder of thumbnails; None for images without one. explained: what
    `explain` has written, as explain.json lists it. map_kind: pca, tsne or umap. charts: files that are there.
    """

    facts: Facts
    thumbnails: list[str | None]
    explained: list[dict[str, Any]]
    scores: Scores | None
    map_kind: str
    charts: list[str]


def page_data(page: Page) -> dict[str, Any]:
    """Return the data of the page's script: columns with a value for each row of clusters.csv."""
    facts = page.facts
    run, places = facts.run, facts.places
    return {
        "ids": facts.ids,
        "paths": facts.paths if run.places.moved is None else list(map(run.places.image, facts.paths)),
        "thumbnails": page.thumbnails,
        "labels": [None if gone else label for gone, label in zip(facts.failed, facts.labels.tolist(), strict=True)],
        "distance": _rounded(facts.distance),
        "runnerUp": [None if number < 0 else number for number in facts.runner_up.tolist()],
        "runnerUpDistance": _rounded(facts.runner_up_distance),
        "silhouette": _rounded(facts.silhouette, 3),
        "probability": _rounded(facts.probability, 3),
        "x": None if places is None else _rounded(places[:, 0]),
        "y": None if places is None else _rounded(places[:, 1]),
        "names": {str(card.number): _title(card) for card in facts.cards},
        "chunk": CHUNK,
        "compared": facts.likeness is not None,
        "root": _root(run),
        "explained": [
            {key: each.get(key) for key in ("kind", "file", "row", "title")}
            for each in page.explained
            if each.get("row") is not None
        ],
    }


def neighbour_chunks(facts: Facts) -> Iterator[list[list[list[float]]]]:
    """Yield the nearest images of each row, [[row, cosine], ...], for CHUNK rows at a time."""
    if facts.likeness is None:
        return
    place_of = np.full(len(facts.ids), -1)
    place_of[facts.looked] = np.arange(len(facts.looked))
    for start in range(0, len(facts.ids), CHUNK):
        places = place_of[start : start + CHUNK]
        near: list[list[list[float]]] = [[] for _ in places]
        known = np.flatnonzero(places >= 0)
        rows = facts.looked[facts.likeness.near[places[known]]].tolist()
        cosines = np.round(facts.likeness.similarity[places[known]].astype(float), 3).tolist()
        for row, others, similar in zip(known.tolist(), rows, cosines, strict=True):
            near[row] = [[other, cosine] for other, cosine in zip(others, similar, strict=True)]
        yield near


def render_page(page: Page) -> str:
    """Return the page as HTML. The template escapes whatever comes from outside: ids, paths, names."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("imgcluster.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"visible": visible, "shortened": shortened, "plain": _plain}
    return environment.get_template("report.html.j2").render(
        facts=page.facts,
        record=page.facts.run.record,
        thumbnails=page.thumbnails,
        kind=page.map_kind,
        charts=page.charts,
        noise=NOISE,
        asked=IMAGES_PER_CLUSTER,
        sure_share=SURE_SHARE,
        guessed=any(page.facts.guesses.by_cluster.values()),
        **_run_values(page.facts.run),
        **_tree_values(page.facts),
        **_cluster_values(page),
        **_image_values(page),
        **_score_values(page.scores),
    )


def _run_values(run: FinishedRun) -> dict[str, Any]:
    """Return what the template shows of the run as a whole: its name, its config, the commands that go on from it."""
    folder = _from_start(run)
    return {
        "run": run.folder.name or str(run.folder),
        "version": run.record["versions"]["imgcluster"],
        "fallbacks": [each["fallback"] for each in run.record["features"] if each["fallback"]],
        "config": config_text(run),
        "command": _command("run", folder / RunFiles.REPORT / RunFiles.REPORT_CONFIG),
        "again": _command("report", folder),
        "explain": _command("explain", folder),
        "explainable": run.config.features.file is None,
    }


def _command(name: str, path: Path) -> str:
    return shlex.join(["python", "-m", "imgcluster", name, str(path)])


def _cluster_values(page: Page) -> dict[str, Any]:
    """Return what the template shows of clusters; the cards of the largest stand in the page itself."""
    cards, explained = page.facts.cards, page.explained
    shown = {card.number for card in sorted(cards, key=lambda card: (-card.size, card.number))[:MAX_CARDS]}
    return {
        "title": _title,
        "named": partial(with_name, names=page.facts.run.names),
        "clusters": [card for card in cards if card.number != NOISE],
        "cards": [card for card in cards if card.number in shown],
        "shown": shown,
        "sure": bool(np.isfinite(page.facts.probability).any()),
        "largest": max([card.size for card in cards], default=1),
        "filters": [each for each in explained if each.get("row") is None],
        "explained_of": _explained_of(page.facts, explained),
    }


def _tree_values(facts: Facts) -> dict[str, Any]:
    """Return what the template shows of the hierarchy: its tree, none where it has a single cluster."""
    hierarchy = facts.run.hierarchy
    if hierarchy is None or hierarchy.levels < 2:
        return {"tree": None}
    tree = tree_of(hierarchy, facts.fine, facts.distance[facts.fine])
    others = facts.run.record.get("chosen", {}).get("runners_up", ())
    marks = {**{k: "runner-up" for k in others if k <= hierarchy.levels}, hierarchy.n_clusters: "this run"}
    return {
        "tree": tree,
        "levels": hierarchy.levels,
        "max_levels": MAX_LEVELS,
        "marks": dict(sorted(marks.items())),
        "quality": hierarchy.modularity,
        "cut": _command("cut", _from_start(facts.run)),
        "card_of": {card.number: card for card in facts.cards},
    }


def _image_values(page: Page) -> dict[str, Any]:
    """Return what the template shows of images whatever their cluster: near-duplicates, outliers, failures."""
    facts = page.facts
    failed = facts.failed.tolist()
    return {
        "groups": _groups(facts),
        "group_count": 0 if facts.likeness is None else len(facts.likeness.duplicates),
        "shown_of_group": IMAGES_PER_GROUP,
        "outliers": _outliers(facts),
        "unsure": _least_sure(facts),
        "lost": sum(name is None and not gone for name, gone in zip(page.thumbnails, failed, strict=True)),
        "failures": np.flatnonzero(facts.failed).tolist()[:MAX_FAILURES],
        "failure_count": sum(failed),
        "films": filmstrips(facts.run.folder, facts.ids, failed),
    }


def _score_values(scores: Scores | None) -> dict[str, Any]:
    if scores is None:
        return {"scores": None, "scored": 0, "scored_notes": []}
    named = [(title, scores.scores[name]) for name, title in TITLES.items()]
    return {"scores": named, "scored": scores.images, "scored_notes": scores.notes}


def _rounded(values: np.ndarray, digits: int = 4) -> list[float | None]:
    """Round values to significant digits; None for those that are not finite."""
    return [float(f"{value:.{digits}g}") if np.isfinite(value) else None for value in values.tolist()]


def _title(card: Card) -> str:
    if card.number == NOISE:
        return "Noise"
    return f"Cluster {card.number}" + (f": {card.name}" if card.name else "")


def _root(run: FinishedRun) -> str:
    """Return the relative path from the report's folder to where the run was started: images' paths begin there."""
    base = run.places.base or Path.cwd()
    try:
        return quote(Path(os.path.relpath(base, run.folder / RunFiles.REPORT)).as_posix())
    except ValueError:  # on another drive
        return base.as_uri()


def _from_start(run: FinishedRun) -> Path:
    """Return the run folder relative to where the run was started: the page's commands are run there."""
    if run.places.base is None:
        return run.folder
    return Path(os.path.relpath(os.path.realpath(run.folder), run.places.base))


def _groups(facts: Facts) -> list[tuple[list[int], float]]:
    if facts.likeness is None:
        return []
    return [(facts.looked[each.rows].tolist(), each.similarity) for each in facts.likeness.duplicates[:MAX_GROUPS]]


def _outliers(facts: Facts) -> list[tuple[int, float]]:
    """Return the rows of the images farthest from their nearest neighbours, a quarter of all at most, and how far."""
    if facts.likeness is None:
        return []
    count = min(MAX_OUTLIERS, len(facts.looked) // 4)
    found = facts.likeness.outliers(count)
    return [(int(facts.looked[row]), float(facts.likeness.outlier_score[row])) for row in found]


def _least_sure(facts: Facts) -> list[tuple[int, float]]:
    """Return the rows of the images with the lowest probabilities, a quarter of all at most, and these."""
    known = np.flatnonzero(np.isfinite(facts.probability))
    lowest = known[np.argsort(facts.probability[known], kind="stable")][: min(MAX_UNSURE, len(known) // 4)]
    return [(row, float(facts.probability[row])) for row in lowest.tolist()]


def _explained_of(facts: Facts, explained: list[dict[str, Any]]) -> dict[int, list[tuple[str, list[dict[str, Any]]]]]:
    """Return the explanations of each cluster's images by kind: a heading and its pictures."""
    of: dict[int, dict[str, list[dict[str, Any]]]] = {}
    for each in explained:
        if each.get("row") is not None:
            kinds = of.setdefault(int(facts.labels[each["row"]]), {})
            kinds.setdefault(str(each["kind"]), []).append(each)
    return {
        number: [(EXPLANATION_TITLES[kind], kinds[kind]) for kind in EXPLANATION_TITLES if kind in kinds]
        for number, kinds in of.items()
    }


def config_text(run: FinishedRun) -> str:
    """Return the resolved config of a run as YAML; after a fallback, with the network that was used."""
    import yaml

    used = run.config_as_recorded
    text = yaml.safe_dump(used.resolved(), sort_keys=False, allow_unicode=True)
    return f"{caveat(used, run.record['features'])}{text}"


def _plain(value: float) -> str:
    return "–" if value is None or not np.isfinite(value) else f"{value:.3f}"
