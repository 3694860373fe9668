from .api import activation_grid, cluster_map, filter_images, grad_cam
from .heatmap import overlay
from .run_explanation import RunExplained, explain_run

__all__ = ["RunExplained", "activation_grid", "cluster_map", "explain_run", "filter_images", "grad_cam", "overlay"]
