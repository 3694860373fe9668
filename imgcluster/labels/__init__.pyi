from .assignment import Assigned, assign
from .learning import learn
from .prediction import Predicted, predict
from .propagation import Spread, spread_labels
from .suggestions import Suggestions, suggest_images

__all__ = [
    "Assigned",
    "Predicted",
    "Spread",
    "Suggestions",
    "assign",
    "learn",
    "predict",
    "spread_labels",
    "suggest_images",
]
