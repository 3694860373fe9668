from .api import activation_grid, cluster_map, filter_images, grad_cam
from .explain_run import RunExplained, explain_run
from .heatmap import overlay
from .run import ExplainedRun

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
