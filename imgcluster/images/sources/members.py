"""The files in a tar or zip: images by name, and the others with the reason why they are left out."""

from __future__ import annotations

from typing import TypeVar

from imgcluster.images.sources.archive import Member
from imgcluster.images.sources.debris import HIDDEN, is_hidden
from imgcluster.images.sources.endings import LeftOut

HIDDEN_IMAGE = LeftOut(HIDDEN, HIDDEN)

Kind = TypeVar("Kind", bound=Member)


class Members(dict[str, Kind]):
    """The images by name; others: why each other file is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.others: dict[str, LeftOut] = {}

    def add(self, name: str, member: Kind, why: LeftOut | None) -> None:
        """Add a file, as an image where nothing leaves it out and it is not hidden. The last of a name counts."""
        self.pop(name, None)
        self.others.pop(name, None)
        if why is None and not any(map(is_hidden, name.split("/"))):
            self[name] = member
        else:
            self.others[name] = why or HIDDEN_IMAGE
