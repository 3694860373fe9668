"""The graph of nearest neighbours of the distinct points among some."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imgcluster.clustering.diffusion import DiffusionClustering
from imgcluster.clustering.graph import Graph, neighbour_graph
from imgcluster.features import Copies, Points


@dataclass(frozen=True)
class DistinctGraph:
    """points: (m, dim), all different. graph: their links. copies: which of all points, n, each one is."""

    points: np.ndarray
    graph: Graph
    copies: Copies

    @classmethod
    def of(cls, points: Points, shared: DiffusionClustering | None = None) -> DistinctGraph:
        """Return the graph of points; shared: has clustered them, and so has the graph already."""
        copies = points.copies
        distinct = points.take(copies.first) if copies else points.array()
        graph = neighbour_graph(distinct) if shared is None else shared.walk(distinct).graph
        return cls(distinct, graph, copies)
