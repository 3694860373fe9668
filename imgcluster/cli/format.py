"""What a person reads when a run has ended."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from imgcluster.clustering import Sweep
from imgcluster.evaluation import Stability
from imgcluster.features import Features, Origin
from imgcluster.labels import Assigned
from imgcluster.runs import Run, known_names, output_names, submission_notes, with_name
from imgcluster.types import Failure, by_reason
from imgcluster.utils import DEFAULT_STORAGE, bar, printable

BAR = 30
NAMED = 3
REASONS = 5
HALF = 0.5
# What the thread that feeds the network has spent its time on, and what would shorten it.
ADVICE = {
    "waiting for images": "reading: a quicker disk, smaller files or more cores would help",
    "network": "the network: a GPU, features.precision: bf16, an earlier layer or a smaller backbone would help",
    "waiting for the disk": "writing: features.store on a quicker disk would help",
}


def summarize_run(run: Run) -> str:
    """Return the summary of a run: what was read, with what, the clusters, the seconds, and where it all lies."""
    lines = [*summarize_features(run.features), "", *_cluster_lines(run), ""]
    lines += [f"note: {note}" for note in [*run.notes, *run.clusters.notes, *submission_notes(run)]]
    lines.append("seconds   " + ", ".join(f"{step} {spent:.1f}" for step, spent in run.seconds.items()))
    folder = DEFAULT_STORAGE.place(run.config.outputs.folder)
    lines += [f"written   {folder / name}" for name in output_names(run.config)]
    return "\n".join(lines)


def summarize_features(features: Features) -> list[str]:
    """Return the lines about the images and how their features were made."""
    origins = features.origins
    count = len(features.images) + len(features.failures)
    lines = [
        f"images    {count:,}: {_sources(origins)}, {len(features.failures):,} failed",
        *_failure_lines(features),
        *(line for origin in origins for line in _origin_lines(origin)),
        *([f"joined    {sum(origin.dim for origin in origins)}-d"] if len(origins) > 1 else []),
        *(f"note: {note}" for note in features.notes),
    ]
    taken = [origin.fallback for origin in origins if origin.fallback is not None]
    return lines + [f"FALLBACK  {each['taken']} stood in for {each['wanted']}: see the warning" for each in taken]


def summarize_assigned(found: Assigned) -> list[str]:
    """Return the lines about images that were placed into the clusters of a run."""
    numbers, counts = np.unique(found.placed.labels, return_counts=True)
    new = int(found.placed.new.sum())
    return [
        *summarize_features(found.features),
        *(
            f"cluster {number:>3}  {count:,}{_name_after(found.names, number)}"
            for number, count in zip(numbers.tolist(), counts.tolist(), strict=True)
        ),
        f"new       {new:,} of them farther from their centroid than any image of the run",
    ]


def sweep_lines(found: Sweep) -> list[str]:
    """Return a table of a sweep's measures, and the number proposed."""
    lines = ["   K  modularity  silhouette  stability      gap  Davies-B.  Calinski-H.      inertia"]
    lines += [
        f"{row.k:>4} {row.modularity:>11.3f} {row.silhouette:>11.3f} {row.stability:>10.3f} {row.gap:>8.3f} "
        f"{row.davies_bouldin:>10.3f} {row.calinski_harabasz:>12.1f} {row.inertia:>12.5g}"
        f"{'  <' if row.k == found.chosen else ''}"
        for row in found.rows
    ]
    return [*lines, "", found.reason, f"the inertia bends at {found.elbow}"]


def stability_lines(found: Stability) -> list[str]:
    """Return how well a run's clusters came out again, and the images that change sides most."""
    median, least = np.median(found.scores), min(found.scores)
    rows = [row for row in np.argsort(found.stays, kind="stable").tolist() if found.stays[row] < HALF]
    lines = [
        f"trials    {len(found.scores)}, adjusted Rand index to the run: median {median:.3f}, least {least:.3f}",
        f"restless  {len(rows):,} of {len(found.ids):,} images leave their cluster in more than half of the trials",
    ]
    if found.note:
        lines.append(f"of        {found.note}")
    for row in rows[:NAMED]:
        own, other = (with_name(int(numbers[row]), found.names) for numbers in (found.labels, found.elsewhere))
        elsewhere = printable(other) if found.elsewhere[row] >= 0 else "none"
        lines.append(f"  {printable(found.ids[row])}: cluster {printable(own)}, else {elsewhere}")
    return lines


def profile_lines(features: Features) -> list[str]:
    """Return how long each stage took, backbone by backbone, which of them the others waited for, and what helps."""
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
        *(f"store     {folder}" for folder in origin.stores),
    ]


def _weights_text(origin: Origin) -> str:
    return f"{origin.weights} (sha256 {origin.weights_sha256[:8]}…)" if origin.weights_file else origin.weights_sha256


def _failure_lines(features: Features) -> list[str]:
    reasons = by_reason(features.failures)
    lines = [f"  failed  {_named(group)}: {reason}" for reason, group in [*reasons.items()][:REASONS]]
    if len(reasons) > REASONS:
        left = sum(map(len, [*reasons.values()][REASONS:]))
        others = len(reasons) - REASONS
        why = "another reason" if others == 1 else f"{others} other reasons"
        lines.append(f"  failed  {left:,} more image{'s' if left > 1 else ''}: {why}, see clusters.csv")
    return lines


def _named(group: list[Failure]) -> str:
    """Return the ids of images that failed for one reason: the first few, and how many there are."""
    names = ", ".join(printable(failure.image.id) for failure in group[:NAMED])
    return names if len(group) <= NAMED else f"{len(group):,} images ({names}, ...)"


def _cluster_lines(run: Run) -> list[str]:
    sizes = run.clusters.sizes
    largest, width = int(sizes.max(initial=0)), len(f"{int(sizes.max(initial=0)):,}")
    names = known_names(run.config, run.clusters.names)
    return [
        f"cluster {number:>3}  {bar(size, largest, BAR):<{BAR}}  {size:>{width},}{_name_after(names, number)}"
        for number, size in enumerate(sizes.tolist())
        if size  # a number below the first label is no cluster
    ]


def _name_after(names: Mapping[int, str], number: int) -> str:
    return f"  {printable(names[number])}" if number in names else ""
