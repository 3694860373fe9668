"""What `explain` has written."""

from __future__ import annotations

from imgcluster.explain import RunExplained

RANDOM = "RANDOM    the weights are random: the network has learned nothing, and these pictures explain nothing"


def explained_lines(done: RunExplained) -> list[str]:
    """Return how many pictures of how many images were written, of which layers, and where."""
    images = len({picture.row for picture in done.pictures if picture.row is not None})
    return [
        f"wrote     {_counted(len(done.pictures), 'picture')} of {_counted(images, 'image') if images else 'filters'}",
        *(f"layer     {network}" for network in done.networks),
        *([RANDOM] if done.is_random else []),
        f"written   {done.folder / 'explain'}",
    ]


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"
