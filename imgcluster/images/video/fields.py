"""Interlaced frames: two fields, of different moments, in one picture."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

TICK = Fraction(1, 1000)  # any will do for one frame
FILTER, OPTIONS = "estdif", "mode=frame:parity=auto:deint=interlaced"


def progressive(frame: Any) -> Any:
    """Return an interlaced frame of PyAV as it is at the moment of its first field; any other frame as it is.

    FFmpeg's edge slope tracing interpolates the lines of the other field. It looks at this frame alone, so that the
    result does not depend on the frame with which decoding began, as that of bwdif or yadif would.
    """
    if not frame.interlaced_frame:
        return frame
    from av.filter import Graph

    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format.name, time_base=TICK)
    graph.link_nodes(source, graph.add(FILTER, OPTIONS), graph.add("buffersink")).configure()
    graph.push(frame)
    graph.push(None)
    return graph.pull()
