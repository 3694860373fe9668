from .api import activation_grid, cluster_map, filter_images, grad_cam
from .heatmap import overlay
from .run import ExplainedRun
from .run_explanation import RunExplained, explain_run

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
