"""Lines that are followed through changes: where they are afterwards, and whether a change meets them. Pure.

A region is a set of stretches between line ends: `(2, 4)` are the lines 2 and 3, `(2, 2)` is the place before line 2,
where something was taken out. Two changes meet where their stretches overlap or touch, as they do in Git's own merge
(`xdl_do_merge` in xdiff/xmerge.c asks for an unchanged line between them).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from ghostd.model.touch import Span

Region = tuple[tuple[int, int], ...]
#: Longer than any file.
_END = 1 << 60
#: What is binary, or came or went as a whole, has no lines to tell apart.
EVERYTHING: Region = ((0, _END),)


def written(spans: Sequence[Span] | None) -> Region:
    """What a change wrote, in the lines of its result; None stands for a change without lines."""
    return EVERYTHING if spans is None else tuple((span.new, span.new_end) for span in spans)


def meet(region: Region, spans: Sequence[Span] | None) -> bool:
    """Whether a change of the file that `region` is about comes upon it."""
    if spans is None:
        return bool(region)
    n = m = 0
    while n < len(region) and m < len(spans):
        if region[n][1] < spans[m].old:
            n += 1
        elif spans[m].old_end < region[n][0]:
            m += 1
        else:
            return True
    return False


def moved(region: Region, spans: Sequence[Span] | None) -> Region:
    """The region after a change; it grows over every span that it meets."""
    if spans is None:
        return EVERYTHING if region else ()
    ends = [span.old_end for span in spans]
    return tuple((_carried(start, spans, ends)[0], _carried(end, spans, ends)[1]) for start, end in region)


def _carried(at: int, spans: Sequence[Span], ends: Sequence[int]) -> tuple[int, int]:
    """Where a place between two lines is afterwards; it is a stretch where a span lies on it."""
    n = bisect_left(ends, at)
    if n < len(spans) and spans[n].old <= at:
        return spans[n].new, spans[n].new_end
    here = at + (spans[n - 1].new_end - spans[n - 1].old_end if n else 0)
    return here, here
