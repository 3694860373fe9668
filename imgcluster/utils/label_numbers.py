"""Whole-number labels however a table writes them: 9.0, as pandas writes next to blanks, is 9."""

from __future__ import annotations

import re
from collections.abc import Mapping

WHOLE = re.compile(r"(0|-?[1-9][0-9]{0,17})(\.0*)?")  # 007 is a text of its own


def plain_label(label: str) -> str:
    """Return a label as the whole number that it is; else as it stands.

    >>> plain_label("9.0"), plain_label("9"), plain_label("007"), plain_label("9.5")
    ('9', '9', '007', '9.5')
    """
    found = WHOLE.fullmatch(label)
    return found[1] if found else label


def plain_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return {id: label} with whole numbers in the same form, where all labels are such; else as they stand."""
    if all(WHOLE.fullmatch(label) for label in set(labels.values())):
        return {id: plain_label(label) for id, label in labels.items()}
    return dict(labels)
