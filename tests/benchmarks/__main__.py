"""The command: `python -m tests.benchmarks [NAME ...] [--quick]` prints a table."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

from tests.benchmarks.auto import auto
from tests.benchmarks.cluster import cluster
from tests.benchmarks.commands import commands
from tests.benchmarks.confidence import confidence
from tests.benchmarks.dask_kmeans import dask_kmeans
from tests.benchmarks.duplicates import duplicates
from tests.benchmarks.explain import explain
from tests.benchmarks.extraction import extraction
from tests.benchmarks.few_labels import few_labels
from tests.benchmarks.gpu import gpu
from tests.benchmarks.kmeans import kmeans_rows
from tests.benchmarks.label_errors import label_errors
from tests.benchmarks.labels import labels
from tests.benchmarks.layers import layers
from tests.benchmarks.learning import learning
from tests.benchmarks.neighbors import neighbors
from tests.benchmarks.networks import networks
from tests.benchmarks.peers import peers
from tests.benchmarks.quality import quality
from tests.benchmarks.reading import reading
from tests.benchmarks.report import report
from tests.benchmarks.rows import Row, header, line
from tests.benchmarks.scaling import scaling
from tests.benchmarks.scores import scores
from tests.benchmarks.second_run import second_run
from tests.benchmarks.size import size
from tests.benchmarks.stage import stage
from tests.benchmarks.studies import studies
from tests.benchmarks.subset import subset
from tests.benchmarks.videos import videos

BENCHMARKS: dict[str, Callable[[bool], Iterator[Row]]] = {
    "stage": stage,
    "second-run": second_run,
    "commands": commands,
    "layers": layers,
    "extraction": extraction,
    "reading": reading,
    "peers": peers,
    "quality": quality,
    "size": size,
    "scores": scores,
    "studies": studies,
    "report": report,
    "networks": networks,
    "gpu": gpu,
    "kmeans": kmeans_rows,
    "dask-kmeans": dask_kmeans,
    "neighbors": neighbors,
    "duplicates": duplicates,
    "explain": explain,
    "labels": labels,
    "few-labels": few_labels,
    "label-errors": label_errors,
    "subset": subset,
    "learning": learning,
    "auto": auto,
    "confidence": confidence,
    "cluster": cluster,
    "scaling": scaling,
    "videos": videos,
}


def main() -> None:
    """Run the benchmarks named, or all, and print each row as soon as it is known."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones: {', '.join(BENCHMARKS)}; without, all")
    parser.add_argument("--quick", action="store_true", help="fewer frames and rounds, for a first look")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in BENCHMARKS]:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    print(header())
    for name in arguments.names or BENCHMARKS:
        for row in BENCHMARKS[name](arguments.quick):
            print(line(row), flush=True)


if __name__ == "__main__":
    main()
