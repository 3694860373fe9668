from .assignment import Assignment, assign
from .learning import learn
from .prediction import Predictions, predict
from .propagation import PropagatedLabels, Spread, spread_labels
from .suggestions import Suggestions, suggest_images

__all__ = [
    "Assignment",
    "Predictions",
    "PropagatedLabels",
    "Spread",
    "Suggestions",
    "assign",
    "learn",
    "predict",
    "spread_labels",
    "suggest_images",
]
