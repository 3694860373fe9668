"""Console summary of a run: its images, features, clusters and files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from imgcluster.cli.format.overview import auto_lines, fallback_line
from imgcluster.runs import known_names, output_names, submission_notes
from imgcluster.types import by_reason
from imgcluster.utils import DEFAULT_STORAGE, bar, counted, printable

if TYPE_CHECKING:
    from imgcluster.backbones import PrecisionCheck
    from imgcluster.config import Config, FeaturesConfig
    from imgcluster.explain import RunExplained
    from imgcluster.features import Features, Origin
    from imgcluster.labels import Assignment
    from imgcluster.runs import RunResult
    from imgcluster.types import Failure

BAR = 30  # columns
MAX_IDS_PER_REASON = 3
MAX_REASONS = 5
RANDOM = "RANDOM    the weights are random: the network has learned nothing, and these pictures explain nothing"
NO_PROBABILITY = "note: no column probability: it is calibrated for runs with clusters.method: auto only"
# What the thread that feeds the network may wait for, and what would shorten that.
ADVICE = {
    "waiting for images": "reading: a quicker disk, smaller files or more cores would help",
    "network": "the network: a GPU, features.precision: bf16, an earlier layer or a smaller backbone would help",
    "waiting for the disk": "writing: features.store on a quicker disk would help",
}


def summarize_run(run: RunResult) -> str:
    """Return the summary of a finished run."""
    lines = [
        *_files_line(run),
        *summarize_features(run.features),
        "",
        *cluster_lines(run.clusters.sizes, known_names(run.config, run.clusters.names)),
        "",
    ]
    lines += _method_lines(run)
    lines += [f"note: {note}" for note in [*run.notes, *run.clusters.notes, *submission_notes(run)]]
    lines.append("seconds   " + ", ".join(f"{step} {spent:.1f}" for step, spent in run.seconds.items()))
    folder = DEFAULT_STORAGE.place(run.config.outputs.folder)
    lines += [f"written   {printable(str(folder / name))}" for name in output_names(run.config)]
    return "\n".join(lines)


def _files_line(run: RunResult) -> list[str]:
    """Return how many of the files below the folder are images, where others are there."""
    left = sum(sum(count.values()) if isinstance(count, dict) else count for count in run.left_out.values())
    return [f"files     {run.files:,}: {run.files - left:,} taken, {left:,} left out"] if run.files and left else []


def summarize_features(features: Features) -> list[str]:
    """Return the lines about the images and how their features were made."""
    origins = features.origins
    count = len(features.images) + len(features.failures)
    lines = [
        f"images    {count:,}: {_sources(origins)}, {len(features.failures):,} failed",
        *_failure_lines(features),
        *(line for origin in origins for line in _origin_lines(origin)),
        *([f"joined    {sum(origin.dim for origin in origins)}-d"] if len(origins) > 1 else []),
        *auto_lines(features.auto),
        *(f"note: {note}" for note in features.notes),
    ]
    return lines + [
        f"{fallback_line(origin.fallback)} (weights not available)" for origin in origins if origin.fallback is not None
    ]


def summarize_assigned(found: Assignment) -> list[str]:
    """Return the lines about new images that were assigned to the clusters of a run."""
    numbers, counts = np.unique(found.placed.labels, return_counts=True)
    new = int(found.placed.new.sum())
    return [
        *summarize_features(found.features),
        *(
            f"cluster {number:>3}  {count:,}{_name_after(found.names, number)}"
            for number, count in zip(numbers.tolist(), counts.tolist(), strict=True)
        ),
        f"new       {new:,} may belong to no existing cluster (farther out than any image of the run)",
        *([NO_PROBABILITY] if found.placed.probability is None else []),
    ]


def explained_lines(done: RunExplained) -> list[str]:
    """Return how many pictures of how many images were written, of which layers, and where."""
    images = len({picture.row for picture in done.pictures if picture.row is not None})
    return [
        f"wrote     {counted(len(done.pictures), 'picture')} of {counted(images, 'image') if images else 'filters'}",
        *(f"layer     {network}" for network in done.networks),
        *([RANDOM] if done.is_random else []),
        f"written   {done.folder / 'explain'}",
    ]


def planned(config: Config, images: int) -> str:
    """Return what a run of a config would do with so many images, in a line."""
    source = config.features.file or _backbones_text(config.features)
    count = config.clusters.n_clusters
    words: dict[int | str | None, str] = {
        None: f"clusters by {config.clusters.method}",
        "auto": "number of clusters chosen automatically",
    }
    clusters = words.get(count, f"{count} clusters")
    return f"{counted(images, 'image')}, {source}, {clusters}, into {config.outputs.folder}"


def _backbones_text(features: FeaturesConfig) -> str:
    layers = ((name, "+".join(map(str, features.layers_of(name)))) for name in features.backbones)
    return " and ".join(f"{name} {joined}".rstrip() for name, joined in layers)


def profile_lines(features: Features) -> list[str]:
    """Return the seconds of each stage, backbone by backbone, and the bottleneck with what helps against it."""
    return [line for origin in features.origins for line in _profile_of(origin)]


def _profile_of(origin: Origin) -> list[str]:
    waits = {stage: origin.seconds.get(stage, 0.0) for stage in ADVICE}
    lines = [f"profile   {origin.backbone}, {origin.runtime}: seconds, of all threads together"]
    lines += [f"{spent:>10.2f}  {stage}" for stage, spent in origin.seconds.items()]
    if any(waits.values()):
        slowest = max(waits, key=lambda stage: waits[stage])
        lines.append(f"limited by {ADVICE[slowest]}")
    return lines


def _sources(origins: list[Origin]) -> str:
    if len(origins) == 1:
        return _source(origins[0])
    return "; ".join(f"{origin.backbone}: {_source(origin)}" for origin in origins)


def _source(origin: Origin) -> str:
    if origin.runtime == "file":
        return f"{origin.reused:,} from the file"
    return f"{origin.computed:,} computed, {origin.reused:,} from the store"


def _origin_lines(origin: Origin) -> list[str]:
    if origin.runtime == "file":
        return [f"features  {origin.weights_file}, {origin.dim}-d (sha256 {origin.weights_sha256[:8]}…)"]
    return [
        f"backbone  {origin.backbone} {origin.layer}, {origin.dim}-d, weights {_weights_text(origin)}",
        f"device    {origin.device}, {origin.precision}, {origin.runtime}",
        *([f"precision {_precision_text(origin.precision_check)}"] if origin.precision_check else []),
        *(f"store     {folder}" for folder in origin.stores),
    ]


def _precision_text(check: PrecisionCheck) -> str:
    """Return why `precision: auto` is what it is, as `bf16 (...)`; run.json has all that was tried."""
    name = _precision_name(check.precision, check.exact)
    if not check.images:
        return f"{name}: as the features in the store"
    if not check.tried:
        return f"{name} (bf16 is not available)"
    last = check.tried[-1]  # the one that was taken, or the nearest to fp32 of those that were not good enough
    tried = "" if check.precision == "bf16" else f"{_precision_name('bf16', last.exact)}, "
    likeness = f"smallest cosine to fp32 {last.cosine:.4f}, {last.agreement:.0%} of neighbours the same"
    return f"{name} ({tried}{check.images} images: {likeness})"


def _precision_name(precision: str, exact: int) -> str:
    return f"{precision}, first {exact} convolutions fp32" if exact else precision


def _weights_text(origin: Origin) -> str:
    return f"{origin.weights} (sha256 {origin.weights_sha256[:8]}…)" if origin.weights_file else origin.weights_sha256


def _failure_lines(features: Features) -> list[str]:
    reasons = by_reason(features.failures)
    lines = [f"  failed  {_named(group)}: {reason}" for reason, group in [*reasons.items()][:MAX_REASONS]]
    if len(reasons) > MAX_REASONS:
        left = sum(map(len, [*reasons.values()][MAX_REASONS:]))
        others = len(reasons) - MAX_REASONS
        why = "another reason" if others == 1 else f"{others} other reasons"
        lines.append(f"  failed  {left:,} more image{'s' if left > 1 else ''}: {why}, see clusters.csv")
    return lines


def _named(group: list[Failure]) -> str:
    """Return the ids of images that failed for one reason: the first few, and how many there are."""
    names = ", ".join(printable(failure.image.id) for failure in group[:MAX_IDS_PER_REASON])
    return names if len(group) <= MAX_IDS_PER_REASON else f"{len(group):,} images ({names}, ...)"


def _method_lines(run: RunResult) -> list[str]:
    """Return how `method: auto` has found the clusters and their number; nothing for other methods."""
    config, chosen = run.config.clusters, run.clusters.chosen
    if not config.has_probability:
        return []
    steps = "".join(f"{step}, " for step in run.clusters.state.get("steps", ()))
    number = "number of clusters as set"
    if chosen is not None:
        tried = f" of {min(chosen.scores)} to {max(chosen.scores)}" if chosen.scores else ""
        number = f"number of clusters{tried} by modularity"
    then = "then " if steps else ""
    return [f"method    auto: {steps}{then}K-Means on a diffusion embedding of the nearest neighbours; {number}"]


def cluster_lines(sizes: np.ndarray, names: Mapping[int, str]) -> list[str]:
    """Return a line for each cluster, with a bar. sizes: (k,) int, by number."""
    largest, width = int(sizes.max(initial=0)), len(f"{int(sizes.max(initial=0)):,}")
    return [
        f"cluster {number:>3}  {bar(size, largest, BAR):<{BAR}}  {size:>{width},}{_name_after(names, number)}"
        for number, size in enumerate(sizes.tolist())
        if size  # a number below the first label is no cluster
    ]


def _name_after(names: Mapping[int, str], number: int) -> str:
    return f"  {printable(names[number])}" if number in names else ""
