from .label_errors import LabelErrors, Suspect, find_label_errors
from .search import ImageSearch, Match, Matches, find_like

__all__ = ["ImageSearch", "LabelErrors", "Match", "Matches", "Suspect", "find_label_errors", "find_like"]
