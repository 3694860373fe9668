"""What a person reads when a run has ended."""

from __future__ import annotations

from imgcluster.outputs.write import output_names
from imgcluster.tables import Features, Run

BAR = 30
NAMED = 3


def summarize_run(run: Run) -> str:
    """Return the summary of a run: what was read, with what, the clusters, the seconds, and where it all lies."""
    lines = [*summarize_features(run.features), "", *_cluster_lines(run), ""]
    lines += [f"note: {note}" for note in run.clusters.notes]
    if run.features.failures and run.config.outputs.submission:
        lines.append(
            f"note: in {run.config.outputs.submission} the {len(run.features.failures):,} failed images have the label "
            f"of the largest cluster, {int(run.clusters.sizes.argmax())}"
        )
    lines.append("seconds   " + ", ".join(f"{step} {spent:.1f}" for step, spent in run.seconds.items()))
    lines += [f"written   {path}" for path in (run.folder / name for name in output_names(run.config))]
    return "\n".join(lines)


def summarize_features(features: Features) -> list[str]:
    """Return the lines about the images and how their features were made."""
    info = features.info
    count = len(features.images) + len(features.failures)
    lines = [
        f"images    {count:,}: {info['computed']:,} computed, {info['reused']:,} from the store, "
        f"{len(features.failures):,} failed",
        *_failure_lines(features),
        f"backbone  {info['backbone']} {info['layer']}, {features.vectors.shape[1]}-d, weights {_weights_text(info)}",
        f"device    {info['device']}, {info['precision']}, {info['runtime']}",
        f"store     {info['store']}",
    ]
    if info["fallback"] is not None:
        lines.append(
            f"FALLBACK  {info['fallback']['taken']} stood in for {info['fallback']['wanted']}: see the warning"
        )
    return lines


def _weights_text(info: dict[str, str]) -> str:
    known = info["weights_sha256"]
    return f"{info['weights']} (sha256 {known[:8]}…)" if info["weights_file"] else known


def _failure_lines(features: Features) -> list[str]:
    lines = [f"  failed  {failure.image.id}: {failure.reason}" for failure in features.failures[:NAMED]]
    if len(features.failures) > NAMED:
        lines.append(f"  failed  and {len(features.failures) - NAMED:,} more: see clusters.csv")
    return lines


def _cluster_lines(run: Run) -> list[str]:
    sizes = run.clusters.sizes
    largest = max(1, int(sizes.max()))
    return [
        f"cluster {number:>3}  {'█' * round(BAR * size / largest):<{BAR}}  {size:,}"
        for number, size in enumerate(sizes.tolist())
    ]
