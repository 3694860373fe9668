from .copies import Copy, Duplicates, find_duplicates
from .duplicate_plan import AppliedPlan, apply_plan
from .keep_rules import DEFAULT_RULES
from .label_errors import LabelErrors, find_label_errors
from .overlap import Leaks, find_leaks
from .quality import KINDS, Quality, chosen_kinds, quality_of_run
from .search import ImageSearch, Matches, find_like
from .subset import Subset, choose_subset

__all__ = [
    "DEFAULT_RULES",
    "KINDS",
    "AppliedPlan",
    "Copy",
    "Duplicates",
    "ImageSearch",
    "LabelErrors",
    "Leaks",
    "Matches",
    "Quality",
    "Subset",
    "apply_plan",
    "choose_subset",
    "chosen_kinds",
    "find_duplicates",
    "find_label_errors",
    "find_leaks",
    "find_like",
    "quality_of_run",
]
