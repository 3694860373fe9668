"""Backbones, layers, transforms, methods, numbers of clusters: each with each, from one store, the best first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from imgcluster.backbones.find import find_backbone
from imgcluster.backbones.layers import check_layers
from imgcluster.clusters import cluster_features
from imgcluster.config import Config, config_from_dict
from imgcluster.errors import ClusteringError, ConfigError
from imgcluster.files import write_whole
from imgcluster.grouping import SEQUENCE
from imgcluster.images import list_images
from imgcluster.known_labels import read_known
from imgcluster.methods import AUTO, DIFFUSION, METHODS
from imgcluster.metrics import ranks_of, silhouette_of
from imgcluster.outputs.write import csv_text
from imgcluster.pipeline import extract_listed
from imgcluster.storage import use_storage
from imgcluster.tables import ImageFile
from imgcluster.transforms import fit_transform

if TYPE_CHECKING:
    import pandas as pd

TABLE, BEST = "compare.csv", "best.yaml"
DEFAULT = "default"
SAMPLE = 3000  # rows for what looks at pairs of images
FIRST_LINE = "# python -m imgcluster run {path}\n"


@dataclass(frozen=True)
class Grid:
    """What is combined, each with each; an empty list stands for what the config says.

    layers: `default` is each backbone's own. transforms: each a list of steps, as `clusters.transform` takes them.
    """

    backbones: Sequence[str] = ()
    layers: Sequence[str] = ()
    transforms: Sequence[Sequence[Any]] = ()
    methods: Sequence[str] = ()
    ks: Sequence[int] = ()


@dataclass(frozen=True)
class Candidate:
    """One combination: its config, the clusters by image id, and its scores by name."""

    config: Config
    labels: dict[str, int]
    scores: dict[str, float] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """Return its row of the table."""
        features, clusters = self.config.features, self.config.clusters
        return {
            "backbone": _joined(features.backbone),
            "layer": DEFAULT if features.layer is None else _joined(features.layer),
            "transform": _joined([_step(step) for step in clusters.transform]) or "none",
            "method": clusters.method,
            "clusters": len(set(self.labels.values()) - {-1}),
            **{name: round(score, 4) for name, score in self.scores.items()},
        }


@dataclass(frozen=True)
class Comparison:
    """candidates: the best first; notes: what could not be tried, and why."""

    candidates: list[Candidate]
    notes: list[str]

    def table(self) -> pd.DataFrame:
        """Return a row for each candidate, in their order."""
        import pandas as pd

        return pd.DataFrame([candidate.row() for candidate in self.candidates])


def compare(
    config: Config, grid: Grid, *, truth: Path | None = None, out: Path | None = None, show: bool = True
) -> Comparison:
    """Cluster the images of a config in every combination of a grid; features come from one store, and go there.

    With truth, a CSV of labels or a folder with a subfolder for each label, the best has the highest adjusted Rand
    index. Without, the best mean rank of silhouette and agreement: the mean adjusted Rand index to the other
    candidates. With `out`, compare.csv and best.yaml are written there. Raises ImgclusterError.
    """
    use_storage(config.storage)
    images, _ = list_images(config.images)
    notes: list[str] = []
    known, matched = (None, []) if truth is None else _known(truth, images)
    parts = [(part, _variants(part, grid)) for part in _parts(config, grid, notes)]  # all, before any work
    candidates = [each for part, variants in parts for each in _clustered(images, part, variants, notes, show)]
    if not candidates:
        raise ConfigError("; ".join(notes) or "nothing to compare")
    best_first = _by_agreement(candidates) if known is None else _by_truth(candidates, known)
    found = Comparison(best_first, [*matched, *notes])
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / TABLE, csv_text(found.table()).encode())
        best_config = _changed(found.candidates[0].config, "outputs", {"folder": str(out / "best")})
        best = yaml.safe_dump(best_config.resolved(), sort_keys=False, allow_unicode=True)
        write_whole(out / BEST, (FIRST_LINE.format(path=out / BEST) + best).encode())
    return found


def _known(truth: Path, images: list[ImageFile]) -> tuple[dict[str, str], list[str]]:
    """Return the true labels by id, and what is to be said of how they were matched."""
    known = read_known(truth, "--truth")
    matching = known.match([image.id for image in images])
    if not matching.names:
        raise ConfigError(f"--truth: {str(truth)!r} has none of these images{matching.none_because}")
    return matching.values(known.labels), matching.notes("true labels", left=True)


def _parts(config: Config, grid: Grid, notes: list[str]) -> Iterator[Config]:
    """Return a config for each backbone and layer; a layer that a backbone does not have is a note."""
    if not grid.backbones and not grid.layers:
        yield config
        return
    for name in grid.backbones or config.features.backbones:
        for layer in grid.layers or (DEFAULT,):
            try:
                if layer != DEFAULT:
                    check_layers(find_backbone(name), [layer])
            except ConfigError as error:
                notes.append(f"{name}: {error}")
                continue
            yield _changed(config, "features", {"backbone": name, "layer": None if layer == DEFAULT else layer})


def _variants(config: Config, grid: Grid) -> list[Config]:
    """Return a config for each transform, method and number of clusters. Raises ConfigError where one is none."""
    if strange := [method for method in grid.methods if method not in METHODS]:
        raise ConfigError(f"--methods: there is no {strange[0]!r}; allowed: {', '.join(METHODS)}")
    clusters = config.clusters
    ks: Sequence[int | str | None] = grid.ks or [clusters.n_clusters]
    found = []
    for steps in grid.transforms or [clusters.transform]:
        for method, k in product(grid.methods or [clusters.method], ks):
            free = METHODS[method].k is None and clusters.order != SEQUENCE
            parameters = clusters.parameters if method == clusters.method else {}
            keys = {"method": method, "n_clusters": None if free else k, "parameters": parameters, "transform": steps}
            found.append(_changed(config, "clusters", keys))
    return list({str(each.resolved()): each for each in found}.values())  # a method without K once


def _clustered(
    images: list[ImageFile], config: Config, variants: list[Config], notes: list[str], show: bool
) -> Iterator[Candidate]:
    """Cluster by each of the variants; one that is not possible for these images is a note."""
    features = extract_listed(images, config, show)
    stand_ins = [origin.fallback for origin in features.origins if origin.fallback is not None]
    notes += [
        f"{each['wanted']}: its weights are not here, these are features of {each['taken']}" for each in stand_ins
    ]
    seed = config.clusters.random_state
    rows = np.sort(np.random.default_rng(seed).permutation(len(features.images))[:SAMPLE])
    spaces: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for variant in variants:
        clusters = variant.clusters
        try:
            key = str(clusters.transform)
            if key not in spaces:
                vectors, _ = fit_transform(features.vectors, clusters.transform, seed)
                spaces = {key: (vectors, _distances(vectors[rows]))}  # the one before is not needed any more
            vectors, distances = spaces[key]
            own = DIFFUSION if clusters.method == AUTO and clusters.transform else clusters.method
            done = clusters.model_copy(update={"transform": (), "method": own})  # the transform is
            found = cluster_features(replace(features, vectors=vectors), done, show=False)
        except ClusteringError as error:
            notes.append(str(error))
            continue
        labels = dict(zip(features.ids, found.labels.tolist(), strict=True))
        yield Candidate(variant, labels, {"silhouette": silhouette_of(distances, found.labels[rows])})


def _distances(vectors: np.ndarray) -> np.ndarray:
    from sklearn.metrics import pairwise_distances

    return np.asarray(pairwise_distances(vectors), np.float32)


def _by_truth(candidates: list[Candidate], known: dict[str, str]) -> list[Candidate]:
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    scored = []
    for each in candidates:
        ids = [id for id in each.labels if id in known]
        truth, labels = [known[id] for id in ids], [each.labels[id] for id in ids]
        scores = {"ari": adjusted_rand_score(truth, labels), "nmi": normalized_mutual_info_score(truth, labels)}
        scored.append(replace(each, scores={**scores, **each.scores}))
    return sorted(scored, key=lambda each: -each.scores["ari"])


def _by_agreement(candidates: list[Candidate]) -> list[Candidate]:
    from sklearn.metrics import adjusted_rand_score

    ids = [id for id in candidates[0].labels if all(id in each.labels for each in candidates)]
    columns = [[each.labels[id] for id in ids] for each in candidates]
    between = np.array([[adjusted_rand_score(ours, theirs) for theirs in columns] for ours in columns])
    others = max(1, len(candidates) - 1)
    agreement = (between.sum(axis=1) - 1) / others
    scored = [
        replace(each, scores={**each.scores, "agreement": float(share)})
        for each, share in zip(candidates, agreement, strict=True)
    ]
    ranks = sum(ranks_of(np.array([each.scores[name] for each in scored])) for name in ("silhouette", "agreement"))
    return [scored[place] for place in np.argsort(ranks, kind="stable")]


def _changed(config: Config, section: str, keys: dict[str, Any]) -> Config:
    whole = config.resolved()
    return config_from_dict({**whole, section: {**whole[section], **keys}})


def _step(step: Any) -> str:
    return step if isinstance(step, str) else " ".join(f"{name} {value}" for name, value in step.items())


def _joined(names: Any) -> str:
    return names if isinstance(names, str) else "+".join(map(str, names))
