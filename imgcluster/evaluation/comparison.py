"""Compare all combinations of backbones, layers, transforms, methods and numbers of clusters, best first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgcluster.backbones import check_layers, find_backbone
from imgcluster.clustering import SEQUENCE, cluster_features, silhouette_of
from imgcluster.config import AUTO, METHODS, Config, config_as_used, config_from_dict
from imgcluster.errors import ClusteringError, ConfigError, WeightsUnavailable
from imgcluster.evaluation.comparison_table import DEFAULT, Candidate, Tried, config_name, differing
from imgcluster.evaluation.metrics import ranks_of
from imgcluster.features import Features, extract_listed, fit_transform, settled
from imgcluster.images import list_images, read_known
from imgcluster.types import ImageFile
from imgcluster.utils import Storage

if TYPE_CHECKING:
    import pandas as pd

SAMPLE = 3000  # rows for what looks at pairs of images


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
class Comparison:
    """candidates: all of the table, the best first; notes: what could not be tried, and why.

    folder: where the table and the configs of its rows are, if anywhere.
    """

    candidates: list[Candidate]
    notes: list[str]
    folder: Path | None = None

    def table(self) -> pd.DataFrame:
        """Return a row for each candidate, in their order, with the name of its config where there is one.

        Other keys of the configs are columns too where the candidates differ in them.
        """
        import pandas as pd

        also = differing(self.candidates)
        named = [{} if self.folder is None else {"config": config_name(each)} for each in self.candidates]
        return pd.DataFrame([{**each.row(also), **name} for each, name in zip(self.candidates, named, strict=True)])


def compare(
    config: Config,
    grid: Grid,
    *,
    truth: Path | None = None,
    out: Path | None = None,
    force: bool = False,
    show: bool = True,
) -> Comparison:
    """Cluster the images of a config in every combination of a grid; features come from one store, and go there.

    With truth, a CSV of labels or a folder with a subfolder for each label, the best has the highest adjusted Rand
    index. Without, the best mean rank of silhouette and agreement: the mean adjusted Rand index to the other
    candidates. A network that is used in place of others is tried once, under its own name.
    With `out`, compare.csv, best.yaml and a config for each row are written there. What was tried there before, of the
    same images, is not tried again: its rows stay, and all are scored alike. `force` begins the table anew.
    Raises ImgclusterError; OutputError where `out` has something that is not to be overwritten.
    """
    images, _ = list_images(config.images, Storage(config.storage))
    config = config if grid.backbones else settled(config, show=show)
    notes: list[str] = []
    known, matched = (None, []) if truth is None else _known(truth, images)
    parts = [(part, _variants(part, grid)) for part in _parts(config, grid, notes)]  # all, before any work
    with Tried(out, images).open(force=force) as tried:
        notes += _try_all(images, parts, tried, show)
        if not tried.candidates:
            raise ConfigError("; ".join(notes) or "nothing to compare")
        if known is None and tried.before and len(tried.candidates) > 1:
            notes.append(f"agreement is with all {len(tried.candidates)} rows, {tried.before} of them tried before")
        ranked = _by_agreement(tried.candidates) if known is None else _by_truth(tried.candidates, known)
        found = Comparison(ranked, [*matched, *notes], out)
        tried.write(found.table(), ranked[0])
    return found


def _known(truth: Path, images: Sequence[ImageFile]) -> tuple[dict[str, str], list[str]]:
    """Return the true labels by id, and what is to be said of how they were matched."""
    known = read_known(truth, "true labels")
    matching = known.match([image.id for image in images])
    if not matching.names:
        raise ConfigError(f"true labels: {str(truth)!r} has none of these images{matching.none_because}")
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
            keys = {"backbone": name, "layer": None if layer == DEFAULT else layer}
            if grid.backbones and "fallback" not in config.features.model_fields_set:
                keys["fallback"] = None  # as for any backbone that is asked for by name
            yield _changed(config, "features", keys)


def _variants(config: Config, grid: Grid) -> list[Config]:
    """Return a config for each transform, method and number of clusters. Raises ConfigError where one is none."""
    if strange := [method for method in grid.methods if method not in METHODS]:
        raise ConfigError(f"methods: there is no {strange[0]!r}; allowed: {', '.join(METHODS)}")
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


def _try_all(
    images: Sequence[ImageFile], parts: Sequence[tuple[Config, list[Config]]], tried: Tried, show: bool
) -> list[str]:
    """Try the variants of each part; returns notes on what was not tried, and on what was used instead of it."""
    notes: list[str] = []
    stand_ins: dict[str, list[str]] = {}
    for part, variants in parts:
        try:
            features = extract_listed(images, part, show)
        except WeightsUnavailable as error:
            notes.append(str(error))
            continue
        for fallback in filter(None, (origin.fallback for origin in features.origins)):
            stand_ins.setdefault(fallback["taken"], []).append(fallback["wanted"])
        _try(features, variants, tried, notes)
        tried.save()
    return notes + [
        f"used {taken} instead of {', '.join(dict.fromkeys(wanted))} (weights not available)"
        for taken, wanted in stand_ins.items()
    ]


def _try(features: Features, variants: list[Config], tried: Tried, notes: list[str]) -> None:
    """Cluster by each of the variants that was not tried yet; one that is not possible for these images is a note."""
    tried.check_content(features.ids, features.content)
    origins = [asdict(origin) for origin in features.origins]
    fingerprints = [origin.fingerprint for origin in features.origins]
    seed = variants[0].clusters.random_state
    rows = np.sort(np.random.default_rng(seed).permutation(len(features.images))[:SAMPLE])
    spaces: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for variant in (config_as_used(each, origins) for each in variants):
        clusters, key = variant.clusters, tried.key_of(variant, fingerprints, features.content)
        if tried.has(key):
            continue
        try:
            space = str(clusters.transform)
            if space not in spaces:
                vectors, _ = fit_transform(features.vectors, clusters.transform, seed)
                spaces = {space: (vectors, _distances(vectors[rows]))}  # the one before is not needed any more
            vectors, distances = spaces[space]
            given = features
            if clusters.method != AUTO:  # which fits its transform in an order of its own
                given = replace(features, vectors=vectors)
                clusters = clusters.model_copy(update={"transform": ()})  # it is done
            found = cluster_features(given, clusters, show=False)
        except ClusteringError as error:
            notes.append(str(error))
            continue
        labels = dict(zip(features.ids, found.labels.tolist(), strict=True))
        tried.add(Candidate(variant, labels, {"silhouette": silhouette_of(distances, found.labels[rows])}, key))


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
        scored.append(replace(each, scores={**scores, "silhouette": each.scores["silhouette"]}))
    return sorted(scored, key=lambda each: -each.scores["ari"])


def _by_agreement(candidates: list[Candidate]) -> list[Candidate]:
    from sklearn.metrics import adjusted_rand_score

    ids = [id for id in candidates[0].labels if all(id in each.labels for each in candidates)]
    columns = [[each.labels[id] for id in ids] for each in candidates]
    between = np.array([[adjusted_rand_score(ours, theirs) for theirs in columns] for ours in columns])
    others = len(candidates) - 1
    agreement = (between.sum(axis=1) - 1) / others if others else np.array([np.nan])
    scored = [
        replace(each, scores={"silhouette": each.scores["silhouette"], "agreement": float(share)})
        for each, share in zip(candidates, agreement, strict=True)
    ]
    ranks = sum(ranks_of(np.array([each.scores[name] for each in scored])) for name in ("silhouette", "agreement"))
    return [scored[place] for place in np.argsort(ranks, kind="stable")]


def _changed(config: Config, section: str, keys: dict[str, Any]) -> Config:
    whole = config.resolved()
    return config_from_dict({**whole, section: {**whole[section], **keys}})
