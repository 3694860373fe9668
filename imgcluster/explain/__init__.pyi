from .api import activation_grid, cluster_map, filter_images, grad_cam
from .heatmap import overlay
from .run_explanation import explain_run

__all__ = ["activation_grid", "cluster_map", "explain_run", "filter_images", "grad_cam", "overlay"]
