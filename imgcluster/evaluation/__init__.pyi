from .charts import draw_sweep
from .cluster_stability import Stability, stability
from .comparison import Comparison, Grid, compare
from .comparison_table import BEST, TABLE
from .internal import IMAGES, InnerScores, score_run
from .scoring import FILES, TITLES, Scores, score_labels, scores_json
from .sweep import Sweep, sweep_k

__all__ = [
    "BEST",
    "FILES",
    "IMAGES",
    "TABLE",
    "TITLES",
    "Comparison",
    "Grid",
    "InnerScores",
    "Scores",
    "Stability",
    "Sweep",
    "compare",
    "draw_sweep",
    "score_labels",
    "score_run",
    "scores_json",
    "stability",
    "sweep_k",
]
