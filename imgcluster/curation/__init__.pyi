from .label_errors import LabelErrors, Suspect, find_label_errors

__all__ = ["LabelErrors", "Suspect", "find_label_errors"]
