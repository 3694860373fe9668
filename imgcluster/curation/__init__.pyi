from .quality import KINDS, Kind, Quality, chosen_kinds, quality_of_run

__all__ = ["KINDS", "Kind", "Quality", "chosen_kinds", "quality_of_run"]
