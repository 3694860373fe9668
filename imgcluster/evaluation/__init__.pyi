from .charts import draw_sweep
from .cluster_stability import Stability, stability
from .comparison import Grid, compare
from .comparison_table import BEST, TABLE
from .internal import IMAGES, SHOWN, score_run
from .scoring import FILES, TITLES, Scores, score_labels, scores_json, scores_text

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
    "compare",
    "draw_sweep",
    "score_labels",
    "score_run",
    "scores_json",
    "scores_text",
    "stability",
]
