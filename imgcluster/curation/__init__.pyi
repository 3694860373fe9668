from .copies import Copy, Duplicates, find_duplicates
from .duplicate_plan import AppliedPlan, apply_plan
from .keep_rules import DEFAULT_RULES
from .overlap import Leaks, find_leaks
from .quality import KINDS, Quality, chosen_kinds, quality_of_run

__all__ = [
    "DEFAULT_RULES",
    "KINDS",
    "AppliedPlan",
    "Copy",
    "Duplicates",
    "Leaks",
    "Quality",
    "apply_plan",
    "chosen_kinds",
    "find_duplicates",
    "find_leaks",
    "quality_of_run",
]
