from .label_errors import LabelErrors, Suspect, find_label_errors
from .search import ImageSearch, Match, Matches, find_like
from .subset import Subset, choose_subset

__all__ = [
    "ImageSearch",
    "LabelErrors",
    "Match",
    "Matches",
    "Subset",
    "Suspect",
    "choose_subset",
    "find_label_errors",
    "find_like",
]
