from .charts import draw_sweep
from .cluster_stability import Stability, stability
from .comparison import Grid, compare
from .comparison_table import BEST, TABLE
from .internal import IMAGES, SHOWN, score_run
from .scoring import FILES, TITLES, Scores, score_labels, scores_json, scores_text
from .sweep import Sweep, sweep_k

__all__ = [
    "BEST",
    "FILES",
    "IMAGES",
    "SHOWN",
    "TABLE",
    "TITLES",
    "Grid",
    "Scores",
    "Stability",
    "Sweep",
    "compare",
    "draw_sweep",
    "score_labels",
    "score_run",
    "scores_json",
    "scores_text",
    "stability",
    "sweep_k",
]
