from .cache import KeptClusters
from .cluster import check_enough, cluster_features, transform_steps
from .confidence import calibrated_shares
from .diffusion import auto_steps
from .distances import centroid_distances, nearest_clusters, used_numbers
from .estimators import check_parameters
from .fitted import Clusterer, Placed
from .graph import Graph, neighbour_graph
from .grouping import SEQUENCE, group
from .internal_metrics import SAMPLED_ABOVE, InternalScores, internal_scores, silhouette_of
from .memory import check_memory
from .n_clusters import AUTO, KnnModularity, best_k, group_each
from .neighbors import knn
from .numbering import check_numbering, match_clusters, match_labels
from .similarity import Group, Similarity, find_similar, too_many_to_compare
from .streamed.cluster import cluster_stored, should_use_dask

__all__ = [
    "AUTO",
    "SAMPLED_ABOVE",
    "SEQUENCE",
    "Clusterer",
    "Graph",
    "Group",
    "InternalScores",
    "KeptClusters",
    "KnnModularity",
    "Placed",
    "Similarity",
    "auto_steps",
    "best_k",
    "calibrated_shares",
    "centroid_distances",
    "check_enough",
    "check_memory",
    "check_numbering",
    "check_parameters",
    "cluster_features",
    "cluster_stored",
    "find_similar",
    "group",
    "group_each",
    "internal_scores",
    "knn",
    "match_clusters",
    "match_labels",
    "nearest_clusters",
    "neighbour_graph",
    "should_use_dask",
    "silhouette_of",
    "too_many_to_compare",
    "transform_steps",
    "used_numbers",
]
