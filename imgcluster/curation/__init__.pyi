from .copies import Copy, Duplicates, find_duplicates
from .duplicate_plan import AppliedPlan, apply_plan
from .keep_rules import DEFAULT_RULES
from .overlap import Leak, Leaks, find_leaks

__all__ = [
    "DEFAULT_RULES",
    "AppliedPlan",
    "Copy",
    "Duplicates",
    "Leak",
    "Leaks",
    "apply_plan",
    "find_duplicates",
    "find_leaks",
]
