from .assignment import Assigned, assign
from .learning import learn, summary_lines
from .prediction import predict
from .propagation import Spread, spread_labels
from .suggestions import Suggestions, suggest_images

__all__ = [
    "Assigned",
    "Spread",
    "Suggestions",
    "assign",
    "learn",
    "predict",
    "spread_labels",
    "suggest_images",
    "summary_lines",
]
