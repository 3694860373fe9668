"""What networks and clusters see in pictures: activations, filters, Grad-CAM, and what pulls into a cluster."""

from imgcluster.explain.functions import activation_grid, cluster_map, filter_images, grad_cam
from imgcluster.explain.of_run import RunExplained, explain_run
from imgcluster.explain.pictures import overlay
from imgcluster.explain.run_eyes import ExplainedRun

__all__ = [
    "ExplainedRun",
    "RunExplained",
    "activation_grid",
    "cluster_map",
    "explain_run",
    "filter_images",
    "grad_cam",
    "overlay",
]
