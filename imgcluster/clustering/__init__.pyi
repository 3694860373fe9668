from .cache import KeptClusters
from .cluster import centroid_distances, check_enough, cluster_features
from .estimators import check_parameters
from .fitted import Clusterer, Placed
from .grouping import SEQUENCE, group
from .memory import check_memory
from .metrics import SAMPLED_ABOVE, Agreement, InternalScores, agreement, internal_scores, ranks_of, silhouette_of
from .n_clusters import AUTO, Sweep, sweep
from .neighbors import Graph, neighbour_graph
from .numbering import check_numbering, matched
from .similarity import Likeness, find_likeness
from .streamed.cluster import cluster_stored, should_use_dask

__all__ = [
    "AUTO",
    "SAMPLED_ABOVE",
    "SEQUENCE",
    "Agreement",
    "Clusterer",
    "Graph",
    "InternalScores",
    "KeptClusters",
    "Likeness",
    "Placed",
    "Sweep",
    "agreement",
    "centroid_distances",
    "check_enough",
    "check_memory",
    "check_numbering",
    "check_parameters",
    "cluster_features",
    "cluster_stored",
    "find_likeness",
    "group",
    "internal_scores",
    "matched",
    "neighbour_graph",
    "ranks_of",
    "should_use_dask",
    "silhouette_of",
    "sweep",
]
